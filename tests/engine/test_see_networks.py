# SPDX-License-Identifier: GPL-3.0-or-later
"""Palms, crops and landmarks against MediaPipe itself, run once on the same drawn picture (static mode)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from blender_handmocap.engine.footage_pictures import read_picture
from blender_handmocap.engine.models import MODELS_FOLDER
from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.landmarks import HandNetwork
from blender_handmocap.engine.see.palms import PalmDetector, anchors, decoded

pytestmark = pytest.mark.skipif(
    not (MODELS_FOLDER / "mediapipe_hand.onnx").exists(), reason="the networks are made by `build.py models`"
)

SEE = Path(__file__).parent / "data" / "see"


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    image = read_picture(SEE / "two_hands.png")
    assert image is not None
    return image


@pytest.fixture(scope="module")
def palms() -> PalmDetector:
    return PalmDetector(Runtime.choose("cpu", 1))


@pytest.fixture(scope="module")
def hands() -> HandNetwork:
    return HandNetwork(Runtime.choose("cpu", 1))


def test_hands_are_mediapipes(picture: np.ndarray, palms: PalmDetector, hands: HandNetwork) -> None:
    golden = np.load(SEE / "mediapipe_static.npz")
    found = palms.detect(picture, threshold=0.5)
    assert len(found) == len(golden["screen"]) == 2
    seen = hands.look(picture, [palm.crop for palm in found])
    for screen, world, right in zip(golden["screen"], golden["world"], golden["right"], strict=True):
        hand = min(seen, key=lambda one: np.abs(one.screen[:, :2] - screen[:, :2]).mean())
        distance = np.linalg.norm(hand.screen[:, :2] - screen[:, :2], axis=1)
        # A plain affine cut differs from MediaPipe's perspective one by about a tenth of a pixel.
        assert distance.mean() < 0.15 and distance.max() < 0.8
        assert np.abs(hand.screen[:, 2] - screen[:, 2]).mean() < 0.5
        assert np.abs(hand.world - world).max() < 1.5e-3
        assert abs(hand.right - right) < 0.02


def test_sides_of_an_unmirrored_picture(picture: np.ndarray, palms: PalmDetector, hands: HandNetwork) -> None:
    # Drawn with the right hand on the left.
    seen = sorted(
        hands.look(picture, [palm.crop for palm in palms.detect(picture, threshold=0.5)]),
        key=lambda hand: hand.screen[:, 0].mean(),
    )
    assert seen[0].right > 0.5 > seen[1].right


def test_a_part_of_the_picture_finds_the_same_palm(picture: np.ndarray, palms: PalmDetector) -> None:
    whole = palms.detect(picture, threshold=0.5)
    right_one = max(whole, key=lambda palm: palm.box[0])
    middle = (right_one.box[:2] + right_one.box[2:]) / 2
    part = np.array([*middle, 260.0, 260.0, 0.0])
    again = min(
        palms.detect(picture, threshold=0.3, part=part), key=lambda palm: np.abs(palm.box - right_one.box).sum()
    )
    assert np.abs(again.box - right_one.box).max() < 20


def test_parallel_looks_equal_single_ones(picture: np.ndarray, palms: PalmDetector) -> None:
    crops = [palm.crop for palm in palms.detect(picture, threshold=0.5)]
    beside = HandNetwork(Runtime.choose("cpu", 2))
    for together, crop in zip(beside.look(picture, crops), crops, strict=True):
        alone = beside.look(picture, [crop])[0]
        assert np.abs(together.screen - alone.screen).max() < 0.01
    assert beside.look(picture, []) == []


def test_networks_do_not_care_for_odd_pictures(palms: PalmDetector, hands: HandNetwork) -> None:
    for shape in ((1, 1, 3), (3, 2000, 3), (480, 5, 3)):
        assert palms.detect(np.full(shape, 128, np.uint8), threshold=0.5) == []
    hand = hands.look(np.zeros((1, 1, 3), np.uint8), [np.array([0.5, 0.5, 20.0, 20.0, 0.0])])[0]
    assert hand.presence < 0.5 and np.isfinite(hand.screen).all()


def test_a_turned_picture_turns_the_hand(picture: np.ndarray, palms: PalmDetector, hands: HandNetwork) -> None:
    crop = max(palms.detect(picture, threshold=0.5), key=lambda palm: palm.box[0]).crop
    plain = hands.look(picture, [crop])[0]
    turned = cv2.rotate(picture, cv2.ROTATE_90_CLOCKWISE)
    height = picture.shape[0]
    moved = np.array([height - 1 - crop[1], crop[0], crop[2], crop[3], crop[4] + np.pi / 2])
    quarter = hands.look(turned, [moved])[0]
    expected = np.stack([height - 1 - plain.screen[:, 1], plain.screen[:, 0]], axis=-1)
    assert np.abs(quarter.screen[:, :2] - expected).mean() < 0.5
    expected_world = np.stack([-plain.world[:, 1], plain.world[:, 0], plain.world[:, 2]], axis=-1)
    assert np.abs(quarter.world - expected_world).mean() < 1e-3


def test_anchors_cover_the_input() -> None:
    found = anchors()
    assert found.shape == (2016, 2)
    assert (found[0] == 0.5 / 24).all() and (found[-1] == 11.5 / 12).all()


def test_overlapping_boxes_are_averaged_by_their_scores() -> None:
    boxes = np.zeros((2016, 18), np.float32)
    scores = np.full((2016, 1), -20.0, np.float32)
    # Two anchors of one cell: the same place, widths 40 and 44; and one far away.
    boxes[0, 2:4], boxes[1, 2:4], boxes[1000, 2:4] = 40, 44, 30
    scores[0], scores[1], scores[1000] = 2.0, 0.0, 1.0
    found = decoded(boxes, scores, 0.5)
    assert [round(score, 3) for score, _ in found] == [0.881, 0.731]
    weights = np.array([0.8808, 0.5])
    width = (found[0][1][2] - found[0][1][0]) * 192
    assert width == pytest.approx(float(weights @ [40, 44] / weights.sum()), abs=1e-3)
    assert len(decoded(boxes, scores, 0.9)) == 0
