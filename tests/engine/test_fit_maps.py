# SPDX-License-Identifier: GPL-3.0-or-later
"""What maps of both hands say: each term by hand, by finite differences, and in a solved clip."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.fit import seen_maps
from blender_handmocap.engine.fit.clip import solve
from blender_handmocap.engine.fit.kinematics import FIRST_ANGLE, Chain, HandState
from blender_handmocap.engine.fit.map_terms import outline_vertices
from blender_handmocap.engine.fit.settings import FitSettings
from blender_handmocap.engine.fit.skin_points import HandRows, SkinPoints
from blender_handmocap.engine.fit.terms import dense, depth_between, depth_within, gaussians, silhouette
from blender_handmocap.engine.fit.terms.collision import SphereSet
from blender_handmocap.engine.fit.terms.pairs import PairRows
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.hand.spheres import fitted_spheres
from blender_handmocap.engine.see.crops import points_in_picture
from blender_handmocap.engine.see.pair_crop import crop_of_pair
from blender_handmocap.engine.take import MAP_SIZE, MATCHES, MapsTrack, Take, load_take, save_take
from tests.engine.fit_scenes import SIZE, Scene, scene
from tests.engine.test_fit_terms import random_state

VERTICES = np.linspace(0, 1500, MATCHES).astype(np.int32)
COUNT = 2
ROBUST = 1e6
"""so wide that costs are plain squares"""


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain(free_hand("right").rest(None, SIZE), free_hinges("right"))


@pytest.fixture(scope="module")
def skin(chain: Chain) -> SkinPoints:
    hand = free_hand("right")
    return SkinPoints.on_chain(hand, hand.rest(None, SIZE), VERTICES, chain)


def slopes_by_differences(cost: Callable[[HandState], np.ndarray], state: HandState, unknowns: int) -> np.ndarray:
    """Half the gradient (6 + A, B) of costs (B,)."""
    out = np.zeros((unknowns, state.count))
    for unknown in range(unknowns):
        delta = np.zeros((unknowns + 3, state.count))
        delta[unknown] = 1e-6
        out[unknown] = (cost(state.moved(delta)) - cost(state.moved(-delta))) / 4e-6
    return out


def gradient(found: HandRows, count: int) -> np.ndarray:
    """(6 + A, B)"""
    out = np.zeros((count, found.rows.shape[1]))
    np.add.at(out, found.hand, found.residual[:, None] * found.rows)
    return out.T


def check(evaluate: Callable[[HandState], HandRows], state: HandState, tolerance: float = 1e-5) -> None:
    found = evaluate(state)
    expected = slopes_by_differences(lambda moved: evaluate(moved).cost, state, found.rows.shape[1])
    np.testing.assert_allclose(
        gradient(found, state.count), expected, rtol=tolerance, atol=tolerance * np.abs(expected).max()
    )
    assert np.abs(expected).max() > 0.0
    if not found.residual.size:
        raise AssertionError("nothing was compared")


def test_points_of_the_skin_are_the_models_vertices(chain: Chain, skin: SkinPoints) -> None:
    one = scene(3, noise=0.0)
    truth = one.truth["right"]
    hand = free_hand("right")
    expected = hand.vertices(truth.rotation, truth.translation, hand.rest(None, SIZE))[:, VERTICES]
    solved = solve(one.take, fit=FitSettings())
    again = hand.vertices(solved.right.rotation, solved.right.translation, hand.rest(None, SIZE))[:, VERTICES]
    assert np.linalg.norm(again - expected, axis=-1).mean() < 0.004
    # Skinning by pieces on the chain against the model's own, in the rest pose and turned as a whole.
    state = random_state(COUNT)
    state = replace(state, angles=np.zeros_like(state.angles))
    mine = skin.mean(skin.carried(chain.pose(state))).transpose(2, 1, 0)
    rest = hand.rest_vertices(hand.rest(None, SIZE))[VERTICES]
    turned = np.einsum("ijb,vj->bvi", state.root, rest)
    np.testing.assert_allclose(mine, turned, atol=1e-9)
    normal = skin.facing(chain.pose(state))
    np.testing.assert_allclose(np.linalg.norm(normal, axis=0), 1.0)


def test_slopes_of_the_skin(chain: Chain, skin: SkinPoints) -> None:
    state = random_state(COUNT)
    point, hand = np.arange(MATCHES), np.arange(MATCHES) % COUNT
    along = np.random.default_rng(0).normal(size=(3, MATCHES))
    posed = chain.pose(state)
    rows = skin.slopes(chain, posed, skin.carried(posed), point, hand, along)

    def value(moved: HandState) -> np.ndarray:
        place = skin.mean(skin.carried(chain.pose(moved))) + moved.translation[:, None]
        return (place[:, point, hand] * along).sum(0)

    for unknown in range(rows.shape[1]):
        delta = np.zeros((rows.shape[1] + 3, COUNT))
        delta[unknown] = 1e-6
        numeric = (value(state.moved(delta)) - value(state.moved(-delta))) / 2e-6
        np.testing.assert_allclose(rows[:, unknown], numeric, atol=1e-7)


def test_a_dense_match_costs_its_distance_in_sigmas(chain: Chain, skin: SkinPoints) -> None:
    state = random_state(1)
    place = skin.mean(skin.carried(chain.pose(state))) + state.translation[:, None]
    rays = place[:2] / place[2]
    sigma = np.full((MATCHES, 1), math.inf)
    sigma[7] = 0.01
    rays[0, 7] += 0.03
    found = dense.evaluate(skin, chain, chain.pose(state), state.translation, rays, sigma, 4.0)
    # Three sigmas off: 9 / (1 + 9 / 16).
    assert found.cost[0] == pytest.approx(9.0 / (1.0 + 9.0 / 16.0))
    assert found.residual.size == 2
    nothing = dense.evaluate(
        skin, chain, chain.pose(state), state.translation, rays, np.full((MATCHES, 1), math.inf), 4.0
    )
    assert nothing.cost[0] == 0.0 and not nothing.residual.size


def test_dense_matches_have_the_derivatives_they_claim(chain: Chain, skin: SkinPoints) -> None:
    state = random_state(COUNT)
    rng = np.random.default_rng(3)
    rays = rng.normal(size=(2, MATCHES, COUNT)) * 0.1
    sigma = rng.uniform(0.01, 0.1, (MATCHES, COUNT))
    check(lambda moved: dense.evaluate(skin, chain, chain.pose(moved), moved.translation, rays, sigma, ROBUST), state)


def test_depth_within_a_hand(chain: Chain, skin: SkinPoints) -> None:
    state = random_state(COUNT)
    sight = np.stack([np.array([0.1, -0.2, 1.0]) / math.sqrt(1.05)] * COUNT, axis=1)
    behind = np.einsum("ivb,ib->vb", skin.mean(skin.carried(chain.pose(state))), sight) / SIZE
    depth = np.full_like(behind, np.nan)
    depth[5, 1] = behind[5, 1] - 0.2
    found = depth_within.evaluate(skin, chain, chain.pose(state), depth, sight, palm=SIZE, sigma=0.1, robust=ROBUST)
    # A fifth of a palm too deep at a sigma of a tenth.
    np.testing.assert_allclose(found.cost, [0.0, 4.0], rtol=1e-6)
    assert not found.rows[:, 3:6].any()
    full = np.random.default_rng(4).normal(size=behind.shape)
    check(
        lambda moved: depth_within.evaluate(
            skin, chain, chain.pose(moved), full, sight, palm=SIZE, sigma=0.1, robust=ROBUST
        ),
        state,
    )


def test_depth_between_hands(chain: Chain) -> None:
    right, left = random_state(1, seed=1), random_state(1, seed=2)
    sight = np.array([[0.0], [0.0], [1.0]])

    def evaluate(first: HandState, second: HandState, depth: float) -> PairRows:
        return depth_between.evaluate(
            first.translation, second.translation, np.array([depth]), sight, FIRST_ANGLE + 22,
            palm=SIZE, sigma=0.5, robust=ROBUST,
        )  # fmt: skip

    apart = float(left.translation[2, 0] - right.translation[2, 0]) / SIZE
    assert evaluate(right, left, apart + 1.0).cost[0] == pytest.approx(4.0)
    assert not evaluate(right, left, math.nan).residual.size
    found = evaluate(right, left, apart + 1.0)
    for rows, state, swap in ((found.right, right, False), (found.left, left, True)):
        expected = slopes_by_differences(
            lambda moved, swap=swap: evaluate(*((right, moved) if swap else (moved, left)), apart + 1.0).cost,
            state,
            rows.shape[1],
        )
        np.testing.assert_allclose(found.residual @ rows, expected[:, 0], atol=1e-6)


def test_the_field_of_a_disc_is_the_distance_from_it() -> None:
    disc = np.zeros((MAP_SIZE, MAP_SIZE), np.uint8)
    cv2.circle(disc, (28, 28), 10, 1, -1)
    field = silhouette.distance_field(disc > 0, np.zeros_like(disc) > 0)
    assert field[28, 48] == pytest.approx(9.5 / MAP_SIZE, abs=0.5 / MAP_SIZE)
    assert field[28, 28] == pytest.approx(-10.5 / MAP_SIZE, abs=1.0 / MAP_SIZE)
    other = np.zeros_like(disc) > 0
    other[:, 40:] = True
    assert not silhouette.distance_field(disc > 0, other)[:, 40:].any()
    assert not silhouette.distance_field(other & False, other).any()


def outlined(outline: SkinPoints, spheres: SphereSet, chain: Chain, state: HandState, field: np.ndarray) -> HandRows:
    """One hand before a crop that holds it, 80 cells a unit of image position."""
    place = state.translation / state.translation[2]
    to_cell = np.zeros((COUNT, 2, 3))
    to_cell[:, 0, 0] = to_cell[:, 1, 1] = 80.0
    to_cell[:, :, 2] = 28.0 - 80.0 * place[:2].T
    return silhouette.evaluate(
        outline, spheres, chain, chain.pose(state), state.translation, field, to_cell, sigma=0.05, robust=ROBUST
    )


def test_the_silhouette_compares_the_outermost_points_and_has_the_derivatives_it_claims(chain: Chain) -> None:
    hand = free_hand("right")
    outline = SkinPoints.on_chain(hand, hand.rest(None, SIZE), outline_vertices(), chain)
    spheres = SphereSet.on_chain(fitted_spheres(hand, chain.rest), chain)
    state = random_state(COUNT)
    # A plane instead of an outline: its slope is the same everywhere.
    ramp = np.repeat((np.arange(MAP_SIZE) / MAP_SIZE - 0.5)[None, None], MAP_SIZE, 1).astype(np.float32)
    field = np.repeat(ramp, COUNT, 0)
    found = outlined(outline, spheres, chain, state, field)
    assert found.residual.size > 20
    # No small sphere in the hand's way: points that lie before the palm are no outline, so there are more of them.
    tiny = replace(spheres, radius=np.full_like(spheres.radius, 1e-6))
    assert outlined(outline, tiny, chain, state, field).residual.size > found.residual.size
    # A step aside changes each distance alike: 80 of 56 cells by depth; with the weight's root.
    posed = chain.pose(state)
    place = outline.mean(outline.carried(posed)) + state.translation[:, None]
    ratio = found.rows[:, 3] * 0.05 * MAP_SIZE / 80.0
    assert (ratio > 0.0).all() and (ratio < 1.0 / place[2].min()).all()
    # The weights hold still while a step is taken: so do the ratios of any slope to the one aside.
    index = [(place[0, :, b] / place[2, :, b], b) for b in range(COUNT)]
    for unknown in (0, 2, 8, 14):
        delta = np.zeros((chain.size, COUNT))
        delta[unknown] = 1e-6
        x = [
            (outline.mean(outline.carried(chain.pose(moved))) + moved.translation[:, None])
            for moved in (state.moved(delta), state.moved(-delta))
        ]
        slope = (x[0][0] / x[0][2] - x[1][0] / x[1][2]) / 2e-6 * place[2]
        for image, b in index:
            mine = found.rows[found.hand == b]
            # Which point a row is of follows from its slope by depth: -x times the one aside.
            point = np.abs(image[None] + (mine[:, 5] / mine[:, 3])[:, None]).argmin(1)
            np.testing.assert_allclose(mine[:, unknown] / mine[:, 3], slope[point, b], atol=1e-5)


def test_gaussians_push_apart_and_have_the_derivatives_they_claim(chain: Chain) -> None:
    spheres = SphereSet.on_chain(fitted_spheres(free_hand("right"), chain.rest), chain)
    right, left = random_state(1, seed=1), random_state(1, seed=2)
    mirror = np.array([[-1.0], [1.0], [1.0]])
    left = replace(left, translation=right.translation * mirror + 0.03)

    def evaluate(first: HandState, second: HandState) -> PairRows:
        return gaussians.between(
            spheres, chain, chain.pose(first), first.translation, chain.pose(second), second.translation, 0.5
        )

    found = evaluate(right, left)
    mine = spheres.centres(chain.pose(right))[:, :, 0] + right.translation
    theirs = (spheres.centres(chain.pose(left))[:, :, 0] + left.translation) * mirror
    squared = ((mine[:, :, None] - theirs[:, None]) ** 2).sum(0)
    spread = (0.5 * spheres.radius[:, None]) ** 2 + (0.5 * spheres.radius) ** 2
    overlap = np.exp(-squared / (2.0 * spread))
    assert found.cost[0] == pytest.approx((overlap[overlap > 1e-3] ** 2).sum() / 0.25)
    for rows, state, swap in ((found.right, right, False), (found.left, left, True)):
        expected = slopes_by_differences(
            lambda moved, swap=swap: evaluate(*((right, moved) if swap else (moved, left))).cost, state, rows.shape[1]
        )
        np.testing.assert_allclose(found.residual @ rows, expected[:, 0], atol=2e-3 * np.abs(expected).max())
    fist = random_state(1)
    fist = replace(fist, angles=np.full_like(fist.angles, 0.7))
    check(lambda moved: gaussians.within(spheres, chain, chain.pose(moved), 0.5), fist, 2e-3)


def told(one: Scene, frames: np.ndarray, *, noise: float = 0.0) -> MapsTrack:
    """What perfect maps would say of both hands of a scene."""
    camera = Camera(K=one.take.K, dist=one.take.dist, width=640, height=480)
    rng = np.random.default_rng(0)
    count = len(frames)
    pixels = np.full((count, 2, MATCHES, 2), np.nan)
    depth = np.full((count, 2, MATCHES), np.nan)
    points = np.empty((count, 2, 21, 2))
    crop = np.empty((count, 5))
    between = np.empty(count)
    regions = np.zeros((count, 2, MAP_SIZE * MAP_SIZE // 8), np.uint8)
    for k, frame in enumerate(frames):
        places = [camera.project(one.truth[side].points[frame]) for side in SIDES]
        crop[k] = crop_of_pair(places)
        sight = camera.rays(crop[k, :2])
        sight = sight / np.linalg.norm(sight)
        wrists = [one.truth[side].translation[frame] for side in SIDES]
        between[k] = (wrists[0] - wrists[1]) @ sight / SIZE
        for slot, side in enumerate(SIDES):
            hand, truth = free_hand(side), one.truth[side]
            skin = hand.vertices(truth.rotation[[frame]], truth.translation[[frame]], hand.rest(None, SIZE))[0]
            pixels[k, slot] = camera.project(skin[VERTICES]) + noise * rng.normal(size=(MATCHES, 2))
            depth[k, slot] = (skin[VERTICES] - wrists[slot]) @ sight / SIZE
            points[k, slot] = places[slot] + noise * rng.normal(size=(21, 2))
            regions[k, slot] = np.packbits(_filled(camera.project(skin), hand.triangles, crop[k]))
    sigma = np.full((count, 2, MATCHES), 3.0)
    return MapsTrack(
        frames.astype(np.int32), VERTICES, crop, regions, pixels, sigma, depth, between, points,
        np.full((count, 2, 21), 3.0),
    )  # fmt: skip


def _filled(pixels: np.ndarray, triangles: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """(56, 56) the cells that triangles of a hand cover."""
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    place = points_in_picture(corners, crop)
    linear = np.stack([place[1] - place[0], place[2] - place[0]], axis=1)
    share = (pixels - place[0]) @ np.linalg.inv(linear).T
    fine = np.zeros((MAP_SIZE * 4, MAP_SIZE * 4), np.uint8)
    for corner in np.rint(share * 224).astype(np.int32)[triangles]:
        cv2.fillConvexPoly(fine, corner, 1)
    return fine[1::4, 1::4] > 0


TERMS = {
    "dense": {"dense_doubt": 1.0},
    "within": {"within_sigma": 0.05},
    "between": {"between_sigma": 0.05},
    "points": {"map_points_doubt": 1.0},
    "silhouette": {"silhouette_sigma": 0.01},
}


def place_error(found: Take, one: Scene) -> tuple[float, float]:
    """Mean error of the hands' points and of the vector between the wrists, millimetres."""
    points = [np.linalg.norm(found.track(s).points - one.truth[s].points, axis=-1).mean() for s in SIDES]
    vector = found.left.translation - found.right.translation
    true = one.truth["left"].translation - one.truth["right"].translation
    return 1e3 * float(np.mean(points)), 1e3 * float(np.linalg.norm(vector - true, axis=1).mean())


