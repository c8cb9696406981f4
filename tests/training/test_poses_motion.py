# SPDX-License-Identifier: GPL-3.0-or-later
"""Clips move smoothly, do not pass through themselves, and their takes tell the truth."""

from __future__ import annotations

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.take import State, load_take, save_take
from training.footage import mesh_gap, mocap, motion, two_hands
from training.footage.scene import Look

CAMERA = Camera.from_focal(640, 480, 560.0)


@pytest.fixture(scope="module")
def meeting():
    random = np.random.default_rng(5)
    patterns, _ = two_hands.made("fingertips", random, 4, test=False)
    return motion.meeting(random, 30, 2.4, patterns)


def test_a_recording_is_resampled_in_time():
    slow, fast = motion.recorded("wave", 30), motion.recorded("wave", 60)
    assert abs(len(fast) - 2 * len(slow)) <= 1
    frames = min(len(slow), len(fast) // 2)
    np.testing.assert_allclose(fast.hands[0].place[::2][:frames], slow.hands[0].place[:frames], atol=1e-9)


def test_a_recording_follows_what_was_recorded():
    clip = motion.recorded("wave", 60)
    recordings = mocap.load()
    mine = recordings.source == recordings.names.index("recording:wave")
    at = recordings.time[mine]
    expected = np.interp(clip.time, at, recordings.angles[mine][:, 2, 0])
    assert np.degrees(np.abs(clip.hands[0].angles[:, 2, 0] - expected)).mean() < 2.0


def test_gaps_of_a_recording_are_absences():
    clip = motion.recorded("confidence-74fps", 30, start=2.7, seconds=0.7)
    assert {hand.side for hand in clip.hands} == {"left", "right"}
    present = clip.hand("right").present
    assert present.any() and not present.all()


@pytest.mark.parametrize("rate", [30, 60])
def test_imagined_hands_move_smoothly(rate):
    clip = motion.imagined(np.random.default_rng(3), rate, 3.0, sides=("right",))
    assert len(clip) == 3 * rate
    hand = clip.hands[0]
    speed = np.linalg.norm(np.diff(hand.place, axis=0), axis=-1) * rate
    assert speed.max() < 6.0, "metres a second"
    turn = np.degrees(rotations.angle_between(hand.root[1:], hand.root[:-1])) * rate
    assert turn.max() < 3500.0, "degrees a second"
    assert (np.einsum("tk,tk->t", hand.root[1:], hand.root[:-1]) > 0).all()


@pytest.mark.parametrize("rate", [30, 60])
def test_hands_cross_and_pass_each_other(rate):
    clip = motion.imagined(np.random.default_rng(5), rate, 2.4, events=("go", "cross"))
    aside = clip.hand("left").place[:, 0] - clip.hand("right").place[:, 0]
    # The left hand is on the right of the picture, on its left, and back again.
    assert (np.diff(np.sign(aside)) != 0).sum() >= 2
    crossing = np.abs(aside) < 0.02
    assert crossing.any()
    apart = np.linalg.norm(clip.hand("left").place - clip.hand("right").place, axis=1)
    assert apart[crossing].min() > 0.04


def test_hands_leave_the_picture_and_come_back():
    clip = motion.imagined(np.random.default_rng(4), 30, 4.0, events=("go", "leave"))
    take = motion.take_of(clip, CAMERA)
    changes = [np.diff((take.track(side).state != State.ABSENT).astype(int)) for side in ("left", "right")]
    assert any((one == -1).any() and (one == 1).any() for one in changes)


def test_waving_hands_swing_several_times_a_second():
    clip = motion.imagined(np.random.default_rng(6), 60, 2.0, sides=("left",), events=("go", "wave"))
    turn = rotations.multiply(clip.hands[0].root[1:], rotations.conjugate(clip.hands[0].root[:-1]))
    speed = 2.0 * turn[:, 1:] * 60
    main = speed[:, np.argmax(np.abs(speed).max(0))]
    turns = (np.diff(np.sign(main[np.abs(main) > 0.3])) != 0).sum()
    assert turns >= 4 and np.abs(speed).max() > 3.0, "radians a second"


def test_the_same_seed_gives_the_same_clip():
    first, second = (motion.imagined(np.random.default_rng(2), 30, 1.0, sides=("left",)) for _ in range(2))
    assert np.array_equal(first.hands[0].place, second.hands[0].place)
    assert np.array_equal(first.hands[0].angles, second.hands[0].angles)


def test_hands_meet_touch_and_part(meeting):
    near = motion.near_frames(meeting)
    seen = mesh_gap.measure(motion.pairs_of(meeting)[near])
    assert np.quantile(seen.depth, 0.95) < 0.002
    assert (seen.gap <= two_hands.TOUCH).any()
    assert len(near) < len(meeting) or (seen.gap > 0.01).any()


def test_a_take_tells_the_truth(meeting, tmp_path):
    take = motion.take_of(meeting, CAMERA)
    save_take(take, tmp_path / "truth.npz")
    read = load_take(tmp_path / "truth.npz")
    for side in ("left", "right"):
        track, hand = read.track(side), meeting.hand(side)
        there = track.state == State.SEEN
        assert there.mean() > 0.8
        model = free_hand(side)
        points = model.pose(
            track.rotation, np.nan_to_num(track.translation), model.rest(read.betas, read.size)
        ).keypoints
        np.testing.assert_allclose(track.points[there], points[there], atol=1e-5)
        np.testing.assert_allclose(track.translation[there], hand.place[there], atol=1e-12)
        np.testing.assert_allclose(track.seen2d[there], CAMERA.project(points[there]), atol=1e-2)
    assert len(read.contacts)
    assert (read.contacts["frame"] < len(read)).all()


def test_a_hand_outside_the_picture_is_absent():
    clip = motion.imagined(np.random.default_rng(1), 30, 0.5, sides=("right",), centre=(1.5, 0.0, 0.5))
    take = motion.take_of(clip, CAMERA)
    assert (take.right.state == State.ABSENT).all() and (take.left.state == State.ABSENT).all()
    assert np.isnan(take.right.translation).all()


def test_a_frame_is_the_scene_of_its_moment(meeting):
    scene = motion.scene_of(meeting, 10, CAMERA, Look(), exposure=0.5)
    hands = {hand.side: hand for hand in scene.hands}
    np.testing.assert_allclose(hands["left"].translation, meeting.hand("left").place[10])
    end = {hand.side: hand for hand in scene.hands_end}
    quarter = 0.25 * (meeting.hand("left").place[11] - meeting.hand("left").place[10])
    np.testing.assert_allclose(end["left"].translation - hands["left"].translation, quarter, atol=1e-12)
    assert motion.scene_of(meeting, 10, CAMERA, Look(), exposure=0.0).hands_end is None


def test_one_hand_has_no_relation_to_another():
    clip = motion.imagined(np.random.default_rng(1), 30, 0.5, sides=("right",))
    assert not len(motion.near_frames(clip))
    with pytest.raises(ValueError, match="both hands"):
        motion.pairs_of(clip)
