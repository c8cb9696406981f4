# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import numpy as np

from blender_handmocap.engine import rotations
from blender_handmocap.engine.polish.live import LivePolish
from blender_handmocap.engine.polish.oneeuro import OneEuro, OneEuroRotation


def test_a_step_is_followed_as_a_first_order_low_pass_would() -> None:
    # Without responsiveness it is an exponential with time constant 1 / (2 pi cutoff).
    filtered = OneEuro(cutoff=2.0, responsiveness=0.0)
    filtered.step(np.zeros(1), 0.0)
    step = 1e-4
    for i in range(1, 2001):
        value = filtered.step(np.ones(1), i * step)
    np.testing.assert_allclose(value, 1.0 - np.exp(-2 * np.pi * 2.0 * 0.2), atol=1e-3)


def test_still_values_are_calmed_and_fast_ones_followed() -> None:
    rng = np.random.default_rng(0)
    time = np.arange(200) / 30.0
    filtered = OneEuro(cutoff=1.0, responsiveness=30.0)
    noise = 0.001 * rng.normal(size=(200, 3))
    out = np.stack([filtered.step(x, t) for x, t in zip(noise, time, strict=True)])
    assert np.abs(np.diff(out[20:], axis=0)).mean() < 0.4 * np.abs(np.diff(noise[20:], axis=0)).mean()
    moving = np.stack([0.5 * time] * 3, axis=1)
    filtered = OneEuro(cutoff=1.0, responsiveness=30.0)
    out = np.stack([filtered.step(x, t) for x, t in zip(moving, time, strict=True)])
    assert np.abs(out[-1] - moving[-1]).max() < 0.5 * 0.05


def test_rotations_are_filtered_as_their_turn_about_one_axis() -> None:
    rng = np.random.default_rng(1)
    angle = np.cumsum(rng.normal(size=100) * 0.05)
    axis = np.array([0.6, 0.0, 0.8])
    plain, turning = OneEuro(1.0, 2.0), OneEuroRotation(1.0, 2.0)
    for i in range(100):
        expected = plain.step(angle[i : i + 1], i / 30.0)
        found = turning.step(rotations.quaternion_from_vector(axis * angle[i]), i / 30.0)
        same = rotations.angle_between(found, rotations.quaternion_from_vector(axis * expected))
        np.testing.assert_allclose(same, 0.0, atol=1e-7)


def test_signs_of_quaternions_do_not_matter() -> None:
    turning = OneEuroRotation(1.0, 1.0)
    q = rotations.quaternion_from_vector([[0.1, 0.2, 0.3]])
    turning.step(q, 0.0)
    np.testing.assert_allclose(turning.step(-q, 0.1), q, atol=1e-12)


def test_reset_and_strength_zero() -> None:
    live = LivePolish()
    pose, place = np.tile(rotations.IDENTITY, (16, 1)), np.zeros(3)
    live.step(pose, place, 0.0)
    live.reset()
    np.testing.assert_array_equal(live.step(pose, place + 1.0, 0.1)[1], place + 1.0)
    off = LivePolish(strength=0.0)
    off.step(pose, place, 0.0)
    np.testing.assert_array_equal(off.step(pose, place + 5.0, 0.1)[1], place + 5.0)


def test_time_that_stands_still_passes_values_through() -> None:
    filtered = OneEuro(1.0, 0.0)
    filtered.step(np.zeros(1), 1.0)
    np.testing.assert_array_equal(filtered.step(np.ones(1), 1.0), np.ones(1))
