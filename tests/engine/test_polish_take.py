# SPDX-License-Identifier: GPL-3.0-or-later
"""Polish: less trembling, no lag, no lost amplitude; gaps; always from the raw result."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.polish import PolishSettings, polish
from blender_handmocap.engine.polish.take import rest_pose
from blender_handmocap.engine.take import CORRECTION_DTYPE, CorrectionKind, HandTrack, State, Take

RATE = 30.0


def take_of(rotation: np.ndarray, translation: np.ndarray, *, rate: float = RATE, confidence: float = 0.9) -> Take:
    count = len(rotation)
    present = np.isfinite(translation).all(-1)
    track = replace(
        HandTrack.absent(count),
        state=present.astype(np.uint8),
        confidence=np.full(count, confidence) * present,
        raw_rotation=rotation,
        raw_translation=translation,
        rotation=rotation,
        translation=translation,
    )
    return Take(
        meta={"rate": [int(rate), 1]},
        frame=np.arange(count, dtype=np.int32),
        time=np.arange(count) / rate,
        K=np.eye(3),
        dist=np.zeros(5),
        left=HandTrack.absent(count),
        right=track,
        betas=np.zeros(10),
        size=0.085,
    )


def trembling_take(count: int = 300, degrees: float = 1.0, seed: int = 0) -> Take:
    """A still hand with white noise on everything."""
    rng = np.random.default_rng(seed)
    pose = rotations.quaternion_from_vector(0.3 * rng.normal(size=(16, 3)))
    noise = rotations.quaternion_from_vector(np.radians(degrees) * rng.normal(size=(count, 16, 3)) / np.sqrt(3.0))
    place = np.array([0.0, 0.1, 0.5]) + 0.002 * rng.normal(size=(count, 3))
    return take_of(rotations.multiply(pose, noise), place)


def jitter(values: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(values, 2, axis=0), axis=-1).mean())


def turns(rotation: np.ndarray) -> np.ndarray:
    mean = rotations.normalized(rotations.continuous(rotation).mean(0))
    return rotations.vector_from_quaternion(rotations.multiply(rotations.conjugate(mean), rotation))


def test_trembling_falls_to_a_third() -> None:
    take = trembling_take()
    found = polish(take).right
    for joint in range(16):
        before, after = (turns(track.rotation[:, joint]) for track in (take.right, found))
        assert jitter(after) < jitter(before) / 3.0
    assert jitter(found.translation) < jitter(take.right.translation) / 3.0


@pytest.mark.parametrize("rate", [30.0, 60.0])
@pytest.mark.parametrize(("hertz", "degrees"), [(3.0, 15.0), (6.0, 10.0), (8.0, 8.0)])
def test_a_beat_keeps_amplitude_and_time(hertz: float, degrees: float, rate: float) -> None:
    count = int(6 * rate)
    time = np.arange(count) / rate
    quiet = trembling_take(count, degrees=0.5)
    # Two still seconds, two of beating, two still: as hands are.
    beating = (time >= 2.0) & (time < 4.0)
    wave = np.radians(degrees) * np.sin(2 * np.pi * hertz * time) * beating
    turn = rotations.quaternion_from_vector(wave[:, None] * np.array([0.0, 0.0, 1.0]))
    rotation = quiet.right.raw_rotation.copy()
    rotation[:, 5] = rotations.multiply(rotation[:, 5], turn)
    found = polish(take_of(rotation, quiet.right.raw_translation, rate=rate)).right
    inside = (time > 2.2) & (time < 3.8)
    given = rotations.vector_from_quaternion(
        rotations.multiply(rotations.conjugate(rotations.normalized(rotation[0, 5])), found.rotation[:, 5])
    )[:, 2]
    sine, cosine = np.sin(2 * np.pi * hertz * time[inside]), np.cos(2 * np.pi * hertz * time[inside])
    system = np.stack([sine, cosine, np.ones_like(sine)], axis=1)
    in_phase, out_of_phase, _ = np.linalg.lstsq(system, given[inside], rcond=None)[0]
    assert np.hypot(in_phase, out_of_phase) > 0.9 * np.radians(degrees)
    delay = np.arctan2(out_of_phase, in_phase) / (2 * np.pi * hertz)
    assert abs(delay) < 0.005


@pytest.mark.parametrize("hertz", [3.0, 6.0])
def test_a_short_clip_of_a_hand_that_waves_nearly_all_the_time_keeps_its_wave(hertz: float) -> None:
    time = np.arange(60) / RATE
    quiet = trembling_take(60, degrees=0.5)
    waving = (time >= 0.33) & (time < 1.67)
    wave = 0.025 * np.sin(2 * np.pi * hertz * time) * waving
    place = quiet.right.raw_translation * [0.1, 0.1, 1.0] + wave[:, None] * np.array([0.9, 0.4, 0.0])
    found = polish(take_of(quiet.right.raw_rotation, place)).right.translation
    inside = (time > 0.5) & (time < 1.5)
    swing = [(one[inside] * np.sin(2 * np.pi * hertz * time[inside])).sum() for one in (found[:, 0], place[:, 0])]
    assert swing[0] > 0.9 * swing[1]


def test_depth_trembles_alone() -> None:
    """A hand at the picture's edge whose depth alone is uncertain does not come to move sideways in the picture."""
    depth = 0.5 + 0.004 * np.random.default_rng(5).normal(size=90)
    still = trembling_take(90, degrees=0.1)
    given = depth[:, None] * np.array([0.4, -0.3, 1.0])
    found = polish(take_of(still.right.raw_rotation, given)).right.translation
    np.testing.assert_allclose(found[:, :2] / found[:, 2:], np.tile([0.4, -0.3], (90, 1)), atol=1e-9)
    assert jitter(found[:, 2:]) < jitter(depth[:, None]) / 3.0


