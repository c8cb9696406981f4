# SPDX-License-Identifier: GPL-3.0-or-later
"""Fewer keys that say the same, and the poses an animator would have keyed."""

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.polish.thinning import between_keys, keys_within, poses, slopes, turn_error

TIME = np.arange(120) / 30.0


def waving(speed: float = 2.0) -> np.ndarray:
    """(120, 4) a joint that bends to and fro."""
    vectors = np.stack([0.6 * np.sin(speed * TIME), 0.2 * np.cos(1.3 * speed * TIME), 0.1 * TIME], axis=-1)
    return rotations.continuous(rotations.quaternion_from_vector(vectors))


@pytest.mark.parametrize("degrees", [0.3, 1.0, 4.0])
def test_no_frame_is_off_by_more_than_was_asked(degrees: float) -> None:
    q = waving()
    keys = keys_within([(q, np.radians(degrees))], TIME)
    played = between_keys(q, slopes(q, TIME), TIME, keys)
    unit = played / np.linalg.norm(played, axis=-1, keepdims=True)
    assert np.degrees(rotations.angle_between(q, unit)).max() <= degrees
    assert {0, 119} <= set(keys.tolist())
    assert len(keys) < 40


def test_a_looser_error_needs_fewer_keys_and_none_needs_all() -> None:
    q = waving(6.0)
    counts = [len(keys_within([(q, np.radians(e))], TIME)) for e in (1e-6, 0.2, 1.0, 5.0)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == len(TIME)
    assert counts[-1] < 40


def test_places_count_in_their_own_unit() -> None:
    place = np.stack([np.sin(2 * TIME), np.zeros(120), np.zeros(120)], axis=-1)
    keys = keys_within([(place, 0.01)], TIME)
    assert np.abs(between_keys(place, slopes(place, TIME), TIME, keys) - place).max() <= 0.01


def test_a_still_curve_keeps_its_ends() -> None:
    still = np.tile(rotations.IDENTITY, (50, 1))
    assert keys_within([(still, 0.01)], TIME[:50]).tolist() == [0, 49]
    assert keys_within([(still[:1], 0.01)], TIME[:1]).tolist() == [0]


def test_the_error_of_a_turn_is_its_angle() -> None:
    q = waving()
    turned = rotations.multiply(q, rotations.quaternion_from_vector([0.02, 0.0, 0.0]))
    np.testing.assert_allclose(turn_error(q, 1.1 * turned), 0.02, atol=1e-5)


def test_poses_are_where_the_hand_holds_and_turns_back() -> None:
    """One second still, a move, a hold, a move back past it, an extreme, and home."""
    angle = np.interp(np.arange(120), [0, 20, 35, 60, 80, 100, 119], [0, 0, 1, 1, 0.2, 0.9, 0.9])
    ease = np.convolve(np.pad(angle, 3, mode="edge"), np.ones(7) / 7, mode="valid")
    q = rotations.quaternion_from_vector(np.stack([ease, 0 * ease, 0 * ease], axis=-1))
    frames = poses(np.stack([q, q], axis=1), TIME)
    for wanted in (0, 20, 35, 60, 80, 100, 119):
        assert np.abs(frames - wanted).min() <= 4, wanted
    assert len(frames) < 14
    assert np.diff(TIME[frames]).min() > 0.09


def test_too_few_frames_are_all_poses() -> None:
    assert poses(waving()[:2, None], TIME[:2]).tolist() == [0, 1]
