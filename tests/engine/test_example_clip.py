# SPDX-License-Identifier: GPL-3.0-or-later
"""The example clip is what it says, its truth is true of our hand, and the engine finds the hands in it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from blender_handmocap.engine import pipeline
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.settings import Settings
from blender_handmocap.engine.take import Take, load_take

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CLIP = EXAMPLES / "two_hands.mp4"


@pytest.fixture(scope="module")
def truth() -> Take:
    return load_take(EXAMPLES / "two_hands.truth.npz")


def test_the_clip_is_small_and_as_long_as_its_truth(truth: Take) -> None:
    movie = cv2.VideoCapture(str(CLIP))
    assert CLIP.stat().st_size < 1.5e6
    assert (movie.get(cv2.CAP_PROP_FRAME_WIDTH), movie.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (640, 480)
    assert movie.get(cv2.CAP_PROP_FRAME_COUNT) == len(truth) == 180
    assert movie.get(cv2.CAP_PROP_FPS) == pytest.approx(truth.rate) == 30


def test_the_truth_is_our_hands(truth: Take) -> None:
    for side in SIDES:
        track, model = truth.track(side), free_hand(side)
        posed = model.pose(track.rotation, track.translation, model.rest(truth.betas, truth.size))
        np.testing.assert_allclose(posed.keypoints, track.points, atol=2e-4)
        step = np.linalg.norm(np.diff(track.points, axis=0), axis=-1)
        assert step.max() < 0.06, "nobody moves a fingertip by more than six centimetres in a thirtieth of a second"


def test_hands_touch_in_the_middle_and_only_there(truth: Take) -> None:
    frames = truth.contacts["frame"]
    assert len(np.unique(frames)) > 20
    assert frames.min() > 60 and frames.max() < 165


def test_both_hands_are_found_where_they_are_apart(truth: Take, tmp_path: Path) -> None:
    settings = Settings(focal=float(truth.K[0, 0]), end="29", device="cpu")
    take = pipeline.capture(str(CLIP), settings, out=tmp_path / "t.npz")
    for side in SIDES:
        found = take.track(side)
        assert found.present.mean() > 0.9
        apart = np.linalg.norm(found.seen2d - truth.track(side).seen2d[:30], axis=-1)
        extent = np.ptp(truth.track(side).seen2d[:30], axis=1).max(-1, keepdims=True)
        assert np.nanmean(apart / extent) < 0.12
