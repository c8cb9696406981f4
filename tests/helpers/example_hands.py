# SPDX-License-Identifier: GPL-3.0-or-later
"""The hands of the bundled clip, whose truth is known, as a tracker knows them that sees them well."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.footage import open_footage
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.models import MODELS_FOLDER
from blender_handmocap.engine.see.pair_crop import Expected
from blender_handmocap.engine.take import Take, load_take

_EXAMPLES = Path(__file__).parents[2] / "examples"
needs_networks = pytest.mark.skipif(
    not (MODELS_FOLDER / "mediapipe_hand.onnx").exists(), reason="MediaPipe's networks are not there"
)


@cache
def truth_of_the_clip() -> Take:
    return load_take(_EXAMPLES / "two_hands.truth.npz")


def camera_of(truth: Take) -> Camera:
    return Camera(K=truth.K, dist=truth.dist, width=int(truth.meta["width"]), height=int(truth.meta["height"]))


@cache
def picture(index: int) -> np.ndarray:
    return next(f.image for f in open_footage(str(_EXAMPLES / "two_hands.mp4")).frames() if f.index == index)


def hand(truth: Take, frame: int, slot: int) -> Expected:
    """The hand of SIDES[slot]."""
    track = truth.track(SIDES[slot])
    points = track.points[frame]
    form = (points - points[0]) / np.linalg.norm(points[[5, 9, 13, 17]] - points[0], axis=-1).mean()
    return Expected(track.seen2d[frame], np.full(21, 3.0), form, np.full(21, 0.1), float(slot == 1))
