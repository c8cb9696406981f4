# SPDX-License-Identifier: GPL-3.0-or-later
"""The two files of the network of both hands, written and read again: the trunk, and the heads on its taps."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch

from blender_handmocap.engine.hand.names import KEYPOINT_COUNT
from blender_handmocap.engine.models import model_file
from blender_handmocap.engine.see.landmarks import HAND_MODEL
from blender_handmocap.engine.see.pair_calibration import CALIBRATION_KEY, Calibration
from blender_handmocap.engine.see.pair_crop import PAIR_TRUNK_MODEL
from blender_handmocap.engine.see.pair_given import PAIR_FEATURES, POINT_FEATURES
from training import onnx_file, shipped
from training.detnet.trunk import TAP_SHAPES, TAPS, Trunk, Upper

from .heads import CROP, HANDS, PairCropNet, PairHeads, PairTrunk

INPUTS: Final = (*TAPS, "seen", "points_seen", "pair")
OUTPUTS: Final = (
    "points", "location", "depth", "error_2d", "error_3d", "visibility", "vector", "sigma", "state", "contact",
)  # fmt: skip
SHAPES: Final = {
    **TAP_SHAPES,
    "seen": (HANDS, KEYPOINT_COUNT, 2),
    "points_seen": (HANDS, KEYPOINT_COUNT, POINT_FEATURES),
    "pair": (PAIR_FEATURES,),
}
"""of one row of each input"""


def write_trunk(upper: Upper | None, path: Path) -> None:
    """Write the trunk that the heads read: with tuned blocks, or MediaPipe's own where none were."""
    trunk = Trunk().load_mediapipe(model_file(HAND_MODEL))
    _write_trunk(PairTrunk(trunk, upper or trunk.upper()), path)


def _write_trunk(network: PairTrunk, path: Path) -> None:
    picture = torch.zeros(2, CROP, CROP, 3, dtype=torch.uint8)
    onnx_file.write(network, {"picture": picture}, list(TAPS), path)


def write_heads(network: PairCropNet, path: Path, calibration: Calibration) -> None:
    """Write the heads; the largest difference to torch is the fp16 rounding of the weights."""
    given = {name: torch.zeros(2, *SHAPES[name]) for name in INPUTS}
    onnx_file.write(network, given, OUTPUTS, path, metadata={CALIBRATION_KEY: calibration.to_text()})


def read(heads: PairHeads, path: Path) -> None:
    """Take the weights of the heads' file, and those of the trunk's file beside it where blocks are to be tuned."""
    upper, heads.upper = heads.upper, None
    shipped.read(PairCropNet(heads), lambda network, to: write_heads(network, to, Calibration.plain()), path)
    if upper is not None:
        shipped.read(PairTrunk(Trunk(), upper), _write_trunk, path.with_name(f"{PAIR_TRUNK_MODEL}.onnx"))
    heads.upper = upper