def test_slow_motion_is_not_delayed_or_flattened() -> None:
    time = np.arange(240) / RATE
    place = np.stack([0.1 * np.sin(2 * np.pi * 0.7 * time), 0 * time, 0.5 + 0 * time], axis=1)
    take = take_of(np.tile(rotations.IDENTITY, (240, 16, 1)), place)
    away = np.abs(polish(take).right.translation - place).max(1)
    assert away[8:-8].max() < 0.002 and away.max() < 0.004


def test_nothing_happens_at_strength_zero() -> None:
    take = trembling_take(50)
    found = polish(take, PolishSettings(strength=0.0)).right
    np.testing.assert_allclose(rotations.angle_between(found.rotation, take.right.raw_rotation), 0.0, atol=1e-7)
    np.testing.assert_array_equal(found.translation, take.right.raw_translation)


def test_polish_starts_from_the_raw_result_every_time() -> None:
    take = trembling_take(80)
    once = polish(take)
    twice = polish(polish(take, PolishSettings(strength=2.0)))
    np.testing.assert_array_equal(once.right.rotation, twice.right.rotation)
    np.testing.assert_array_equal(once.right.raw_rotation, take.right.raw_rotation)
    json.dumps(once.meta["polish"])


def test_it_does_not_matter_how_the_world_is_turned() -> None:
    take = trembling_take(60)
    turn = rotations.quaternion_from_vector([0.4, -1.2, 2.0])
    rotation = take.right.raw_rotation.copy()
    rotation[:, 0] = rotations.multiply(turn, rotation[:, 0])
    found = polish(take_of(rotation, take.right.raw_translation)).right.rotation[:, 0]
    expected = rotations.multiply(turn, polish(take).right.rotation[:, 0])
    np.testing.assert_allclose(rotations.angle_between(found, expected), 0.0, atol=1e-7)


def test_a_doubtful_frame_takes_less_part() -> None:
    take = trembling_take(60, degrees=0.1)
    rotation = take.right.raw_rotation.copy()
    rotation[30, 3] = rotations.multiply(rotation[30, 3], rotations.quaternion_from_vector([0.0, 0.0, 0.06]))
    trusted = take_of(rotation, take.right.raw_translation)
    confidence = trusted.right.confidence.copy()
    confidence[30] = 0.02
    doubted = replace(trusted, right=replace(trusted.right, confidence=confidence))

    def neighbours(given: Take) -> float:
        found = polish(given).right.rotation[[29, 31], 3]
        return float(rotations.angle_between(found, polish(take).right.rotation[[29, 31], 3]).max())

    assert neighbours(doubted) < 0.6 * neighbours(trusted)


