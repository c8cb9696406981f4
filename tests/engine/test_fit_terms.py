# SPDX-License-Identifier: GPL-3.0-or-later
"""Each term on a case done by hand, and its derivatives against central differences."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from blender_handmocap.engine.fit import solver, spatial
from blender_handmocap.engine.fit.energy import Energy
from blender_handmocap.engine.fit.kinematics import Chain, HandState
from blender_handmocap.engine.fit.observations import Seen
from blender_handmocap.engine.fit.settings import FitSettings
from blender_handmocap.engine.fit.terms import (
    acceleration,
    collision,
    limits,
    nuisance,
    points3d,
    pose_prior,
    reprojection,
)
from blender_handmocap.engine.fit.terms.pairs import PairRows
from blender_handmocap.engine.fit.terms.prediction import Prediction, predicted
from blender_handmocap.engine.fit.terms.robust import geman_mcclure
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.names import JOINT_NAMES
from blender_handmocap.engine.hand.spheres import fitted_spheres

COUNT = 3


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain(free_hand("right").rest(), free_hinges("right"))


def random_state(count: int = COUNT, seed: int = 0, turn: float = 1.0) -> HandState:
    rng = np.random.default_rng(seed)
    return HandState(
        root=spatial.exponential(turn * rng.normal(size=(3, count))),
        translation=np.array([[0.02], [-0.05], [0.5]]) + 0.02 * rng.normal(size=(3, count)),
        angles=0.4 * rng.normal(size=(22, count)),
        nuisance=spatial.exponential(0.2 * rng.normal(size=(3, count))),
    )


def seen_from(chain: Chain, state: HandState, noise: float = 1.0, seed: int = 1) -> Seen:
    rng = np.random.default_rng(seed)
    relative = chain.pose(state).points
    points = relative + state.translation[:, None]
    shape = (3, 21, state.count)
    return Seen(
        rays=points[:2] / points[2] + 0.01 * noise * rng.normal(size=(2, 21, state.count)),
        ray_sigma=np.full(shape[1:], 0.008),
        ray_weight=rng.uniform(0.2, 1.0, shape[1:]),
        points=relative - relative[:, :6].mean(1, keepdims=True) + 0.006 * noise * rng.normal(size=shape),
        point_sigma=np.full(shape[1:], 0.010),
        point_weight=rng.uniform(0.2, 1.0, shape[1:]),
    )


def differences(energy: Energy, state: HandState, seen: Seen, prediction: Prediction | None = None) -> np.ndarray:
    """Half the gradient (P, B) of the cost by central differences."""
    step = 1e-6
    out = np.zeros((energy.chain.size, state.count))
    for unknown in range(len(out)):
        delta = np.zeros_like(out)
        delta[unknown] = step
        costs = [energy.evaluate(state.moved(s * delta), seen, prediction).cost for s in (1.0, -1.0)]
        out[unknown] = (costs[0] - costs[1]) / (4.0 * step)
    return out


def test_robust_value_and_slope() -> None:
    value, root = geman_mcclure(np.array([0.0, 9.0, 1e12]), np.array([1.0, 0.5, 1.0]), 3.0)
    np.testing.assert_allclose(value, [0.0, 0.5 * 4.5, 9.0], rtol=1e-9)
    np.testing.assert_allclose(root[:2] ** 2, [1.0, 0.5 * 0.25])


def reprojected(points: np.ndarray, translation: np.ndarray, seen: Seen) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cost, wrenches and residuals."""
    wrench, residual = np.zeros((1, 42, 6)), np.zeros((1, 42))
    cost = reprojection.evaluate(points, translation, seen, 6.0, wrench, residual)
    return cost, wrench, residual


def test_reprojection_of_one_point_by_hand() -> None:
    points, translation = np.zeros((3, 21, 1)), np.array([[0.1], [0.2], [0.5]])
    ray, weight = np.zeros((2, 21, 1)), np.zeros((21, 1))
    ray[:, 0, 0], weight[0] = (0.2 - 0.02, 0.4), 1.0
    seen = Seen(ray, np.full((21, 1), 0.01), weight, points, np.ones((21, 1)), np.zeros((21, 1)))
    # One point, 2 sigmas off in x: 4 / (1 + 4 / 36).
    cost, wrench, residual = reprojected(points, translation, seen)
    assert cost[0] == pytest.approx(3.6)
    # Half the slope of the cost by x of the place: weight * residual / (sigma * depth).
    assert (wrench[0, :, 3] * residual[0]).sum() == pytest.approx(2.0 / (0.01 * 0.5) * 0.9**2)


