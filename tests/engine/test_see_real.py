# SPDX-License-Identifier: GPL-3.0-or-later
"""Real footage: counts beside MediaPipe's own pipeline (0.10.21, two hands, defaults), and nothing where nothing is."""

from __future__ import annotations

from pathlib import Path

import pytest

from blender_handmocap.engine.errors import NothingFoundError
from blender_handmocap.engine.footage import open_footage
from blender_handmocap.engine.models import MODELS_FOLDER
from blender_handmocap.engine.see.clip import see
from blender_handmocap.engine.settings import Settings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (MODELS_FOLDER / "mediapipe_hand.onnx").exists(), reason="the networks are made by `build.py models`"
    ),
]

CPU = Settings(device="cpu")


@pytest.mark.parametrize(("name", "mediapipe"), [("bird", 52), ("learn", 23), ("no", 32), ("yes", 45)])
def test_both_hands_are_found_at_least_as_often_as_by_mediapipe(data: Path, name: str, mediapipe: int) -> None:
    take = see(open_footage(data / "signs" / f"{name}.mkv"), CPU)
    assert int((take.left.present & take.right.present).sum()) >= mediapipe


def test_one_hand_is_one_hand(data: Path) -> None:
    take = see(open_footage(data / "close_up" / "human_hand_video.mp4"), Settings(device="cpu", end="200"))
    assert take.right.present.all() and not take.left.present.any()


def test_cars_have_no_hands(data: Path) -> None:
    with pytest.raises(NothingFoundError):
        see(open_footage(data / "no_hands" / "car-detection.mp4"), CPU)