def moving_take(count: int, gap: slice) -> Take:
    time = np.arange(count) / RATE
    rotation = rotations.quaternion_from_vector(time[:, None, None] * 0.5 * np.ones((16, 3)))
    place = np.array([0.0, 0.0, 0.5]) + time[:, None] * np.array([0.1, 0.0, 0.0])
    rotation[gap], place[gap] = rotations.IDENTITY, np.nan
    return take_of(rotation, place)


def test_short_gaps_are_filled_and_long_ones_left() -> None:
    found = polish(moving_take(90, slice(20, 35))).right
    assert (found.state[20:35] == State.FILLED).all()
    straight = np.array([0.0, 0.0, 0.5]) + np.arange(20, 35)[:, None] / RATE * np.array([0.1, 0.0, 0.0])
    np.testing.assert_allclose(found.translation[20:35], straight, atol=2e-3)
    steps = rotations.angle_between(found.rotation[1:], found.rotation[:-1])
    assert steps.max() < 3.0 * np.median(steps)
    assert np.isfinite(found.points[20:35]).all()
    left = polish(moving_take(90, slice(20, 60))).right
    assert (left.state[20:60] == State.ABSENT).all() and np.isnan(left.translation[20:60]).all()
    np.testing.assert_array_equal(left.rotation[30], np.tile(rotations.IDENTITY, (16, 1)))


def test_gaps_can_be_held_or_eased_to_rest_or_left() -> None:
    take = moving_take(80, slice(20, 45))
    held = polish(take, PolishSettings(gaps="hold")).right
    np.testing.assert_allclose(rotations.angle_between(held.rotation[20:34], held.rotation[19]), 0.0, atol=1e-6)
    np.testing.assert_allclose(held.translation[44], held.translation[45], atol=0.01)
    rest = polish(take, PolishSettings(gaps="rest")).right
    np.testing.assert_allclose(rotations.angle_between(rest.rotation[32, 1:], rest_pose("right")[1:]), 0.0, atol=1e-6)
    none = polish(take, PolishSettings(gaps="none")).right
    assert (none.state[20:45] == State.ABSENT).all()


def test_filling_is_repeatable_and_edges_stay_empty() -> None:
    take = moving_take(60, slice(20, 30))
    once = polish(take)
    again = polish(once, PolishSettings(gaps="none"))
    assert (again.right.state[20:30] == State.ABSENT).all()
    np.testing.assert_array_equal(polish(again).right.state, once.right.state)
    edge = polish(moving_take(60, slice(0, 10))).right
    assert (edge.state[:10] == State.ABSENT).all()


def test_corrected_frames_stay_exactly() -> None:
    take = trembling_take(60)
    wanted = take.right.raw_rotation[25, 4]
    record = np.array([(25, 1, int(CorrectionKind.ROTATION), 4, wanted)], dtype=CORRECTION_DTYPE)
    state = take.right.state.copy()
    state[25] = State.CORRECTED
    given = take.with_tracks(corrections=record, right=replace(take.right, state=state))
    found = polish(given).right
    np.testing.assert_allclose(rotations.angle_between(found.rotation[25, 4], wanted), 0.0, atol=1e-7)
    np.testing.assert_allclose(found.translation[25], take.right.raw_translation[25], atol=1e-12)
    assert found.state[25] == State.CORRECTED


def test_a_frame_the_user_calls_absent_is_not_filled() -> None:
    take = moving_take(60, slice(20, 22))
    record = np.array([(20, 1, int(CorrectionKind.ABSENT), 0, np.zeros(4))], dtype=CORRECTION_DTYPE)
    assert (polish(take.with_tracks(corrections=record)).right.state[20:22] == State.ABSENT).all()


def test_points_are_those_of_the_polished_pose() -> None:
    take = trembling_take(20)
    found = polish(take).right
    model = free_hand("right")
    posed = model.pose(found.rotation, found.translation, model.rest(take.betas, take.size))
    np.testing.assert_allclose(found.points, posed.keypoints, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(found.rotation, axis=-1), 1.0, atol=1e-9)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_tiny_takes(count: int) -> None:
    take = trembling_take(max(count, 1))
    if not count:
        take = take_of(take.right.raw_rotation, np.full((1, 3), np.nan))
    assert len(polish(take).right.rotation) == max(count, 1)