def shape_error(found: Take, one: Scene) -> float:
    """Mean error of the points relative to the wrists, millimetres."""
    out = []
    for side in SIDES:
        mine, true = found.track(side).points, one.truth[side].points
        out.append(np.linalg.norm((mine - mine[:, :1]) - (true - true[:, :1]), axis=-1).mean())
    return 1e3 * float(np.mean(out))


def test_each_term_brings_a_solved_clip_nearer_to_the_truth() -> None:
    one = scene(12, sides=SIDES, apart=0.08, seed=5)
    plain = solve(one.take)
    take = replace(one.take, maps=told(one, np.arange(12)))
    same = solve(take)
    # Every term is off by default, whatever the take holds.
    np.testing.assert_array_equal(same.left.translation, plain.left.translation)
    before, vector = place_error(plain, one)
    for name, choice in TERMS.items():
        solved = solve(take, fit=replace(FitSettings(), **choice))
        if name == "between":
            assert place_error(solved, one)[1] < 0.9 * vector, name
        elif name in ("within", "silhouette"):
            assert shape_error(solved, one) < shape_error(plain, one), name
        else:
            assert place_error(solved, one)[0] < 0.9 * before, name
    few = solve(take, fit=replace(FitSettings(), map_points_doubt=1.0, map_points=(0, 4, 8, 12, 16, 20)))
    every = solve(take, fit=replace(FitSettings(), map_points_doubt=1.0))
    assert shape_error(every, one) < shape_error(few, one) < shape_error(plain, one)


