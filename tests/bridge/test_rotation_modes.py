# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotations in every form Blender stores, held against mathutils."""

from __future__ import annotations

import numpy as np
import pytest
from mathutils import Euler, Quaternion
from numpy.typing import NDArray

from blender_handmocap.bridge import rotation_modes
from blender_handmocap.engine import rotations

Array = NDArray[np.float64]
ORDERS = ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX")
MODES = (*ORDERS, "QUATERNION", "AXIS_ANGLE")


def tumbling(frames: int = 400) -> Array:
    """A smooth path (T, 4) that turns several times about changing axes, with random signs."""
    t = np.linspace(0.0, 1.0, frames)
    steps = np.stack([np.sin(5 * t), np.cos(7 * t), np.sin(3 * t + 1)], axis=-1) * 0.09
    q = np.empty((frames, 4))
    q[0] = (1.0, 0.0, 0.0, 0.0)
    for i in range(1, frames):
        q[i] = rotations.multiply(q[i - 1], rotations.quaternion_from_vector(steps[i]))
    return q * np.random.default_rng(0).choice([-1.0, 1.0], size=(frames, 1))


@pytest.mark.parametrize("order", ORDERS)
def test_euler_angles_mean_what_mathutils_says(order: str) -> None:
    q = rotations.normalized(np.random.default_rng(1).normal(size=(200, 4)))
    angles = rotation_modes.from_quaternions(q, order)
    theirs = np.array([Euler(a, order).to_quaternion() for a in angles])
    assert rotations.angle_between(theirs, q).max() < 1e-5
    assert rotations.angle_between(rotation_modes.to_quaternions(angles, order), q).max() < 1e-6


@pytest.mark.parametrize("order", ORDERS)
def test_gimbal_lock_is_still_the_same_rotation(order: str) -> None:
    angles = np.zeros((3, 3))
    angles[:, "XYZ".index(order[1])] = [np.pi / 2, -np.pi / 2, np.pi / 2]
    angles[:, "XYZ".index(order[0])] = [0.3, -1.0, 2.0]
    q = np.array([Euler(a, order).to_quaternion() for a in angles])
    back = rotation_modes.from_quaternions(q, order)
    assert rotations.angle_between(rotation_modes.to_quaternions(back, order), q).max() < 1e-3


def test_axis_angle_means_what_mathutils_says() -> None:
    q = rotations.normalized(np.random.default_rng(2).normal(size=(100, 4)))
    values = rotation_modes.from_quaternions(q, "AXIS_ANGLE")
    theirs = np.array([Quaternion(v[1:], v[0]) for v in values])
    assert rotations.angle_between(theirs, q).max() < 1e-5


@pytest.mark.parametrize("mode", MODES)
def test_a_smooth_motion_has_smooth_values(mode: str) -> None:
    q = tumbling()
    values = rotation_modes.from_quaternions(q, mode)
    assert rotations.angle_between(rotation_modes.to_quaternions(values, mode), q).max() < 1e-6
    if mode in ("QUATERNION", "AXIS_ANGLE"):
        assert np.abs(np.diff(values, axis=0)).max() < 0.5
        return
    # Near gimbal lock angles move fast however they are chosen: no choice of solution and whole turns moves less.
    middle = "XYZ".index(mode[1])
    steps = (np.diff(values, axis=0) ** 2).sum(-1)
    other = values + np.pi
    other[:, middle] = np.pi - values[:, middle]
    alternative = (((other[1:] - values[:-1] + np.pi) % (2 * np.pi) - np.pi) ** 2).sum(-1)
    assert (steps <= alternative + 1e-9).all()
    assert np.abs(np.diff(values, axis=0)).max() <= np.pi


@pytest.mark.parametrize("mode", MODES)
def test_values_follow_those_before_them(mode: str) -> None:
    q = tumbling()
    whole = rotation_modes.from_quaternions(q, mode)
    later = rotation_modes.from_quaternions(q[200:], mode, before=whole[199])
    assert np.abs(later - whole[200:]).max() < 1e-6


@pytest.mark.parametrize("mode", MODES)
def test_a_hand_that_does_not_turn(mode: str) -> None:
    values = rotation_modes.from_quaternions(np.tile([1.0, 0.0, 0.0, 0.0], (5, 1)), mode)
    assert np.isfinite(values).all()
    assert np.abs(rotation_modes.to_quaternions(values, mode) - [1.0, 0.0, 0.0, 0.0]).max() < 1e-9