def test_a_hand_behind_the_camera_is_hopeless() -> None:
    seen = Seen(*(np.ones(shape) for shape in ((2, 21, 1), (21, 1), (21, 1), (3, 21, 1), (21, 1), (21, 1))))
    cost, _, _ = reprojected(np.zeros((3, 21, 1)), np.array([[0.0], [0.0], [-1.0]]), seen)
    assert cost[0] > 1e6


def test_points3d_is_blind_to_place_and_forgives_the_nuisance_rotation(chain: Chain) -> None:
    state = random_state()
    seen = seen_from(chain, state, noise=0.0)
    points = chain.pose(state).points
    straight = np.repeat(np.eye(3)[..., None], COUNT, -1)
    wrench, about, residual = np.zeros((COUNT, 63, 6)), np.zeros((COUNT, 63, 3)), np.zeros((COUNT, 63))
    cost = points3d.evaluate(points, straight, seen, 3.0, wrench, about, residual)
    np.testing.assert_allclose(cost, 0.0, atol=1e-20)
    turned = Seen(
        seen.rays,
        seen.ray_sigma,
        seen.ray_weight,
        spatial.apply(spatial.transposed(state.nuisance)[:, :, None], seen.points),
        seen.point_sigma,
        seen.point_weight,
    )
    cost = points3d.evaluate(points, state.nuisance, turned, 3.0, wrench, about, residual)
    np.testing.assert_allclose(cost, 0.0, atol=1e-18)


def test_limits_are_silent_inside_and_square_outside() -> None:
    cost, gradient, stiffness = limits.evaluate(np.array([[0.5, 1.2, -0.3]]), np.zeros(1), np.ones(1), 0.1)
    np.testing.assert_allclose(cost, [0.0, 4.0, 9.0])
    np.testing.assert_allclose(gradient, [[0.0, 20.0, -30.0]])
    np.testing.assert_allclose(stiffness, [[0.0, 100.0, 100.0]])


def test_nuisance_rotation_costs_its_angle() -> None:
    vector = np.array([[0.1], [0.0], [-0.2]])
    cost, gradient, precision = nuisance.evaluate(spatial.exponential(vector), 0.1)
    assert cost[0] == pytest.approx(5.0)
    np.testing.assert_allclose(gradient, vector * 100.0)
    assert precision == pytest.approx(100.0)


def test_coupling_asks_the_last_joint_to_follow(chain: Chain) -> None:
    settings = FitSettings(coupling_ratio=0.5, coupling_sigma=0.1)
    angles = np.zeros((22, 1))
    middle = np.flatnonzero((chain.angle_joint == JOINT_NAMES.index("ring2")) & (chain.angle_axis == 0))
    last = np.flatnonzero((chain.angle_joint == JOINT_NAMES.index("ring3")) & (chain.angle_axis == 0))
    angles[middle], angles[last] = 1.0, 0.8
    cost, _ = pose_prior.coupling(chain, settings).evaluate(angles)
    assert cost[0] == pytest.approx(9.0)


def test_prior_is_lowest_at_its_mean_and_merging_changes_a_constant(chain: Chain) -> None:
    settings = FitSettings()
    recorded, coupled = pose_prior.recorded(chain, settings), pose_prior.coupling(chain, settings)
    merged = pose_prior.merged(chain, settings)
    angles = np.random.default_rng(2).normal(size=(22, 6))
    both = recorded.evaluate(angles)[0] + coupled.evaluate(angles)[0]
    np.testing.assert_allclose(np.ptp(both - merged.evaluate(angles)[0]), 0.0, atol=1e-8)
    assert recorded.evaluate(recorded.mean[:, None])[0][0] == pytest.approx(0.0)
    np.testing.assert_allclose(recorded.evaluate(angles)[1] + coupled.evaluate(angles)[1], merged.evaluate(angles)[1])


