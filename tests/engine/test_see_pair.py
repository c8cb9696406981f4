# SPDX-License-Identifier: GPL-3.0-or-later
"""Both hands together: they are placed where they are, in axes of their own, and nothing bad in a take does harm."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.models import model_cards
from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.pair import (
    FEATURE_COUNT,
    LEFT,
    PAIR_MODEL,
    RIGHT,
    Aligned,
    PairNet,
    SeenHands,
    align,
    hands_of,
    load_or_explain,
    palm_bone,
    read,
    with_pair,
)
from blender_handmocap.engine.take import HandTrack, State, Take, load_take, save_take

FRAMES = 6
PLACES = {"right": np.array([0.06, 0.03, 0.55]), "left": np.array([-0.05, 0.01, 0.62])}
K = np.array([[800.0, 0.0, 319.5], [0.0, 800.0, 239.5], [0.0, 0.0, 1.0]])


def seen_take(frames: int = FRAMES) -> Take:
    """Both flat hands seen without error, turned differently in every frame."""
    random = np.random.default_rng(0)
    tracks = {}
    for side in SIDES:
        model = free_hand(side)
        rotation = np.tile(rotations.IDENTITY, (frames, 16, 1))
        rotation[:, 0] = rotations.normalized(random.normal(size=(frames, 4)))
        points = model.pose(rotation, np.tile(PLACES[side], (frames, 1)), model.rest()).keypoints
        form = points - points[:, :1]
        bone = np.linalg.norm(form[:, [5, 9, 13, 17]], axis=-1).mean(1)
        tracks[side] = replace(
            HandTrack.absent(frames),
            state=np.full(frames, State.SEEN, np.uint8),
            confidence=np.ones(frames),
            seen2d=points[..., :2] / points[..., 2:] * [K[0, 0], K[1, 1]] + K[:2, 2],
            seen2d_sigma=np.full((frames, 21), 2.0),
            seen3d=form / bone[:, None, None],
            seen3d_sigma=np.full((frames, 21), 0.05),
            visibility=np.ones((frames, 21)),
        )
    return Take(
        meta={"rate": [30, 1], "width": 640, "height": 480},
        frame=np.arange(frames, dtype=np.int32),
        time=np.arange(frames) / 30.0,
        K=K,
        dist=np.zeros(5),
        left=tracks["left"],
        right=tracks["right"],
        betas=np.zeros(10),
        size=free_hand("right").palm_length,
    )


def unchanged(given: Aligned) -> tuple[np.ndarray, np.ndarray]:
    """A reader that believes each hand's own size."""
    return read(given, np.zeros((len(given.vector), 3)), np.full((len(given.vector), 3), 0.1))


def deeper(given: Aligned) -> tuple[np.ndarray, np.ndarray]:
    """A reader that knows the left hand to be far behind its place."""
    return read(given, np.tile([0.0, 0.0, 1.5], (len(given.vector), 1)), np.full((len(given.vector), 3), 0.1))


def test_hands_seen_without_error_are_placed_where_they_are() -> None:
    take = seen_take()
    vector, sigma = unchanged(align(hands_of(take, np.arange(FRAMES))))
    true = (PLACES["left"] - PLACES["right"]) / take.size
    # The mean palm bone stands for the palm: exact for the free hand.
    np.testing.assert_allclose(vector, np.tile(true, (FRAMES, 1)), atol=1e-6)
    np.testing.assert_allclose(sigma, 0.0625, rtol=1e-6)
    assert palm_bone() == pytest.approx(0.97, abs=0.05)


def test_the_axes_are_the_pairs_own() -> None:
    seen = hands_of(seen_take(), np.arange(FRAMES))
    given = align(seen)
    assert given.features.shape == (FRAMES, FEATURE_COUNT)
    np.testing.assert_allclose(
        given.turn @ np.swapaxes(given.turn, 1, 2), np.tile(np.eye(3), (FRAMES, 1, 1)), atol=1e-9
    )
    np.testing.assert_allclose(np.linalg.det(given.turn), 1.0)
    # x runs from the left wrist to the right one, so that nothing of it is left in y.
    assert (given.vector[:, 0] < 0).all()
    np.testing.assert_allclose(given.vector[:, 1], 0.0, atol=1e-9)
    # Turning the camera about its axis changes nothing the network sees.
    turn = rotations.matrix_from_vector([0.0, 0.0, 0.8])
    turned = replace(seen, rays=seen.rays @ turn[:2, :2].T, form=seen.form @ turn.T)
    np.testing.assert_allclose(align(turned).features, given.features, atol=1e-5)


