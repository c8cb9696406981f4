# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user fixes goes into the take, and nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from blender_handmocap.engine import review, rotations
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.take import CorrectionKind, HandTrack, Take, load_take, save_take

FRAMES = 30


def make_take() -> Take:
    rng = np.random.default_rng(4)

    def track(shift: float) -> HandTrack:
        return replace(
            HandTrack.absent(FRAMES),
            state=np.ones(FRAMES, np.uint8),
            confidence=rng.random(FRAMES),
            seen2d=rng.random((FRAMES, 21, 2)) + shift,
            rotation=rotations.quaternion_from_vector(rng.normal(size=(FRAMES, 16, 3))),
            translation=rng.random((FRAMES, 3)),
        )

    return Take(
        meta={"rate": [30, 1]},
        frame=np.arange(FRAMES, dtype=np.int32),
        time=np.arange(FRAMES) / 30,
        K=np.eye(3),
        dist=np.zeros(5),
        left=track(0.0),
        right=track(100.0),
        betas=np.zeros(10),
        size=0.09,
    )


def test_only_what_was_moved_is_fixed(tmp_path: Path) -> None:
    take = make_take()
    rotation, place = take.left.rotation[7].copy(), take.left.translation[7].copy()
    rotation[3] = rotations.multiply(rotation[3], rotations.quaternion_from_vector([0.3, 0, 0]))
    fixed, count = review.posed(take, "left", 7, -rotation, place)
    assert count == 1
    record = fixed.corrections[0]
    assert (record["frame"], record["side"], record["kind"], record["index"]) == (7, 0, CorrectionKind.ROTATION, 3)
    assert rotations.angle_between(record["value"], rotation[3]) < 1e-7
    _, moved = review.posed(take, "left", 7, take.left.rotation[7], place + np.array([0, 0, 0.01]))
    assert moved == 1
    save_take(fixed, tmp_path / "a.take.npz")
    np.testing.assert_array_equal(load_take(tmp_path / "a.take.npz").corrections, fixed.corrections)


def test_a_newer_correction_replaces_the_older_one() -> None:
    take = make_take()
    place = take.right.translation[2]
    once, _ = review.posed(take, "right", 2, take.right.rotation[2], place + 0.1)
    twice, _ = review.posed(once, "right", 2, take.right.rotation[2], place + 0.2)
    assert len(twice.corrections) == 1
    np.testing.assert_allclose(twice.corrections["value"][0, :3], place + 0.2)


def test_a_pose_where_the_hand_was_away_is_fixed_whole() -> None:
    take = make_take()
    away = replace(take.left, state=np.zeros(FRAMES, np.uint8))
    _, count = review.posed(take.with_tracks(left=away), "left", 0, take.left.rotation[0], [0, 0, 0.5])
    assert count == 17


def test_swapping_twice_is_nothing() -> None:
    take, _ = review.posed(make_take(), "left", 5, np.tile(rotations.IDENTITY, (16, 1)), np.zeros(3))
    swapped = review.swapped(take, [4, 5, 6])
    np.testing.assert_array_equal(swapped.left.seen2d[4:7], take.right.seen2d[4:7])
    np.testing.assert_array_equal(swapped.left.seen2d[:4], take.left.seen2d[:4])
    assert set(swapped.corrections["side"]) == {1}
    again = review.swapped(swapped, [4, 5, 6])
    for side in SIDES:
        np.testing.assert_array_equal(again.track(side).seen2d, take.track(side).seen2d)
        np.testing.assert_array_equal(again.track(side).confidence, take.track(side).confidence)


def test_marks_name_every_frame() -> None:
    fixed = review.marked(make_take(), "right", range(3, 6), CorrectionKind.HIDDEN)
    assert fixed.corrections["frame"].tolist() == [3, 4, 5]
    assert set(fixed.corrections["kind"]) == {CorrectionKind.HIDDEN}


def test_the_weakest_frames_come_first_and_apart() -> None:
    take = make_take()
    found = review.weakest(take, count=4, apart=5)
    both = np.minimum(take.left.confidence, take.right.confidence)
    assert found[0] == both.argmin()
    assert min(abs(a - b) for i, a in enumerate(found) for b in found[:i]) >= 5
    gone = {side: replace(take.track(side), state=np.zeros(FRAMES, np.uint8)) for side in SIDES}
    assert review.weakest(take.with_tracks(**gone)) == []


def test_a_frame_that_was_marked_is_no_longer_weak() -> None:
    take = make_take()
    worst = int(take.left.confidence.argmin())
    assert review.weakest(take, sides=("left",))[0] == worst
    marked = review.marked(take, "left", [worst], CorrectionKind.HIDDEN)
    assert worst not in review.weakest(marked, sides=("left",))
    other = review.marked(take, "right", [worst], CorrectionKind.HIDDEN)
    assert review.weakest(other, sides=("left",))[0] == worst
