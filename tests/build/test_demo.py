# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's last line says what it should on takes whose errors are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.take import HandTrack, State, Take
from examples import demo_accuracy

FRAMES = 6


def track(side: str, *, shift: float = 0.0, first: int = 0) -> HandTrack:
    """A waving hand, `shift` metres too far, absent before frame `first`."""
    model = free_hand(side)
    rotation = np.tile(rotations.IDENTITY, (FRAMES, 16, 1))
    rotation[:, 0] = rotations.quaternion_from_vector(np.outer(np.arange(FRAMES) / 5, [0.2, 1.0, 0.4]))
    translation = np.tile([0.1, 0.0, 0.5 + shift], (FRAMES, 1))
    there = np.arange(FRAMES) >= first
    return replace(
        HandTrack.absent(FRAMES),
        state=np.where(there, State.SEEN, State.ABSENT).astype(np.uint8),
        rotation=rotation,
        translation=translation,
        points=model.pose(rotation, translation, model.rest()).keypoints,
    )


def take(left: HandTrack, right: HandTrack, *, offset: int = 0) -> Take:
    return Take(
        meta={"rate": [30, 1]},
        frame=np.arange(offset, FRAMES + offset, dtype=np.int32),
        time=np.arange(FRAMES) / 30.0,
        K=np.eye(3),
        dist=np.zeros(5),
        left=left,
        right=right,
        betas=np.zeros(10),
        size=0.1,
    )


@pytest.fixture
def truth() -> Take:
    return take(track("left"), track("right"))


def test_the_truth_itself_is_right(truth: Take) -> None:
    line = demo_accuracy.accuracy(truth, truth)
    assert f"{2 * FRAMES} of {2 * FRAMES} hands found" in line
    assert "joints 0.0 mm off in pose, 0.0 mm with orientation, hands 0 mm in space" in line
    assert "\n" not in line


def test_hands_too_far_away_are_right_in_pose_and_wrong_in_space(truth: Take) -> None:
    far = take(track("left", shift=0.02), track("right", shift=0.02))
    line = demo_accuracy.accuracy(far, truth)
    assert "joints 0.0 mm off in pose" in line
    assert "hands 20 mm in space" in line


def test_missing_hands_and_missing_frames_are_counted(truth: Take) -> None:
    late = take(track("left", first=2), HandTrack.absent(FRAMES))
    assert f"{FRAMES - 2} of {2 * FRAMES} hands found" in demo_accuracy.accuracy(late, truth)
    # Only frames 1.. of the truth are in a take that starts a frame later.
    later = take(track("left"), track("right"), offset=1)
    assert f"{2 * (FRAMES - 1)} of {2 * FRAMES} hands found" in demo_accuracy.accuracy(later, truth)
    none = take(HandTrack.absent(FRAMES), HandTrack.absent(FRAMES))
    assert (
        demo_accuracy.accuracy(none, truth)
        == f"Accuracy: none of the {2 * FRAMES} hands of the ground truth was found."
    )