def test_only_poses_beyond_a_distance_are_brought_back_to_it(chain: Chain) -> None:
    prior = pose_prior.merged(chain, FitSettings())
    away = np.random.default_rng(4).normal(size=(22, 5)) * np.array([0.0, 0.01, 0.5, 1.0, 3.0])
    angles = prior.mean[:, None] + away
    distance = np.sqrt(prior.evaluate(angles)[0])
    limit = float(distance[2]) * 1.01
    back = prior.brought_within(angles, limit)
    np.testing.assert_array_equal(np.sqrt(prior.evaluate(back)[0]) <= limit * (1 + 1e-9), True)
    np.testing.assert_allclose(back[:, :3], angles[:, :3])
    np.testing.assert_allclose(np.sqrt(prior.evaluate(back[:, 3:])[0]), limit)
    # Along the way to the mean, all joints alike.
    share = (back - prior.mean[:, None])[:, 4] / away[:, 4]
    np.testing.assert_allclose(share, share[0])


def test_prediction_continues_the_last_motion() -> None:
    before = random_state(1)
    step = np.zeros((31, 1))
    step[:6, 0] = 0.1, 0.0, 0.2, 0.01, 0.0, -0.02
    step[6:28] = 0.05
    last = before.moved(step)
    found = predicted(last, before, np.array([1.0]), np.array([0.5]))
    np.testing.assert_allclose(found.translation, last.translation + step[3:6])
    np.testing.assert_allclose(found.root, last.moved(np.where(np.arange(31)[:, None] < 3, step, 0.0)).root, atol=1e-12)
    np.testing.assert_allclose(found.angles, last.angles + 0.025)


