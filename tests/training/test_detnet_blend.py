# SPDX-License-Identifier: GPL-3.0-or-later
"""What is fitted around DetNet's weights: the definition map, calibration, judges without truth, real labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.see.crops import HAND_INPUT
from blender_handmocap.engine.see.detnet import Blend, LearnedHand
from blender_handmocap.engine.see.landmarks import SeenHand
from training.detnet import blend, bones, definition, evaluate, real
from training.detnet.shards import held_out
from training.footage.crops import NO_JITTER

RNG = np.random.default_rng(3)


def posed(count: int, *, bend: float = 0.2) -> np.ndarray:
    """(N, 21, 3) right hands of the model in random poses, metres."""
    hand = free_hand("right")
    vectors = RNG.normal(size=(count, 16, 3)) * bend
    turned = rotations.quaternion_from_vector(vectors)
    return hand.pose(turned, np.tile([0.0, 0.0, 0.5], (count, 1)), hand.rest()).keypoints


def seen_of(points: np.ndarray, *, noise: float = 0.0, expected: float = 2.0, moved: bool = False) -> SeenHand:
    """What both networks would say of points (21, 3), seen from far away in a crop of 224 pixels.

    `moved`: MediaPipe's follow its own definition.
    """
    flat = points - points[9]
    theirs = definition.mediapipe_map() @ flat if moved else flat
    ours, screen = (one * 800.0 + [112.0, 112.0, 0.0] + RNG.normal(size=(21, 3)) * noise for one in (flat, theirs))
    unit = flat / np.linalg.norm(flat[0])
    learned = LearnedHand(
        points=ours[:, :2],
        form=unit,
        error_2d=np.full(21, expected),
        error_3d=np.full(21, 0.1),
        visible=np.ones(21),
        present=0.99,
        of_side=0.99,
        mirrored=False,
    )
    return SeenHand(blend.WHOLE, screen, theirs, presence=0.9, right=0.9, learned=learned)


def looked_at(points: np.ndarray, seen: list[SeenHand]) -> blend.Looked:
    flat = points - points[:, 9:10]
    pixels = flat[..., :2] * 800.0 + 112.0
    unit = flat / np.linalg.norm(flat[:, :1], axis=-1, keepdims=True)
    return blend.Looked(seen, pixels, unit, np.ones(len(points), bool))


def test_the_map_finds_how_a_definition_moves_points() -> None:
    truth = RNG.normal(size=(400, 21)) * 30.0
    moved = np.eye(21)
    moved[8, 8], moved[8, 7] = 0.7, 0.3
    moved[0, 0], moved[0, 9] = 0.9, 0.1
    found = definition.linear_map(truth, truth @ moved.T)
    np.testing.assert_allclose(found.sum(1), 1.0)
    # The ridge draws it towards the identity, but not far.
    assert np.abs(found - moved).max() < 0.02


def test_the_map_meets_the_engines_offsets_and_keeps_the_size_of_hands() -> None:
    own, theirs = definition.posed_pairs(definition.some_poses(200, seed=7, test=True))
    found = own.swapaxes(1, 2) @ definition.mediapipe_map().T
    found = found.swapaxes(1, 2)
    before, after = (np.linalg.norm(points - theirs, axis=-1).mean() for points in (own, found))
    assert after < 1.2e-3 and after < 0.3 * before

    def size(points: np.ndarray) -> np.ndarray:
        return np.sqrt(((points - points.mean(1, keepdims=True)) ** 2).sum((1, 2)))

    # A percent of size is a percent of distance from the camera.
    assert np.median(size(found) / size(theirs)) == pytest.approx(1.0, abs=0.003)


def test_hands_seen_without_error_fit_without_error() -> None:
    points = posed(60)
    looked = looked_at(points, [seen_of(one, moved=True) for one in points])
    found = blend.fit(looked)
    moved = looked.in_definition(found.definition)
    told = blend.errors(moved, *blend.blended(moved, found))
    assert told["pixels"] < 0.5 and told["aligned"] < 0.02 and told["rooted"] < 0.02
    assert Blend.from_text(found.to_text()).sigma_2d == pytest.approx(found.sigma_2d, abs=1e-5)


def test_stated_errors_are_scaled_to_the_true_ones() -> None:
    points = posed(120)
    looked = looked_at(points, [seen_of(one, noise=3.0, expected=1.0, moved=True) for one in points])
    found = blend.fit(looked)
    pixels, _ = blend.blended(looked, found)
    off = np.linalg.norm(pixels - found.definition @ looked.points2d, axis=-1)
    # Stated: one axis of a round cloud whose mean distance is that of the blend.
    assert found.sigma_2d == pytest.approx(off.mean() * np.sqrt(2 / np.pi), rel=0.05)


def test_the_models_own_hand_is_in_proportion_and_a_flattened_one_is_not() -> None:
    points = posed(20)
    assert bones.misproportion(points, np.eye(21)) < 1e-6
    assert bones.misproportion(points * 2.0 + 1.0, np.eye(21)) < 1e-6
    assert bones.misproportion(points * [1.0, 1.0, 0.3], np.eye(21)) > 0.05


def test_depth_from_detnet_mends_a_flat_hand() -> None:
    points = posed(20)
    seen = [
        replace(hand, world=hand.world * [1, 1, 0.2], screen=hand.screen * [1, 1, 0.2]) for hand in map(seen_of, points)
    ]
    deep, flat = (replace(Blend.plain(), depth=depth) for depth in (1.0, 0.0))
    assert bones.misproportion(bones.blended_forms(seen, deep), np.eye(21)) < 0.5 * bones.misproportion(
        bones.blended_forms(seen, flat), np.eye(21)
    )


def test_figures_of_a_perfect_answer_are_zero_and_bends_are_degrees() -> None:
    points = posed(30, bend=0.8)
    pixels = points[..., :2] * 800.0
    perfect = [evaluate.Answer(p, x) for p, x in zip(pixels, points, strict=True)]
    told = evaluate.figures(perfect, pixels, points)
    assert told["2D %"] < 1e-6 and told["PA mm"] < 1e-6 and told["rooted mm"] < 1e-6
    straight = np.zeros((1, 21, 3))
    straight[0, 5:9, 1] = [1.0, 2.0, 3.0, 4.0]
    straight[0, 7] = [1.0, 2.0, 0.0]
    assert evaluate.bends(straight)[0, 0] == pytest.approx(90.0)


def test_bent_fingers_that_are_seen_are_told_apart() -> None:
    points = np.zeros((1, 21, 3))
    points[0, :, 2] = np.linspace(0.4, 0.5, 21)
    for first in (5, 9):
        points[0, first : first + 3, :2] = [[0.0, 0.1], [0.0, 0.2], [0.1, 0.2]]
    said = points.copy()
    said[0, 11, :2] = [0.0, 0.3]
    visible = np.ones((1, 21), bool)
    visible[0, 10] = False
    answer = [evaluate.Answer(points[0, :, :2], said[0])]
    told = evaluate.figures(answer, points[..., :2], points, visible)
    assert told["bias deg"] < -15.0 and told["bent deg"] == pytest.approx(-told["bias deg"])
    assert abs(told["seen bias deg"]) < 1e-6
    assert np.isnan(evaluate.figures(answer, points[..., :2], points, ~visible & False)["seen bent deg"])


def test_real_hands_are_labelled_where_both_looks_agree() -> None:
    points = posed(1)[0]
    seen = seen_of(points)
    image = RNG.integers(0, 255, (HAND_INPUT, HAND_INPUT, 3), np.uint8)
    again = replace(seen, screen=seen.screen.copy())
    again.screen[8, 0] += 40.0
    found = real.labelled(image, seen, again, np.eye(21), np.random.default_rng(0))
    assert found and all(one.image.shape == (HAND_INPUT, HAND_INPUT, 3) for one in found)
    assert not found[0].use[8] and found[0].use[12] and not found[0].use[0]
    away = replace(seen, screen=seen.screen + 60.0)
    assert real.labelled(image, seen, away, np.eye(21), np.random.default_rng(0)) == []


def test_a_left_hands_label_is_mirrored_with_its_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real, "Jitter", lambda: NO_JITTER)
    points = posed(1)[0]
    seen = seen_of(points)
    image = np.zeros((HAND_INPUT, HAND_INPUT, 3), np.uint8)
    x, y = np.round(seen.screen[12, :2]).astype(int)
    image[y - 2 : y + 3, x - 2 : x + 3] = 255
    for right in (0.9, 0.1):
        one = real.labelled(image, replace(seen, right=right), seen, np.eye(21), np.random.default_rng(0))[0]
        px, py = np.round(one.points[12]).astype(int)
        assert one.image[py, px].min() > 200


def test_held_out_rows_stay_the_last_ones_of_a_shard() -> None:
    assert held_out(1000).tolist() == list(range(960, 1000))
    assert held_out(3).tolist() == [2]
