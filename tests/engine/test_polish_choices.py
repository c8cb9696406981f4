# SPDX-License-Identifier: GPL-3.0-or-later
"""Choices of the clean-up, and what a user fixed since a take was solved."""

import numpy as np

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit.hinges import angles_from_rotations, rotations_from_angles
from blender_handmocap.engine.hand.free import free_hinges
from blender_handmocap.engine.polish import PolishSettings, polish
from blender_handmocap.engine.take import CORRECTION_DTYPE, CorrectionKind
from tests.engine.test_polish_take import jitter, take_of, trembling_take, turns


def test_rotations_and_places_are_smoothed_apart() -> None:
    take = trembling_take(120)
    raw = take.right
    still = polish(take, PolishSettings(strength=0.0, place_strength=1.0)).right
    np.testing.assert_allclose(rotations.angle_between(still.rotation, raw.raw_rotation), 0.0, atol=1e-6)
    assert jitter(still.translation) < 0.6 * jitter(raw.raw_translation)
    other = polish(take, PolishSettings(strength=1.0, place_strength=0.0)).right
    np.testing.assert_allclose(other.translation, raw.raw_translation)
    assert jitter(turns(other.rotation)) < 0.6 * jitter(turns(raw.raw_rotation))


def test_joint_limits_bring_fingers_back_and_leave_the_rest() -> None:
    hinges = free_hinges("right")
    angles = np.zeros((30, 16, 3))
    angles[:, 2, 0] = np.radians(150.0)
    angles[:, 5, 0] = np.radians(40.0)
    take = take_of(rotations_from_angles(angles, hinges), np.tile([0.0, 0.0, 0.5], (30, 1)))
    loose = polish(take, PolishSettings(strength=0.0)).right
    tight = polish(take, PolishSettings(strength=0.0, limits=True)).right
    found = angles_from_rotations(tight.rotation, hinges, carry=False)
    assert np.abs(found[:, 2, 0] - hinges.limits[2, 0, 1]).max() < 1e-6
    assert np.degrees(np.abs(angles_from_rotations(loose.rotation, hinges, carry=False)[:, 2, 0])).min() > 149.0
    np.testing.assert_allclose(tight.rotation[:, 5], loose.rotation[:, 5], atol=1e-9)
    np.testing.assert_allclose(tight.rotation[:, 0], loose.rotation[:, 0], atol=1e-9)


def test_what_was_fixed_since_the_solve_is_exact_and_leads_over() -> None:
    take = trembling_take(60, degrees=0.2)
    wanted = rotations.multiply(take.right.raw_rotation[30, 5], rotations.quaternion_from_vector([0.4, 0.0, 0.0]))
    place = np.array([0.05, 0.1, 0.5, 0.0])
    records = np.array(
        [
            (30, 1, int(CorrectionKind.ROTATION), 5, wanted),
            (30, 1, int(CorrectionKind.TRANSLATION), 0, place),
        ],
        CORRECTION_DTYPE,
    )
    without = polish(take).right
    fixed = polish(take.with_tracks(corrections=records)).right
    assert rotations.angle_between(fixed.rotation[30, 5], wanted) < 1e-6
    np.testing.assert_allclose(fixed.translation[30], place[:3])
    moved = np.degrees(rotations.angle_between(fixed.rotation[:, 5], without.rotation[:, 5]))
    assert moved[29] > 15.0
    assert np.diff(moved[:31]).min() > -2.0
    assert moved[[10, 50]].max() < 0.5
    assert np.linalg.norm(fixed.translation[[10, 50]] - without.translation[[10, 50]], axis=-1).max() < 1e-9
