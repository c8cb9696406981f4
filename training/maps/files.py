# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of the maps' heads, written and read again."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch

from blender_handmocap.engine.see.maps import CALIBRATION_KEY, MapsCalibration
from training import onnx_file, shipped

from .network import HANDS, INPUTS, OUTPUTS, POINTS, TAPS, MapHeads, MapsNet

_SIZES: Final = {"features_56": 56, "features_28": 28, "features_14": 14, "features_7": 7}


def write(network: MapsNet, path: Path, constants: MapsCalibration | None = None) -> None:
    """Write the ONNX file; the largest difference to torch is the fp16 rounding of the weights."""
    inputs = {name: torch.zeros(2, width, _SIZES[name], _SIZES[name]) for name, width in TAPS.items()}
    inputs |= {"points_seen": torch.full((2, HANDS, POINTS, 2), 0.5), "known": torch.ones(2, HANDS)}
    assert tuple(inputs) == INPUTS
    metadata = {CALIBRATION_KEY: constants.to_text()} if constants is not None else None
    onnx_file.write(network, inputs, OUTPUTS, path, metadata=metadata)


def read(heads: MapHeads, path: Path) -> None:
    """Take the weights of a file."""
    shipped.read(MapsNet(heads), write, path)
