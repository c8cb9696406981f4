# SPDX-License-Identifier: GPL-3.0-or-later
"""Angle measures against rotations made by hand."""

import numpy as np
import pytest

from benchmarks.measures import angles
from blender_handmocap.engine.rotations import IDENTITY, quaternion_from_vector, rotate


def still(count=1):
    return np.tile(IDENTITY, (count, 16, 1))


def test_joint_angles_by_hand():
    predicted = still()
    predicted[0, 3] = quaternion_from_vector(np.radians([0.0, 30.0, 0.0]))
    predicted[0, 7] = -quaternion_from_vector(np.radians([0.0, 0.0, 40.0]))
    predicted[0, 0] = quaternion_from_vector(np.radians([90.0, 0.0, 0.0]))
    errors = angles.joint_angle_errors_deg(predicted, still())
    assert errors.shape == (1, 15)
    np.testing.assert_allclose(errors[0, [2, 6]], [30.0, 40.0])
    assert np.count_nonzero(errors > 1e-9) == 2
    # sqrt((30^2 + 40^2) / 15); the root is not among the fifteen.
    assert angles.angle_rmse_deg(errors) == pytest.approx(50.0 / 15**0.5)
    np.testing.assert_allclose(angles.root_rotation_deg(predicted, still()), [90.0])


def test_rmse_within_a_mask():
    errors = np.full((1, 15), 5.0)
    errors[0, 4] = 60.0
    mask = np.zeros((1, 15), bool)
    mask[0, 4] = True
    assert angles.angle_rmse_deg(errors, mask) == pytest.approx(60.0)
    assert angles.angle_rmse_deg(errors, ~mask) == pytest.approx(5.0)
    assert np.isnan(angles.angle_rmse_deg(np.full((1, 15), np.nan)))


def test_rotation_of_points():
    rng = np.random.default_rng(3)
    hand = rng.normal(size=(2, 21, 3)) * 40
    turn = quaternion_from_vector(np.radians([[0.0, 25.0, 0.0], [0.0, 0.0, 0.0]]))
    turned = np.stack([rotate(q, h) for q, h in zip(turn, hand, strict=True)]) * 1.3 + 500.0
    np.testing.assert_allclose(angles.points_rotation_deg(turned, hand), [25.0, 0.0], atol=1e-5)
    hand[1, 3:] = np.nan
    assert np.isnan(angles.points_rotation_deg(turned, hand)[1])


def bent(degrees):
    """A hand whose index PIP is bent by so much; the other fingers are straight along x."""
    hand = np.zeros((1, 21, 3))
    for finger in range(5):
        hand[0, 1 + 4 * finger : 5 + 4 * finger] = [[10 * k, 10 * finger, 0] for k in range(1, 5)]
    along = np.array([np.cos(np.radians(degrees)), 0.0, np.sin(np.radians(degrees))])
    hand[0, 7], hand[0, 8] = hand[0, 6] + 10 * along, hand[0, 6] + 20 * along
    return hand


def test_bend_of_fingers():
    np.testing.assert_allclose(angles.pip_bend_deg(bent(70.0)), [[70.0, 0.0, 0.0, 0.0]], atol=1e-9)


def test_bent_fingers_only_and_sign():
    difference = angles.bent_pip_differences_deg(bent(40.0), bent(70.0))
    assert difference[0, 0] == pytest.approx(-30.0)
    assert np.isnan(difference[0, 1:]).all()
    assert np.isnan(angles.bent_pip_differences_deg(bent(70.0), bent(29.0))).all()
