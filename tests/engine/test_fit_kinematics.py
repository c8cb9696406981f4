# SPDX-License-Identifier: GPL-3.0-or-later
"""The chain against HandModel.pose, and its derivatives against central differences."""

from __future__ import annotations

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit import spatial
from blender_handmocap.engine.fit.hinges import rotations_from_angles, unpack
from blender_handmocap.engine.fit.kinematics import (
    POINT_BONE,
    POINT_ORDER,
    Chain,
    HandState,
    concatenate,
)
from blender_handmocap.engine.fit.poses import hand_poses
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.names import SIDES, Side

COUNT = 4


def random_state(count: int = COUNT, seed: int = 0) -> HandState:
    rng = np.random.default_rng(seed)
    return HandState(
        root=spatial.exponential(rng.normal(size=(3, count))),
        translation=np.array([[0.02], [-0.05], [0.5]]) + 0.02 * rng.normal(size=(3, count)),
        angles=0.4 * rng.normal(size=(22, count)),
        nuisance=spatial.exponential(0.2 * rng.normal(size=(3, count))),
    )


def right_chain(offsets: np.ndarray | None = None) -> Chain:
    return Chain(free_hand("right").rest(np.linspace(-1, 1, 10), 0.085), free_hinges("right"), offsets)


@pytest.mark.parametrize("side", SIDES)
def test_points_are_those_of_the_hand_model(side: Side) -> None:
    chain, state = right_chain(), random_state()
    rotation, translation = hand_poses(state, side == "left", chain)
    model = free_hand(side)
    expected = model.pose(rotation, translation, model.rest(np.linspace(-1, 1, 10), 0.085)).keypoints
    found = (chain.pose(state).points + state.translation[:, None]).transpose(2, 1, 0)
    if side == "left":
        found = found * np.array([-1.0, 1.0, 1.0])
    np.testing.assert_allclose(found, expected[:, POINT_ORDER], atol=1e-12)


def test_offsets_sit_in_the_frame_of_the_bone_before() -> None:
    table = np.random.default_rng(1).normal(size=(21, 3)) * 0.005
    state = random_state()
    moved = right_chain(table).pose(state).points - right_chain().pose(state).points
    posed = right_chain().pose(state)
    for point, (keypoint, bone) in enumerate(zip(POINT_ORDER, POINT_BONE, strict=True)):
        frame = posed.bones.reshape(3, 3, 15, COUNT)[:, :, bone - 1] if bone else posed.root
        np.testing.assert_allclose(moved[:, point], np.einsum("ijb,j->ib", frame, table[keypoint]), atol=1e-12)


def dense_jacobian(chain: Chain, state: HandState) -> np.ndarray:
    """(3, 21, P, B) by central differences of the points in camera space."""
    step = 1e-6
    out = np.zeros((3, 21, chain.size, state.count))
    for unknown in range(chain.size):
        delta = np.zeros((chain.size, state.count))
        delta[unknown] = step
        ahead, behind = (state.moved(sign * delta) for sign in (1.0, -1.0))
        points = [chain.pose(s).points + s.translation[:, None] for s in (ahead, behind)]
        out[:, :, unknown] = (points[0] - points[1]) / (2.0 * step)
    return out


def test_slopes_are_those_of_finite_differences() -> None:
    chain, state = right_chain(np.random.default_rng(2).normal(size=(21, 3)) * 0.005), random_state()
    posed = chain.pose(state)
    rng = np.random.default_rng(3)
    point, force = rng.integers(0, 21, 40), rng.normal(size=(3, 40, COUNT))
    wrench = np.concatenate([spatial.cross(posed.points[:, point], force), force])
    found = np.zeros((COUNT, 40, chain.size))
    chain.slopes(posed, point, wrench.transpose(2, 1, 0), found, np.empty((COUNT, 40, 22)))
    expected = np.einsum("irb,irpb->brp", force, dense_jacobian(chain, state)[:, point])
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_directions_are_the_motion_of_single_points() -> None:
    chain, state = right_chain(), random_state()
    posed = chain.pose(state)
    rng = np.random.default_rng(4)
    point, hand = rng.integers(0, 21, 9), rng.integers(0, COUNT, 9)
    along = rng.normal(size=(3, 9))
    found = chain.directions(posed, POINT_BONE[point], hand, posed.points[:, point, hand], along)
    dense = dense_jacobian(chain, state)[:, point, :, hand]
    np.testing.assert_allclose(found, np.einsum("in,nip->np", along, dense)[:, :-3], atol=1e-7)


def test_taking_putting_and_choosing_hands() -> None:
    state, other = random_state(), random_state(seed=9)
    index = np.array([2, 0])
    np.testing.assert_array_equal(state.take(index).angles, state.angles[:, index])
    put = state.put(index, other.take(index))
    chosen = other.where(np.isin(np.arange(COUNT), index), state)
    for mine, theirs in zip(put.arrays(), chosen.arrays(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert concatenate([state, other]).count == 2 * COUNT


def test_spatial_algebra_agrees_with_rotations() -> None:
    vector = np.random.default_rng(5).normal(size=(3, 7, 6)) * 1.2
    matrix = spatial.exponential(vector)
    first = np.moveaxis(vector, 0, -1)
    np.testing.assert_allclose(np.moveaxis(matrix, (0, 1), (-2, -1)), rotations.matrix_from_vector(first), atol=1e-12)
    np.testing.assert_allclose(
        np.moveaxis(spatial.logarithm(matrix), 0, -1),
        rotations.vector_from_matrix(np.moveaxis(matrix, (0, 1), (-2, -1))),
        atol=1e-9,
    )


@pytest.mark.parametrize("angle", [0.0, 1e-8, 1e-3, 1.0, np.pi - 1e-5, np.pi])
def test_logarithm_at_every_angle(angle: float) -> None:
    axis = np.array([[0.6, 0.0], [0.0, -0.8], [0.8, 0.6]])
    found = spatial.logarithm(spatial.exponential(axis * angle))
    np.testing.assert_allclose(spatial.exponential(found), spatial.exponential(axis * angle), atol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), angle, atol=1e-6)


def test_slope_of_the_logarithm() -> None:
    rng = np.random.default_rng(6)
    vector, step = rng.normal(size=(3, 5)), 1e-6 * rng.normal(size=(3, 5))
    after = spatial.logarithm(spatial.product(spatial.exponential(step), spatial.exponential(vector)))
    np.testing.assert_allclose(after - vector, spatial.apply(spatial.left_jacobian_inverse(vector), step), atol=1e-11)


def test_left_hands_hinges_are_solved_as_right_ones() -> None:
    state = random_state(1)
    chain = right_chain()
    rotation, _ = hand_poses(state, True, chain)
    angles = unpack(state.angles.T, chain.hinges)
    right = rotations_from_angles(angles, free_hinges("right"), rotations.mirrored(rotation[:, 0]))
    np.testing.assert_allclose(rotations.mirrored(rotation), right, atol=1e-12)
