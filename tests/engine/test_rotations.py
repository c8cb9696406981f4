# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotations against OpenCV's Rodrigues and against their own definitions."""

import cv2
import numpy as np
import pytest

from blender_handmocap.engine import rotations

RNG = np.random.default_rng(7)


def random_vectors(count: int) -> np.ndarray:
    axis = RNG.normal(size=(count, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    return axis * RNG.uniform(0, np.pi - 1e-3, size=(count, 1))


def test_matrix_from_vector_agrees_with_opencv() -> None:
    vectors = np.concatenate([random_vectors(50), np.zeros((1, 3)), [[1e-9, 0, 0]], [[1e-7, -1e-7, 0]]])
    expected = np.array([cv2.Rodrigues(v)[0] for v in vectors])
    np.testing.assert_allclose(rotations.matrix_from_vector(vectors), expected, atol=1e-12)


def test_every_conversion_goes_round() -> None:
    vectors = random_vectors(200)
    q = rotations.quaternion_from_vector(vectors)
    np.testing.assert_allclose(rotations.vector_from_quaternion(q), vectors, atol=1e-9)
    matrix = rotations.matrix_from_vector(vectors)
    np.testing.assert_allclose(rotations.matrix_from_quaternion(q), matrix, atol=1e-12)
    np.testing.assert_allclose(rotations.vector_from_matrix(matrix), vectors, atol=1e-7)


@pytest.mark.parametrize("axis", [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0.8, 0], [-0.36, 0.48, 0.8]])
def test_half_turns_survive_the_matrix(axis: list[float]) -> None:
    matrix = rotations.matrix_from_vector(np.array(axis) * np.pi)
    vector = rotations.vector_from_matrix(matrix)
    assert np.isclose(np.linalg.norm(vector), np.pi)
    np.testing.assert_allclose(rotations.matrix_from_vector(vector), matrix, atol=1e-12)


def test_multiply_is_second_then_first() -> None:
    a, b = rotations.quaternion_from_vector(random_vectors(20)), rotations.quaternion_from_vector(random_vectors(20))
    product = rotations.matrix_from_quaternion(rotations.multiply(a, b))
    expected = rotations.matrix_from_quaternion(a) @ rotations.matrix_from_quaternion(b)
    np.testing.assert_allclose(product, expected, atol=1e-12)
    point = RNG.normal(size=(20, 3))
    np.testing.assert_allclose(
        rotations.rotate(a, point), np.einsum("nij,nj->ni", rotations.matrix_from_quaternion(a), point)
    )


def test_continuous_removes_every_sign_jump_and_no_rotation() -> None:
    smooth = rotations.quaternion_from_vector(np.linspace(0, 6, 100)[:, None] * np.array([0.1, 0.9, 0.2]))
    flipped = smooth * RNG.choice([-1.0, 1.0], size=(100, 1))
    flipped[0] = smooth[0]
    result = rotations.continuous(flipped)
    assert ((result[1:] * result[:-1]).sum(-1) > 0).all()
    np.testing.assert_allclose(result, smooth, atol=1e-12)


def test_slerp_is_constant_speed_and_takes_the_short_way() -> None:
    a = rotations.quaternion_from_vector([0.0, 0.0, 0.2])
    b = -rotations.quaternion_from_vector([0.0, 0.0, 1.2])
    for share in (0.0, 0.25, 1.0):
        angle = rotations.vector_from_quaternion(rotations.slerp(a, b, share))[2]
        assert np.isclose(angle, 0.2 + share)


def test_angle_between_known_rotations() -> None:
    a = rotations.quaternion_from_vector([0.3, 0, 0])
    assert np.isclose(rotations.angle_between(a, rotations.quaternion_from_vector([-0.4, 0, 0])), 0.7)
    assert rotations.angle_between(a, -a) == pytest.approx(0.0, abs=1e-12)


def test_mirrored_equals_reflecting_the_matrix() -> None:
    q = rotations.quaternion_from_vector(random_vectors(10))
    flip = np.diag([-1.0, 1.0, 1.0])
    expected = flip @ rotations.matrix_from_quaternion(q) @ flip
    np.testing.assert_allclose(rotations.matrix_from_quaternion(rotations.mirrored(q)), expected, atol=1e-12)


def test_aligning_rotation_recovers_a_known_rotation_and_never_reflects() -> None:
    cloud = RNG.normal(size=(5, 8, 3))
    truth = rotations.matrix_from_vector(random_vectors(5))
    target = np.einsum("nij,nkj->nki", truth, cloud) + RNG.normal(size=(5, 1, 3))
    np.testing.assert_allclose(rotations.aligning_rotation(cloud, target), truth, atol=1e-9)
    weight = np.ones((5, 8))
    weight[:, -1] = 0.0
    target[:, -1] += 5.0
    np.testing.assert_allclose(rotations.aligning_rotation(cloud, target, weight), truth, atol=1e-9)
    mirror = rotations.aligning_rotation(cloud[0], cloud[0] * [-1, 1, 1])
    assert np.linalg.det(mirror) == pytest.approx(1.0)
