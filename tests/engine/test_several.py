# SPDX-License-Identifier: GPL-3.0-or-later
"""Two takes of a clip: their difference, and ranges of both in one take."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from blender_handmocap.engine import rotations, several
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.take import CONTACT_DTYPE, HandTrack, State, Take

RATE = 30.0
MODELS = {side: free_hand(side) for side in SIDES}


def take_of(first: int, frames: int, *, bend: float, depth: float = 0.5, size: float = 0.09) -> Take:
    """Both hands still, all fingers bent by `bend` radians about one axis, clip frames from `first` on."""
    tracks = {}
    for side in SIDES:
        vectors = np.zeros((frames, 16, 3))
        vectors[:, 1:, 2] = bend if side == "right" else -bend
        rotation = rotations.quaternion_from_vector(vectors)
        place = np.tile([0.1 if side == "right" else -0.1, 0.0, depth], (frames, 1))
        points = MODELS[side].pose(rotation, place, MODELS[side].rest(None, size)).keypoints
        tracks[side] = replace(
            HandTrack.absent(frames),
            state=np.full(frames, State.SEEN, np.uint8),
            confidence=np.full(frames, bend),
            rotation=rotation,
            translation=place,
            raw_rotation=rotation,
            raw_translation=place,
            points=points,
        )
    return Take(
        meta={"rate": [30, 1], "source": "/clips/wave.mp4"},
        frame=np.arange(first, first + frames, dtype=np.int32),
        time=np.arange(first, first + frames) / RATE,
        K=np.diag([600.0, 600.0, 1.0]),
        dist=np.zeros(5),
        left=tracks["left"],
        right=tracks["right"],
        betas=np.zeros(10),
        size=size,
        contacts=np.array([(i, 0, 0, 0.9) for i in range(frames)], CONTACT_DTYPE),
    )


def test_the_difference_is_that_of_the_frames_both_have() -> None:
    take, other = take_of(0, 30, bend=0.2), take_of(20, 30, bend=0.5)
    far = other.right.rotation.copy()
    far[5, 4:7] = rotations.quaternion_from_vector([0.0, 0.0, 1.2])
    points = MODELS["right"].pose(far, other.right.translation, MODELS["right"].rest(None, 0.09)).keypoints
    other = other.with_tracks(right=replace(other.right, rotation=far, points=points))
    found = several.difference(take, other)
    assert found.frames == 10
    assert found.worst == 25
    assert found.angle == pytest.approx(0.3, abs=0.02)
    assert 0.005 < found.distance < 0.05
    with pytest.raises(BadInputError, match="no hand in the same frame"):
        several.difference(take, take_of(100, 5, bend=0.1))


def test_a_range_comes_from_the_other_take_and_leads_over() -> None:
    take, other = take_of(0, 60, bend=0.2), take_of(10, 40, bend=0.6)
    made = several.with_range(take, other, 20, 39, MODELS)
    assert len(made) == 60
    angle = 2 * np.arccos(np.clip(made.right.rotation[:, 4, 0], -1, 1))
    np.testing.assert_allclose(angle[[0, 10, 19, 40, 59]], 0.2, atol=1e-6)
    np.testing.assert_allclose(angle[26:34], 0.6, atol=1e-6)
    # No step is larger than that of an eased change over the time it has.
    assert np.abs(np.diff(angle)).max() < 0.4 / (several.EASE * RATE) * 1.7
    np.testing.assert_allclose(made.right.confidence[20:40], 0.6)
    posed = MODELS["left"].pose(made.left.rotation, made.left.translation, MODELS["left"].rest(None, 0.09))
    np.testing.assert_allclose(made.left.points, posed.keypoints, atol=1e-9)
    # Records follow: each frame has one, and in the range they are the other's.
    np.testing.assert_array_equal(made.contacts["frame"], np.arange(60))
    # The takes themselves are as they were.
    np.testing.assert_allclose(take.right.confidence, 0.2)


def test_at_an_end_of_the_take_nothing_leads_over() -> None:
    take, other = take_of(0, 30, bend=0.2), take_of(0, 30, bend=0.6)
    made = several.with_range(take, other, 0, 29, MODELS)
    np.testing.assert_allclose(made.left.rotation, other.left.rotation, atol=1e-12)
    np.testing.assert_allclose(made.left.raw_translation, other.left.raw_translation)


def test_a_hand_that_one_take_lacks_comes_and_goes_with_the_range() -> None:
    take, other = take_of(0, 30, bend=0.2), take_of(0, 30, bend=0.6)
    away = take.with_tracks(left=HandTrack.absent(30))
    made = several.with_range(away, other, 10, 19, MODELS)
    assert made.left.present.tolist() == [10 <= i < 20 for i in range(30)]
    np.testing.assert_allclose(made.left.translation[10:20], other.left.translation[10:20])
    gone = several.with_range(take, other.with_tracks(left=HandTrack.absent(30)), 10, 19, MODELS)
    assert gone.left.present.tolist() == [not 10 <= i < 20 for i in range(30)]
    assert np.isnan(gone.left.points[15]).all()


def test_hands_of_another_size_stay_on_their_pixels() -> None:
    take, other = take_of(0, 30, bend=0.2), take_of(0, 30, bend=0.6, depth=0.6, size=0.099)
    made = several.with_range(take, other, 5, 25, MODELS)
    place, theirs = made.right.translation[15], other.right.translation[15]
    np.testing.assert_allclose(place[:2] / place[2], theirs[:2] / theirs[2], atol=1e-9)
    assert place[2] == pytest.approx(0.6 * 0.09 / 0.099)


def test_other_clips_lenses_and_frames_are_refused() -> None:
    take = take_of(0, 30, bend=0.2)
    other = take_of(0, 30, bend=0.6)
    with pytest.raises(BadInputError, match="different clips"):
        several.with_range(take, other.with_tracks(meta={**other.meta, "source": "b.mp4"}), 0, 5, MODELS)
    with pytest.raises(BadInputError, match="different lenses"):
        several.with_range(take, other.with_tracks(K=np.diag([900.0, 900.0, 1.0])), 0, 5, MODELS)
    with pytest.raises(BadInputError, match="share no frame"):
        several.with_range(take, take_of(50, 5, bend=0.1), 0, 5, MODELS)
