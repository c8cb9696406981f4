# SPDX-License-Identifier: GPL-3.0-or-later
"""ONNX networks: sessions, the device they run on, and how many threads they may use."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from .errors import BadInputError, ModelFileError
from .models import model_file
from .settings import Device

log = logging.getLogger("handmocap.runtime")

CPU_PROVIDER: Final = "CPUExecutionProvider"
CUDA_PROVIDER: Final = "CUDAExecutionProvider"
MOST_THREADS: Final = 4
"""More threads than this do not make these small networks faster."""

_ERRORS_ONLY: Final = 3


def cuda_is_available() -> bool:
    """Whether this build of the runtime can use an NVIDIA GPU at all."""
    return CUDA_PROVIDER in onnxruntime.get_available_providers()


def devices() -> tuple[Device, ...]:
    """The devices that networks can run on here."""
    return ("cpu", "cuda") if cuda_is_available() else ("cpu",)


def usable_cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Runtime:
    """Where networks run: made once from the settings, then asked for networks."""

    device: Device
    """`cpu` or `cuda`, decided"""
    threads: int
    """the most that one call of a network, or several beside each other, may use"""
    note: str = ""
    """one sentence when the device is not the one asked for"""

    @classmethod
    def choose(cls, device: Device = "auto", threads: int = 0) -> Runtime:
        """Decide the device and the threads; CUDA that is asked for and missing falls back with a note."""
        if threads < 0:
            raise BadInputError(f"{threads} threads are not possible; give 1 or more, or 0 to let HandMocap choose.")
        decided = threads or min(usable_cores(), MOST_THREADS)
        if device == "cpu" or (device == "auto" and not cuda_is_available()):
            return cls(device="cpu", threads=decided)
        if cuda_is_available():
            return cls(device="cuda", threads=decided)
        note = "CUDA was asked for, but this installation has no GPU runtime; the processor is used instead."
        log.info("%s", note)
        return cls(device="cpu", threads=decided, note=note)

    def network(self, name: str, *, outputs: Sequence[str] = (), threads: int | None = None) -> Network:
        """A network of models.toml by name."""
        return self.network_from(model_file(name), outputs=outputs, threads=threads)

    def network_from(self, path: Path, *, outputs: Sequence[str] = (), threads: int | None = None) -> Network:
        """A network from a file; `threads` when it is to use fewer than the runtime may."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        # Threads that wait by spinning take the cores away from decoding, solving and Blender itself.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = [CUDA_PROVIDER, CPU_PROVIDER] if self.device == "cuda" else [CPU_PROVIDER]
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # the runtime's own exceptions have no common base
            raise ModelFileError(
                f"The network {path.name} could not be loaded ({_first_line(error)}); install HandMocap again."
            ) from error
        used = session.get_providers()[0]
        if self.device == "cuda" and used != CUDA_PROVIDER:
            log.warning("The GPU could not be used for %s; the processor is used instead.", path.name)
        return Network(session, tuple(outputs), runs_on="cuda" if used == CUDA_PROVIDER else "cpu")


class Network:
    """A loaded network; calls are thread-safe."""

    def __init__(self, session: Any, outputs: tuple[str, ...], *, runs_on: Device) -> None:
        self._session = session
        self.inputs = tuple(item.name for item in session.get_inputs())
        self.outputs = outputs or tuple(output.name for output in session.get_outputs())
        self.runs_on = runs_on

    @property
    def metadata(self) -> dict[str, str]:
        """Text that the file carries beside its weights."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def __call__(self, batch: NDArray[Any] | Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run one batch (of several inputs: by name) through; outputs by name."""
        given = batch if isinstance(batch, Mapping) else {self.inputs[0]: batch}
        fed = {name: np.ascontiguousarray(values) for name, values in given.items()}
        values = self._session.run(list(self.outputs), fed)
        return dict(zip(self.outputs, values, strict=True))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
