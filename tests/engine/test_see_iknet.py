# SPDX-License-Identifier: GPL-3.0-or-later
"""IKNet in the engine: its input does not depend on where a hand is, its answer is a pose whatever it is given."""

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit import start
from blender_handmocap.engine.fit.hinges import rotations_from_angles, unpack
from blender_handmocap.engine.fit.kinematics import POINT_ORDER, Chain
from blender_handmocap.engine.fit.observations import Seen
from blender_handmocap.engine.fit.poses import hand_poses
from blender_handmocap.engine.fit.settings import FitSettings
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.names import PALM_KEYPOINTS
from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.iknet import FEATURE_COUNT, IKNet, align, composed


@pytest.fixture
def rest() -> np.ndarray:
    model = free_hand("right")
    return model.pose(np.tile(rotations.IDENTITY, (1, 16, 1)), np.zeros((1, 3)), model.rest()).keypoints[0]


def bent(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rotations and points of hands within the limits."""
    random, hinges, model = np.random.default_rng(seed), free_hinges("right"), free_hand("right")
    angles = random.uniform(hinges.limits[..., 0], hinges.limits[..., 1], (count, 16, 3)) * hinges.free
    root = rotations.normalized(random.normal(size=(count, 4)))
    rotation = rotations_from_angles(angles, hinges, root)
    return rotation, model.pose(rotation, random.normal(size=(count, 3)), model.rest()).keypoints


def test_place_and_size_do_not_matter_and_the_palm_is_found(rest: np.ndarray) -> None:
    rotation, points = bent(6)
    first = align(points, np.full((6, 21), 0.004), rest)
    second = align(3.0 * points + [1.0, -2.0, 5.0], np.full((6, 21), 0.012), rest / 7.0)
    assert first.features.shape == (6, FEATURE_COUNT)
    np.testing.assert_allclose(first.features, second.features, atol=1e-5)
    np.testing.assert_allclose(first.palm, rotations.matrix_from_quaternion(rotation[:, 0]), atol=1e-9)


def test_turning_the_hand_changes_only_the_view(rest: np.ndarray) -> None:
    _, points = bent(4)
    turn = rotations.matrix_from_vector([0.3, -1.1, 0.7])
    first = align(points, np.full((4, 21), 0.004), rest)
    second = align(points @ turn.T, np.full((4, 21), 0.004), rest)
    np.testing.assert_allclose(first.features[:, :-3], second.features[:, :-3], atol=1e-5)
    assert np.abs(first.features[:, -3:] - second.features[:, -3:]).max() > 0.1


def test_the_flat_hand_has_no_swings(rest: np.ndarray) -> None:
    features = align(rest[None], np.full((1, 21), 0.004), rest).features[0]
    np.testing.assert_allclose(features[246 : 246 + 90], 0.0, atol=1e-6)
    np.testing.assert_allclose(features[:63], features[123:186], atol=1e-6)


def test_larger_errors_are_trusted_less(rest: np.ndarray) -> None:
    _, points = bent(2)
    trusts = [align(points, np.full((2, 21), error), rest).features[:, 336:351] for error in (0.001, 0.005, 0.02)]
    assert (trusts[0] > trusts[1]).all() and (trusts[1] > trusts[2]).all()
    assert all(((trust > 0.0) & (trust <= 1.0)).all() for trust in trusts)


def test_missing_points_and_hands_stay_finite(rest: np.ndarray) -> None:
    _, points = bent(5)
    points[0, 8] = np.nan
    points[1] = np.nan
    points[2] = 0.0
    points[3] = np.inf
    error = np.full((5, 21), 0.004)
    error[4, 3] = np.nan
    given = align(points, error, rest)
    assert np.isfinite(given.features).all()
    np.testing.assert_allclose(given.palm[1], np.eye(3))
    np.testing.assert_allclose(given.palm @ np.swapaxes(given.palm, 1, 2), np.tile(np.eye(3), (5, 1, 1)), atol=1e-9)
    # One missing fingertip does not turn the palm.
    whole = align(bent(5)[1], np.full((5, 21), 0.004), rest)
    np.testing.assert_allclose(given.palm[0], whole.palm[0], atol=1e-12)


def test_any_answer_becomes_a_pose() -> None:
    palm = rotations.matrix_from_vector(np.random.default_rng(1).normal(size=(4, 3)))
    answer = np.random.default_rng(2).normal(size=(4, 64)) * 5.0
    answer[1] = 0.0
    answer[2] = np.nan
    answer[3] = np.tile([2.0, 0.0, 0.0, 0.0], 16)
    found = composed(answer, palm)
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1.0, atol=1e-12)
    np.testing.assert_allclose(found[3, 0], rotations.quaternion_from_matrix(palm[3]), atol=1e-12)
    np.testing.assert_allclose(found[1:3, 1:], np.tile(rotations.IDENTITY, (2, 15, 1)))


def test_no_hands_is_no_problem(rest: np.ndarray) -> None:
    assert align(np.zeros((0, 21, 3)), np.zeros((0, 21)), rest).features.shape == (0, FEATURE_COUNT)


def test_the_network_that_ships_beats_analytic_ik_on_noisy_points(rest: np.ndarray) -> None:
    random, model = np.random.default_rng(5), free_hand("right")
    chain = Chain(model.rest(), free_hinges("right"))
    middle = 0.5 * (chain.lower + chain.upper)
    angles = unpack(
        np.clip(middle + random.normal(size=(60, len(middle))) * 0.25, chain.lower, chain.upper), chain.hinges
    )
    truth = rotations_from_angles(angles, chain.hinges, rotations.normalized(random.normal(size=(60, 4))))
    points = model.pose(truth, np.tile([0.02, -0.05, 0.5], (60, 1)), model.rest()).keypoints
    noisy = points + random.normal(size=points.shape) * 0.004
    centred = (noisy - noisy[:, PALM_KEYPOINTS].mean(1, keepdims=True))[:, POINT_ORDER].transpose(2, 1, 0)
    seen = Seen(
        rays=(points[..., :2] / points[..., 2:])[:, POINT_ORDER].transpose(2, 1, 0).copy(),
        ray_sigma=np.full((21, 60), 0.002),
        ray_weight=np.ones((21, 60)),
        points=centred.copy(),
        point_sigma=np.full((21, 60), 0.006),
        point_weight=np.ones((21, 60)),
    )
    errors = {}
    network = IKNet(Runtime.choose("cpu", 1))
    for name, state in {
        "analytic": start.closed_form(chain, seen, FitSettings()),
        "learned": start.learned(chain, seen, FitSettings(), network),
    }.items():
        found, place = hand_poses(state, False, chain)
        errors[name] = np.degrees(rotations.angle_between(found, truth))[:, 1:].mean()
        assert np.abs(place[:, 2] - 0.5).max() < 0.1
    assert errors["learned"] < 0.75 * errors["analytic"]
