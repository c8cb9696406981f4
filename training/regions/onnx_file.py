# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a trained network as the ONNX file that ships."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from training.detnet.export import store_as_half


def write(network: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str], path: Path) -> None:
    """A network with named inputs, any number of rows; large weights are kept as halves."""
    temporary = path.with_name(f"{path.name}.tmp")
    with warnings.catch_warnings():
        # The exporter that traces is said to be old; the new one needs more packages and gives the same.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            tuple(inputs.values()),
            str(temporary),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: {0: "batch"} for name in (*inputs, *outputs)},
            opset_version=17,
            dynamo=False,
        )
    model = onnx.load(str(temporary))
    store_as_half(model)
    temporary.write_bytes(model.SerializeToString(deterministic=True))
    temporary.replace(path)