def test_errors_turn_with_their_axes() -> None:
    seen = hands_of(seen_take(1), np.arange(1))
    given = replace(align(seen), turn=np.array([[[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]]))
    vector, sigma = read(given, np.zeros((1, 3)), np.array([[0.1, 0.2, 0.4]]))
    np.testing.assert_allclose(sigma[0] / 0.625, [0.2, 0.1, 0.4])
    np.testing.assert_allclose(vector[0], [-given.vector[0, 1], given.vector[0, 0], given.vector[0, 2]])


def test_only_frames_with_both_hands_near_each_other_are_told() -> None:
    take = seen_take()
    state = take.left.state.copy()
    state[1] = State.ABSENT
    pixels, form = take.right.seen2d.copy(), take.right.seen3d.copy()
    pixels[2, 5] = np.nan
    visibility = take.right.visibility.copy()
    visibility[3] = 0.0
    form[4] = np.nan
    take = replace(
        take,
        left=replace(take.left, state=state),
        right=replace(take.right, seen2d=pixels, seen3d=form, visibility=visibility),
    )
    told = with_pair(take, deeper).pair
    assert told is not None
    assert told.valid.tolist() == [True, False, False, False, False, True]
    assert np.isfinite(told.vector[told.valid]).all() and np.isnan(told.vector[~told.valid]).all()
    assert np.isnan(told.contact[told.valid]).all()
    # Where sizes agree with the network, the fit knows better.
    agreed = with_pair(seen_take(), unchanged).pair
    assert agreed is not None and not agreed.valid.any()
    far = with_pair(seen_take(), lambda given: (np.full((FRAMES, 3), 2.0), np.ones((FRAMES, 3)))).pair
    assert far is not None and not far.valid.any()
    broken = with_pair(seen_take(), lambda given: (np.full((FRAMES, 3), np.nan), np.ones((FRAMES, 3)))).pair
    assert broken is not None and not broken.valid.any()


def test_wild_numbers_stay_finite() -> None:
    seen = hands_of(seen_take(), np.arange(FRAMES))
    wild = replace(seen, form=np.zeros_like(seen.form), rays=seen.rays * 0.0)
    assert np.isfinite(align(wild).features).all()
    behind = replace(seen, form=-seen.form)
    assert np.isfinite(align(behind).features).all()
    together = replace(
        seen,
        rays=np.repeat(seen.rays[:, RIGHT : RIGHT + 1], 2, axis=1),
        form=np.repeat(seen.form[:, LEFT : LEFT + 1], 2, axis=1),
    )
    assert np.isfinite(align(together).features).all()
    assert align(
        SeenHands(*(array[:0] for array in (seen.rays, seen.ray_error, seen.form, seen.form_error)))
    ).features.shape == (0, FEATURE_COUNT)


def test_a_take_that_says_nothing_of_contact_can_be_kept(tmp_path: Path) -> None:
    take = seen_take()
    place = {side: np.tile(PLACES[side], (FRAMES, 1)) for side in SIDES}
    take = replace(
        take,
        left=replace(take.left, translation=place["left"]),
        right=replace(take.right, translation=place["right"]),
    )
    save_take(with_pair(take, deeper), tmp_path / "pair.take.npz")
    found = load_take(tmp_path / "pair.take.npz").pair
    assert found is not None and found.valid.all() and np.isnan(found.contact).all()


@pytest.mark.skipif(PAIR_MODEL not in model_cards(), reason="the network is not there")
def test_the_network_that_ships_believes_what_is_certain_and_doubts_what_is_not() -> None:
    network, note = load_or_explain(Runtime.choose("cpu", 1))
    assert isinstance(network, PairNet) and not note
    take = seen_take()
    true = (PLACES["left"] - PLACES["right"]) / take.size
    vector, sigma = network(align(hands_of(take, np.arange(FRAMES))))
    assert np.abs(vector - true).mean() < 0.25
    doubtful = replace(
        take,
        left=replace(take.left, seen3d_sigma=take.left.seen3d_sigma * 4, seen2d_sigma=take.left.seen2d_sigma * 4),
        right=replace(take.right, seen3d_sigma=take.right.seen3d_sigma * 4, seen2d_sigma=take.right.seen2d_sigma * 4),
    )
    assert network(align(hands_of(doubtful, np.arange(FRAMES))))[1].mean() > 1.3 * sigma.mean()
