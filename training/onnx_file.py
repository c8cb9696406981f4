# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a trained network as the ONNX file that ships: any number of rows, large weights stored as halves."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

_SMALL: Final = 64
"""Weights of so few values stay whole."""


def write(
    network: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    path: Path,
    *,
    metadata: Mapping[str, str] | None = None,
    small: int = _SMALL,
) -> None:
    """A network with named inputs (examples of two rows) and outputs; its weights are rounded to halves as well.

    Weights of up to `small` values stay whole.
    """
    network.eval()
    _round(network, small)
    temporary = path.with_name(f"{path.name}.tmp")
    with warnings.catch_warnings():
        # The exporter that traces is said to be old; the new one needs more packages and gives the same.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            tuple(inputs.values()),
            str(temporary),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: {0: "batch"} for name in (*inputs, *outputs)},
            opset_version=17,
            dynamo=False,
        )
    model = onnx.load(str(temporary))
    store_as_half(model, small)
    for key, value in (metadata or {}).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(model, full_check=True)
    temporary.write_bytes(model.SerializeToString(deterministic=True))
    temporary.replace(path)


@torch.no_grad()
def _round(network: nn.Module, small: int) -> None:
    """So that torch and the file hold the same numbers."""
    for parameter in (*network.parameters(), *network.buffers()):
        if parameter.dtype == torch.float32 and parameter.numel() > small:
            parameter.copy_(parameter.half().float())


def constants(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """What the nodes of a file compute with, by name; those that are stored as halves under their own name, too."""
    held = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in held:
            held[node.output[0]] = held[node.input[0]].astype(np.float32)
    return held


def store_as_half(model: onnx.ModelProto, small: int = _SMALL) -> None:
    """Keep large weights as fp16 with a Cast before them, which the runtime folds when it loads."""
    kept, casts = [], []
    for item in model.graph.initializer:
        array = numpy_helper.to_array(item)
        if array.dtype == np.float32 and array.size > small:
            half = f"{item.name}_half"
            kept.append(numpy_helper.from_array(array.astype(np.float16), half))
            casts.append(helper.make_node("Cast", [half], [item.name], to=TensorProto.FLOAT))
        else:
            kept.append(item)
    nodes = [*casts, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)
