# SPDX-License-Identifier: GPL-3.0-or-later
"""Real hands pasted together: labels are those of their fits, and what nobody knows is not trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("numba")

from blender_handmocap.engine import rotations
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.see.fusion import ray_rotation
from training.detnet.composites import CANVAS, cutout_of
from training.detnet.fitted import FittedHands, gathered
from training.footage.compositing import Composite, Cutout
from training.footage.crops import CROP_SIZE, crop_matrix
from training.footage.cutouts import Fitted, pasted
from training.footage.render import SIDE_LABEL, draw
from training.footage.scene import HandPose, Scene
from training.footage.surface import hand_model
from training.pair import composites, files
from training.pair.followed import Following, followed
from training.pair.heads import PairHeads
from training.pair.learn import as_given
from training.pair.losses import Targets, Weights, loss, targets
from training.pair.pictures import MAP_SIZE, Laid, Truth
from training.pair.shards import LABELS, LAID, read_labels

UPRIGHT = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


@pytest.fixture(scope="module")
def hands() -> FittedHands:
    """One right hand whose fit is exact, turned a little, off the middle of its picture."""
    rotation = np.tile(rotations.IDENTITY, (16, 1))
    rotation[0] = rotations.quaternion_from_matrix(rotations.matrix_from_vector([0.3, 0.5, 0.2]) @ UPRIGHT)
    rotation[4] = rotations.quaternion_from_matrix(rotations.matrix_from_vector([0.0, 0.0, 0.7]))
    K = np.array([[500.0, 0, 199.5], [0, 500.0, 199.5], [0, 0, 1.0]])
    scene = Scene((HandPose("right", rotation, np.array([0.05, 0.08, 0.5])),), np.zeros(10), None, K, 400, 400)
    drawn = draw(scene, quality="plain")
    mask = (drawn.side == SIDE_LABEL["right"]) & (drawn.part < 17)
    image = np.where(mask[..., None], (215, 150, 105), 255).astype(np.uint8)
    truth = drawn.hands[0]
    cutout = Cutout(image, mask.astype(np.float32), drawn.depth, "right", truth.keypoints2d, truth.visible)
    return gathered([Fitted(scene, cutout)])


@pytest.fixture(scope="module")
def piece(hands: FittedHands) -> Cutout:
    return cutout_of(hands, 0)


@pytest.fixture(scope="module")
def made(piece: Cutout) -> Composite:
    return pasted(np.random.default_rng(6), [piece, piece], np.full((CANVAS, CANVAS, 3), 40, np.uint8))


def whole(size: float, rotation: float = 0.0) -> np.ndarray:
    return np.array([size / 2, size / 2, size, size, rotation])


def test_a_hand_cut_from_its_own_picture_is_where_it_was_fitted(hands: FittedHands, piece: Cutout) -> None:
    scene = hands.scene(0)
    focal = scene.K[0, 0] * CROP_SIZE / 256
    assert composites.focal_of(piece) == pytest.approx(scene.K[0, 0], rel=0.03)
    crop = whole(256)
    found = composites.placed(piece, crop, focal)
    true = draw(scene, quality="plain").hands[0].keypoints3d
    ray = np.append((crop[:2] - scene.K[:2, 2]) / scene.K[0, 0], 1.0)
    true = true @ ray_rotation(ray)
    np.testing.assert_allclose(found.points - found.points[0], true - true[0], atol=2e-3)
    np.testing.assert_allclose(found.points[0], true[0], atol=0.02)
    # Seen by the crop's camera the points lie on their places.
    seen = found.points[:, :2] / found.points[:, 2:] * focal + CROP_SIZE / 2
    assert np.abs(seen - found.places).max() < 1.5


def test_turning_and_mirroring_take_the_form_along(piece: Cutout) -> None:
    quarter = np.array([[0.0, -1.3, 260.0], [1.3, 0.0, 0.0]])
    turned = piece.moved(quarter, 300, 300)
    np.testing.assert_allclose(turned.points3d, piece.points3d[:, [1, 0, 2]] * [-1, 1, 1], atol=1e-12)
    mirrored = piece.mirrored()
    np.testing.assert_allclose(mirrored.points3d, piece.points3d * [-1, 1, 1])
    np.testing.assert_array_equal(mirrored.surface[:, ::-1], piece.surface)
    nearer = piece.nearer(0.1)
    assert nearer.points3d[0, 2] == pytest.approx(piece.points3d[0, 2] - 0.1)
    # A crop turned the other way gives the same form as a hand turned back.
    focal = 400.0
    there = composites.placed(turned, whole(300, np.pi / 2), focal).points
    straight = composites.placed(turned, whole(300), focal).points
    form, other = there - there[0], straight - straight[0]
    np.testing.assert_allclose(form[:, 2], other[:, 2], atol=4e-3)
    np.testing.assert_allclose(form[:, :2], other[:, [1, 0]] * [1, -1], atol=4e-3)


def test_labels_of_two_pasted_hands(made: Composite) -> None:
    crop = whole(CANVAS)
    truth = composites.truth_of(made, crop)
    assert truth.pair and truth.present.all() and not truth.strangers
    # The palms that labels are divided by are those of the hands that were fitted.
    assert truth.palm == pytest.approx(np.linalg.norm(np.subtract(*hand_model("right").joints[[4, 0]])), abs=1e-9)
    matrix = crop_matrix(crop)
    front = "left" if truth.laid is Laid.LEFT_IN_FRONT else "right"
    for piece, seen in zip(made.cutouts, made.visible, strict=True):
        slot = SIDES.index(piece.side)
        np.testing.assert_allclose(truth.points2d[slot], piece.keypoints2d @ matrix[:, :2].T + matrix[:, 2])
        np.testing.assert_array_equal(truth.visible[slot], seen)
        mine = truth.sides == slot + 1
        assert mine.sum() > 40
        # What lies in front hides the other: the depth of the front one is all there.
        relief = truth.depth[mine] - truth.points3d[slot, 0, 2]
        form = truth.points3d[slot, :, 2] - truth.points3d[slot, 0, 2]
        assert form.min() - 0.02 < relief.min() and relief.max() < form.max() + 0.02
        assert np.linalg.norm(truth.surface[mine], axis=-1).max() < 0.25
        if piece.side == front:
            # A point just off the outline of its own hand may lie on the other one.
            assert truth.visible[slot].sum() >= piece.visible.sum() - 3
    assert not truth.surface[truth.sides == 0].any() and not truth.depth[truth.sides == 0].any()


def test_the_mirror_exchanges_front_and_back(made: Composite) -> None:
    truth = composites.truth_of(made, whole(CANVAS))
    mirrored = truth.mirrored()
    assert {truth.laid, mirrored.laid} == {Laid.LEFT_IN_FRONT, Laid.RIGHT_IN_FRONT}
    assert mirrored.mirrored().laid is truth.laid
    assert Laid.DRAWN.mirrored is Laid.DRAWN


def test_one_hand_none_and_a_hand_outside_the_crop(piece: Cutout, made: Composite) -> None:
    random = np.random.default_rng(2)
    single = composites.alone(random, piece, np.full((CANVAS, CANVAS, 3), 40, np.uint8))
    truth = composites.truth_of(single, whole(CANVAS))
    assert truth.present.sum() == 1 and not truth.pair and truth.laid is Laid.DRAWN
    street, nothing = composites.no_hands(np.zeros((CROP_SIZE, CROP_SIZE, 3), np.uint8))
    assert street.shape == (CROP_SIZE, CROP_SIZE, 3) and not nothing.present.any() and not nothing.sides.any()
    left = made.sides.index("left")
    place = made.keypoints2d[left].mean(0)
    beside = np.array([place[0], place[1] - 4 * CANVAS, 100.0, 100.0, 0.0])
    away = composites.truth_of(made, beside)
    assert not away.present.any() and not away.sides.any() and away.laid is Laid.DRAWN


def labels_of(truths: list[Truth]) -> dict[str, np.ndarray]:
    return {name: np.array([getattr(truth, name) for truth in truths], np.float32) for name in (*LABELS, LAID)}


@pytest.fixture(scope="module")
def truth(made: Composite, piece: Cutout) -> Targets:
    """A pasted pair, the same as if it had been drawn, one hand alone."""
    pair = composites.truth_of(made, whole(CANVAS))
    single = composites.alone(np.random.default_rng(2), piece, np.full((CANVAS, CANVAS, 3), 40, np.uint8))
    return targets(labels_of([pair, replace(pair, laid=Laid.DRAWN), composites.truth_of(single, whole(CANVAS))]))


def test_only_what_is_known_of_pasted_hands_is_trained_on(truth: Targets) -> None:
    assert truth.pair.tolist() == [1, 1, 0] and truth.placed.tolist() == [0, 1, 0]
    assert not truth.contact_known[0].any() and truth.contact_known[1:].all()
    assert abs(float(truth.nearer[0])) == 1 and truth.nearer[2] == 0
    torch.manual_seed(0)
    taps = [torch.randn(3, *files.SHAPES[name]) for name in files.INPUTS[:3]]
    seen, truth = followed(truth, np.eye(21), np.random.default_rng(0), Following(exchanged=0.0))
    told = as_given(seen)
    said = PairHeads(32, 1)(*taps, *told)
    out = {
        name: (value.detach() + 0.1).requires_grad_(value.is_floating_point() and value.requires_grad)
        for name, value in said.items()
    }
    loss(out, truth, Weights())[0].backward()
    for name in ("vector", "log_sigma", "depth"):
        assert not out[name].grad[[0, 2]].any() and out[name].grad[1].any(), name
    assert not out["contact"].grad[0].any() and out["contact"].grad[2].any()
    assert out["left_nearer"].grad[0] != 0 and out["left_nearer"].grad[2] == 0
    for name in ("position", "location", "visible", "present", "pair"):
        assert all(row.any() for row in out[name].grad), name
    # The hand in front is said to be nearer.
    pushed = -torch.sign(out["left_nearer"].grad[0])
    assert pushed == truth.nearer[0]


def test_the_front_hand_is_the_nearer_one(made: Composite, truth: Targets) -> None:
    in_front = composites.truth_of(made, whole(CANVAS)).laid
    assert float(truth.nearer[0]) == (1.0 if in_front is Laid.LEFT_IN_FRONT else -1.0)


def test_a_shard_of_before_is_all_drawn(tmp_path: Path) -> None:
    for name in LABELS:
        np.save(tmp_path / f"{name}.npy", np.zeros(5, np.float32))
    assert read_labels(tmp_path)[LAID].tolist() == [0] * 5
    np.save(tmp_path / f"{LAID}.npy", np.full(5, 2, np.uint8))
    assert read_labels(tmp_path)[LAID].tolist() == [2] * 5


def test_rows_hold_back_hands_for_the_last_pictures(hands: FittedHands) -> None:
    many = FittedHands(**{name: np.concatenate([values] * 64) for name, values in vars(hands).items()})
    many.image[56:] = 9
    random = np.random.default_rng(0)
    rows = list(composites.rows(many, [], random, composites._HELD_BACK + 2, 2))
    assert len(rows) == 2 * (composites._HELD_BACK + 2)
    coloured = []
    for image, truth in rows:
        hand = np.kron(truth.sides > 0, np.ones((CROP_SIZE // MAP_SIZE,) * 2, bool))
        assert hand.any() == truth.present.any()
        # Held-back hands are nearly black here, the others of skin's colour.
        coloured.append(float(np.median(image[hand])))
    assert max(coloured[4:]) < min(coloured[:4])
