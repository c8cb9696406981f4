# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit import hinges as hinge
from blender_handmocap.engine.hand.free import Hinges, free_hinges
from blender_handmocap.engine.hand.names import JOINT_NAMES, SIDES


def random_angles(hinges: Hinges, count: int, seed: int = 0) -> np.ndarray:
    share = np.random.default_rng(seed).uniform(size=(count, 16, 3))
    return (hinges.limits[..., 0] + share * (hinges.limits[..., 1] - hinges.limits[..., 0])) * hinges.free


def about(axis: np.ndarray, angle: float) -> np.ndarray:
    return rotations.matrix_from_vector(axis * angle)


def test_rotation_is_flexion_then_abduction_then_twist_about_the_frame_axes() -> None:
    hinges = free_hinges("right")
    angles = np.zeros((16, 3))
    joint = JOINT_NAMES.index("thumb1")
    angles[joint] = 0.3, -0.2, 0.4
    flexion, abduction, twist = hinges.frame[joint].T
    expected = about(flexion, 0.3) @ about(abduction, -0.2) @ about(twist, 0.4)
    found = rotations.matrix_from_quaternion(hinge.rotations_from_angles(angles, hinges))
    np.testing.assert_allclose(found[joint], expected, atol=1e-9)
    np.testing.assert_allclose(np.delete(found, joint, 0), np.tile(np.eye(3), (15, 1, 1)), atol=1e-12)


@pytest.mark.parametrize("side", SIDES)
def test_angles_survive_the_way_to_rotations_and_back(side: str) -> None:
    hinges = free_hinges(side)
    angles = random_angles(hinges, 200)
    back = hinge.angles_from_rotations(hinge.rotations_from_angles(angles, hinges), hinges)
    np.testing.assert_allclose(back, angles, atol=1e-7)


def test_left_rotations_are_the_mirrored_right_ones() -> None:
    angles = random_angles(free_hinges("right"), 20)
    right = hinge.rotations_from_angles(angles, free_hinges("right"))
    left = hinge.rotations_from_angles(angles, free_hinges("left"))
    np.testing.assert_allclose(left, rotations.mirrored(right), atol=1e-12)


def test_root_is_put_in_front() -> None:
    root = rotations.quaternion_from_vector([[0.1, 0.2, 0.3], [1.0, 0.0, 0.0]])
    made = hinge.rotations_from_angles(np.zeros((2, 16, 3)), free_hinges("right"), root)
    np.testing.assert_allclose(made[:, 0], root)


def test_nearest_angles_cannot_be_improved() -> None:
    hinges = free_hinges("right")
    rng = np.random.default_rng(1)
    wild = rotations.quaternion_from_vector(rng.normal(size=(50, 16, 3)) * 0.4)
    angles = hinge.angles_from_rotations(wild, hinges, carry=False)
    distance = rotations.angle_between(hinge.rotations_from_angles(angles, hinges), wild)[:, 1:]
    for step in rng.normal(size=(200, 16, 3)) * 0.02:
        moved = hinge.rotations_from_angles(angles + step * hinges.free, hinges)
        assert (rotations.angle_between(moved, wild)[:, 1:] >= distance - 1e-7).all()


def test_what_a_joint_cannot_do_is_carried_to_the_next() -> None:
    hinges = free_hinges("right")
    knuckle, middle = JOINT_NAMES.index("index1"), JOINT_NAMES.index("index2")
    angles = np.zeros((16, 3))
    angles[knuckle, 0], angles[middle, 0] = hinges.limits[knuckle, 0, 1] + 0.2, 0.5
    # Parallel axes, so that bending in the one or in the other joint is the same for the end.
    hinges.frame[middle] = hinges.frame[knuckle]
    rotation = hinge.rotations_from_angles(angles, hinges)
    found = hinge.angles_from_rotations(rotation, hinges, within_limits=True)
    np.testing.assert_allclose(found[knuckle, 0], hinges.limits[knuckle, 0, 1])
    np.testing.assert_allclose(found[middle, 0], 0.7, atol=1e-9)
    alone = hinge.angles_from_rotations(rotation, hinges, within_limits=True, carry=False)
    np.testing.assert_allclose(alone[middle, 0], 0.5, atol=1e-9)


def test_limits_are_kept_on_request() -> None:
    hinges = free_hinges("right")
    wild = rotations.quaternion_from_vector(np.random.default_rng(3).normal(size=(30, 16, 3)))
    angles = hinge.angles_from_rotations(wild, hinges, within_limits=True)
    assert (angles >= hinges.limits[..., 0] - 1e-12)[:, hinges.free].all()
    assert (angles <= hinges.limits[..., 1] + 1e-12)[:, hinges.free].all()
    assert (angles[:, ~hinges.free] == 0.0).all()


def test_pack_and_unpack_are_inverse() -> None:
    hinges = free_hinges("right")
    angles = random_angles(hinges, 4)
    packed = hinge.pack(angles, hinges)
    assert packed.shape == (4, int(hinges.free.sum()))
    np.testing.assert_array_equal(hinge.unpack(packed, hinges), angles)