def test_maps_of_some_frames_are_of_those_frames_alone() -> None:
    one = scene(8, sides=SIDES, apart=0.08)
    frames = np.array([2, 3, 6])
    take = replace(one.take, maps=told(one, frames))
    frame = np.concatenate([np.arange(8), np.arange(8)])
    left = np.arange(16) >= 8
    found = seen_maps.of_take(take, frame, left, np.ones(16, bool), np.arange(8), np.zeros(10))
    assert found is not None
    assert found.hand.tolist() == [2, 3, 6, 10, 11, 14]
    assert np.isfinite(found.between).tolist() == [k in (2, 3, 6) for k in range(8)]
    part = found.take(np.array([3, 4, 11, 14]), np.array([3]))
    assert part.hand.tolist() == [0, 2, 3]
    hidden = seen_maps.of_take(take, frame, left, np.arange(16) != 3, np.arange(8), np.zeros(10))
    assert hidden is not None and hidden.hand.tolist() == [2, 6, 10, 11, 14]
    assert np.flatnonzero(np.isfinite(hidden.between)).tolist() == [2, 6]
    np.testing.assert_array_equal(part.rays[..., 0], found.rays[..., 1])
    assert seen_maps.of_take(one.take, frame, left, np.ones(16, bool), np.arange(8), np.zeros(10)) is None
    # The mapping to cells: a vertex seen in the picture falls on a cell of its own hand.
    for k in range(len(found.hand)):
        cell = found.to_cell[k] @ np.concatenate([found.rays[:, :, k], np.ones((1, MATCHES))])
        inside = np.rint(cell).astype(int).clip(0, MAP_SIZE - 1)
        assert (found.field[k][inside[1], inside[0]] <= 1.0 / MAP_SIZE).mean() > 0.95


def test_a_take_keeps_its_maps(tmp_path: Path) -> None:
    one = scene(5, sides=SIDES, apart=0.08)
    take = replace(one.take, left=one.truth["left"], right=one.truth["right"], maps=told(one, np.array([1, 4])))
    path = tmp_path / "maps.take.npz"
    save_take(take, path)
    again = load_take(path)
    assert again.maps is not None and take.maps is not None
    np.testing.assert_array_equal(again.maps.regions, take.maps.regions)
    np.testing.assert_allclose(again.maps.pixels, take.maps.pixels, atol=1e-3)
    assert again.maps.frame.dtype == np.int32 and again.maps.vertices.tolist() == VERTICES.tolist()
    wrong = replace(take, maps=replace(take.maps, frame=np.array([4, 1], np.int32)))
    save_take(wrong, path)
    with pytest.raises(BadInputError, match="maps of both hands"):
        load_take(path)