def test_whole_energy_has_the_gradient_it_claims(chain: Chain) -> None:
    energy = Energy(chain, FitSettings())
    state = random_state()
    seen = seen_from(chain, random_state(seed=0))
    sigma = np.full(COUNT, 0.2)
    near = state.moved(0.05 * np.random.default_rng(3).normal(size=(31, COUNT)))
    prediction = Prediction(near, sigma, sigma, sigma)
    found = energy.evaluate(state, seen)
    np.testing.assert_allclose(found.gradient.T, differences(energy, state, seen), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(energy.cost(state, seen), found.cost, rtol=1e-12)
    found = energy.evaluate(state, seen, prediction)
    np.testing.assert_allclose(energy.cost(state, seen, prediction), found.cost, rtol=1e-12)
    np.testing.assert_allclose(found.gradient.T, differences(energy, state, seen, prediction), rtol=1e-5, atol=1e-4)
    for hand in range(COUNT):
        assert np.linalg.eigvalsh(found.matrix[hand]).min() > 0.0
        np.testing.assert_allclose(found.matrix[hand], found.matrix[hand].T, atol=1e-8)


def test_many_hands_cost_what_each_costs_and_no_memory_for_all_at_once(chain: Chain) -> None:
    state = random_state(40 * solver.CHUNK + 7)
    seen = seen_from(chain, state)
    want = Energy(chain, FitSettings()).evaluate(state, seen).cost
    energy = Energy(chain, FitSettings())
    tracemalloc.start()
    found = solver.costs(energy, state, seen)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_allclose(found, want, rtol=1e-9)
    assert peak < 5e6
    assert solver.costs(energy, state.take(np.arange(0)), seen.take(np.arange(0))).shape == (0,)


def moving_state(count: int, seed: int = 0) -> HandState:
    """Neighbours in time: close to each other."""
    first = random_state(1, seed)
    path = np.cumsum(0.1 * np.random.default_rng(seed).normal(size=(31, count)), axis=1)
    return first.take(np.zeros(count, dtype=int)).moved(path)


def test_steady_motion_costs_nothing_at_any_rate() -> None:
    time = np.array([0.0, 0.03, 0.1, 0.12, 0.2])
    axis = np.array([[0.3], [1.0], [-0.5]])
    still = random_state(1)
    step = np.zeros((31, 5))
    step[:3], step[3:6], step[6:28] = axis * time, 0.4 * time, -0.7 * time
    state = still.take(np.zeros(5, dtype=int)).moved(step)
    triples = acceleration.triples(np.arange(5), time, 0.5)
    assert acceleration.evaluate(state, triples, FitSettings(), 31).cost == pytest.approx(0.0, abs=1e-15)


def test_acceleration_counts_in_steps_at_thirty_a_second() -> None:
    settings = FitSettings(clip_translation=0.01)
    state = random_state(1).take(np.zeros(3, dtype=int))
    state.translation[:, 1] += [0.0, 0.02, 0.0]
    time = np.arange(3) / 30.0
    found = acceleration.evaluate(state, acceleration.triples(np.arange(3), time, 0.5), settings, 31)
    # Out by 2 cm and back: the velocity changes by 4 cm a frame.
    assert found.cost == pytest.approx(16.0)


def test_the_same_curve_costs_the_same_at_every_rate() -> None:
    costs = []
    for rate in (30.0, 60.0, 240.0):
        time = np.arange(0.0, 1.0 + 1e-9, 1.0 / rate)
        state = random_state(1).take(np.zeros(len(time), dtype=int))
        state.translation[0] += 0.05 * np.sin(6.0 * time)
        costs.append(
            acceleration.evaluate(state, acceleration.triples(np.arange(len(time)), time, 0.5), FitSettings(), 31).cost
        )
    np.testing.assert_allclose(costs, costs[-1], rtol=0.08)


def test_gaps_break_the_chain() -> None:
    time = np.array([0.0, 0.1, 0.2, 1.0, 1.1, 1.2])
    found = acceleration.triples(np.arange(10, 16), time, 0.5)
    np.testing.assert_array_equal(found.middle, [11, 14])


def test_acceleration_has_the_derivatives_it_claims() -> None:
    settings, size, count = FitSettings(), 31, 6
    time = np.cumsum([0.0, 0.03, 0.05, 0.02, 0.03, 0.04])
    state = moving_state(count)
    triples = acceleration.triples(np.arange(count), time, 0.5)
    found = acceleration.evaluate(state, triples, settings, size)
    step = 1e-6
    for unknown in (0, 1, 2, 4, 11):
        for hand in range(count):
            delta = np.zeros((size, count))
            delta[unknown, hand] = step
            costs = [acceleration.evaluate(state.moved(s * delta), triples, settings, size).cost for s in (1.0, -1.0)]
            assert found.gradient[unknown, hand] == pytest.approx(
                (costs[0] - costs[1]) / (4 * step), rel=1e-4, abs=1e-4
            )


def touching_hands(chain: Chain) -> tuple[HandState, HandState]:
    """A right hand and a mirrored left one whose fingers overlap a little."""
    right = random_state(1, seed=4)
    left = HandState(right.root, right.translation * np.array([[-1.0], [1.0], [1.0]]), right.angles, right.nuisance)
    left.translation[0] += 0.06
    return right, left


def contacts(chain: Chain, right: HandState, left: HandState) -> PairRows:
    spheres = collision.SphereSet.on_chain(fitted_spheres(free_hand("right"), chain.rest), chain)
    return collision.evaluate(
        spheres, chain, chain.pose(right), right.translation, chain.pose(left), left.translation, 0.002
    )


def test_spheres_sit_where_the_hand_model_puts_them(chain: Chain) -> None:
    from blender_handmocap.engine.fit.poses import hand_poses

    spheres = fitted_spheres(free_hand("right"), chain.rest)
    state = random_state()
    rotation, translation = hand_poses(state, False, chain)
    expected = spheres.centres(free_hand("right").pose(rotation, translation, chain.rest))
    found = collision.SphereSet.on_chain(spheres, chain).centres(chain.pose(state)) + state.translation[:, None]
    np.testing.assert_allclose(found.transpose(2, 1, 0), expected, atol=1e-12)


def test_hands_apart_do_not_meet(chain: Chain) -> None:
    right, left = touching_hands(chain)
    left.translation[0] -= 0.5
    assert not contacts(chain, right, left).pair.size
    assert not collision.near(right.translation, left.translation, 0.25).any()


def test_overlap_costs_its_square_and_has_the_derivatives_it_claims(chain: Chain) -> None:
    right, left = touching_hands(chain)
    found = contacts(chain, right, left)
    assert found.pair.size > 3
    assert found.cost[0] == pytest.approx((found.residual**2).sum())
    step = 1e-6
    for unknown in (*range(6), 8, 15, 20):
        delta = np.zeros((31, 1))
        delta[unknown] = step
        costs = [contacts(chain, right.moved(s * delta), left).cost[0] for s in (1.0, -1.0)]
        slope = found.residual @ found.right[:, unknown]
        assert slope == pytest.approx((costs[0] - costs[1]) / (4 * step), rel=1e-3, abs=1e-2)
        costs = [contacts(chain, right, left.moved(s * delta)).cost[0] for s in (1.0, -1.0)]
        slope = found.residual @ found.left[:, unknown]
        assert slope == pytest.approx((costs[0] - costs[1]) / (4 * step), rel=1e-3, abs=1e-2)
