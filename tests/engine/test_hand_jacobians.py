# SPDX-License-Identifier: GPL-3.0-or-later
"""The analytic Jacobians against central differences, with and without pose correctives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.hand.jacobians import PointJacobian, keypoint_jacobian, vertex_jacobian
from blender_handmocap.engine.hand.model import HandModel, RestHand
from blender_handmocap.engine.hand.names import SIDES, Side

Array = NDArray[np.float64]
STEP = 1e-5
FRAMES = 2
CHOSEN = np.array([3, 250, 251, 700, 1100, 1500])


def _with_pose_dirs(model: HandModel) -> HandModel:
    rng = np.random.default_rng(7)
    return replace(model, pose_dirs=rng.normal(scale=2e-3, size=(135, len(model.template), 3)))


def _state(seed: int) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    quaternion = rotations.quaternion_from_vector(rng.normal(scale=0.7, size=(FRAMES, 16, 3)))
    return quaternion, rng.normal(scale=0.2, size=(FRAMES, 3)), rng.normal(size=10)


def _points(model: HandModel, rotation: Array, translation: Array, rest: RestHand, mesh: bool) -> Array:
    posed = model.pose(rotation, translation, rest)
    return model.skin(posed, rest, rotation, CHOSEN) if mesh else posed.keypoints


def _turned(rotation: Array, joint: int, increment: Array) -> Array:
    out = rotation.copy()
    out[:, joint] = rotations.multiply(rotations.quaternion_from_vector(increment), rotation[:, joint])
    return out


def _central(function: Callable[[float], Array]) -> Array:
    return (function(STEP) - function(-STEP)) / (2.0 * STEP)


@pytest.mark.parametrize("mesh", [False, True], ids=["keypoints", "vertices"])
@pytest.mark.parametrize("correctives", [False, True], ids=["plain", "pose_dirs"])
@pytest.mark.parametrize("size", [None, 0.083], ids=["unsized", "sized"])
@pytest.mark.parametrize("side", SIDES)
def test_every_column_equals_central_differences(side: Side, size: float | None, correctives: bool, mesh: bool) -> None:
    model = free_hand(side)
    if correctives:
        model = _with_pose_dirs(model)
    rotation, translation, betas = _state(seed=11)
    rest = model.rest(betas, size)
    posed = model.pose(rotation, translation, rest)
    jacobian: PointJacobian = (
        vertex_jacobian(model, rest, posed, rotation, CHOSEN) if mesh else keypoint_jacobian(model, rest, posed)
    )
    for axis in range(3):
        unit = np.eye(3)[axis]
        expected = _central(lambda h, u=unit: _points(model, _turned(rotation, 0, h * u), translation, rest, mesh))
        np.testing.assert_allclose(jacobian.root[..., axis], expected, atol=1e-8)
        for joint in range(1, 16):
            expected = _central(
                lambda h, u=unit, j=joint: _points(model, _turned(rotation, j, h * u), translation, rest, mesh)
            )
            np.testing.assert_allclose(jacobian.joints[..., joint - 1, axis], expected, atol=1e-8)
    for component in range(10):
        unit = np.eye(10)[component]
        expected = _central(
            lambda h, u=unit: _points(model, rotation, translation, model.rest(betas + h * u, size), mesh)
        )
        np.testing.assert_allclose(jacobian.betas[..., component], expected, atol=1e-8)
    palm = rest.palm_length
    expected = _central(lambda h: _points(model, rotation, translation, model.rest(betas, palm + h), mesh))
    np.testing.assert_allclose(jacobian.size, expected, atol=1e-6)


def test_a_joint_moves_only_what_hangs_from_it() -> None:
    model = free_hand("right")
    rotation, translation, betas = _state(seed=2)
    rest = model.rest(betas)
    by_joints = keypoint_jacobian(model, rest, model.pose(rotation, translation, rest)).joints
    moved = np.abs(by_joints).max(axis=(0, 2, 4)) > 0
    assert moved.sum() == 5 * (3 + 2 + 1)
    assert not moved[0].any()
    assert moved[8, 0:3].all() and moved[7, 0:2].all() and not moved[5].any()


def test_chosen_vertices_are_those_of_the_whole_mesh() -> None:
    model = _with_pose_dirs(free_hand("left"))
    rotation, translation, betas = _state(seed=5)
    rest = model.rest(betas, 0.1)
    posed = model.pose(rotation, translation, rest)
    whole = model.skin(posed, rest, rotation)
    np.testing.assert_allclose(model.skin(posed, rest, rotation, CHOSEN), whole[:, CHOSEN], atol=1e-15)
    np.testing.assert_allclose(model.rest_vertices(rest, CHOSEN), model.rest_vertices(rest)[CHOSEN], atol=1e-15)
