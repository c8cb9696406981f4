# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from blender_handmocap.engine.see import crops


def upright_hand(scale: float = 100.0, centre: tuple[float, float] = (320.0, 240.0)) -> np.ndarray:
    """A flat hand with its fingers up: wrist at the bottom, thumb to the left."""
    points = [(0.0, 0.6), (-0.3, 0.4), (-0.45, 0.2), (-0.5, 0.1), (-0.55, 0.0)]
    for column in (-0.25, -0.05, 0.12, 0.28):
        points += [(column, row) for row in (-0.05, -0.3, -0.45, -0.58)]
    return np.array(points) * scale + centre


def rotated(points: np.ndarray, angle: float) -> np.ndarray:
    """Turned clockwise on the screen about their mean."""
    middle = points.mean(0)
    cosine, sine = math.cos(angle), math.sin(angle)
    return (points - middle) @ np.array([[cosine, sine], [-sine, cosine]]) + middle


def picture() -> np.ndarray:
    random = np.random.default_rng(5)
    return cv2.GaussianBlur(random.integers(0, 256, (480, 640, 3), dtype=np.uint8), (0, 0), 3)


@pytest.mark.parametrize("replicate", [True, False])
def test_cutting_agrees_with_a_perspective_warp_of_the_box(replicate: bool) -> None:
    crop = np.array([600.0, 200.0, 180.0, 180.0, 0.7])
    box = cv2.boxPoints(((crop[0], crop[1]), (crop[2], crop[3]), math.degrees(crop[4])))
    corners = np.array([[0, 224], [0, 0], [224, 0], [224, 224]], np.float32)
    border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
    matrix = cv2.getPerspectiveTransform(box.astype(np.float32), corners)
    expected = cv2.warpPerspective(picture(), matrix, (224, 224), flags=cv2.INTER_LINEAR, borderMode=border)
    found = crops.cut(picture(), crop, 224, replicate=replicate)
    assert np.abs(found.astype(int) - expected).mean() < 0.3


def test_points_go_back_to_where_the_crop_was_cut() -> None:
    crop = np.array([300.0, 200.0, 100.0, 100.0, math.pi / 2])
    shares = np.array([[0.5, 0.5], [0.5, 0.0], [1.0, 0.5]])
    # Turned a quarter clockwise, the crop's top looks to the right and its right side down.
    np.testing.assert_allclose(crops.points_in_picture(shares, crop), [[300, 200], [350, 200], [300, 250]], atol=1e-9)


def test_the_crop_of_an_upright_hand_is_upright_and_holds_it() -> None:
    points = upright_hand()
    crop = crops.crop_of_hand(points)
    assert abs(crop[4]) < 0.15
    shares = (points - crop[:2]) @ crops.turned(crop[4]) / crop[2] + 0.5
    assert shares.min() > 0.05 and shares.max() < 0.95


@pytest.mark.parametrize("angle", [0.4, -1.2, 3.0])
def test_the_crop_turns_and_grows_with_the_hand(angle: float) -> None:
    points = upright_hand()
    plain, turned = crops.crop_of_hand(points), crops.crop_of_hand(rotated(points, angle))
    assert crops.wrapped(turned[4] - plain[4] - angle) == pytest.approx(0.0, abs=1e-9)
    # The middle of a box in the picture's own axes is part of the rule, so size may change a little with the angle.
    assert turned[2] == pytest.approx(plain[2], rel=1e-6)
    larger = crops.crop_of_hand(upright_hand(200.0))
    assert larger[2] == pytest.approx(2 * plain[2])


def test_the_crop_of_a_palm_looks_towards_the_fingers() -> None:
    keypoints = np.array([[100, 200], [80, 120], [100, 110], [115, 115], [130, 125], [75, 170], [60, 150]], float)
    crop = crops.crop_of_palm(np.array([60.0, 110.0, 130.0, 180.0]), keypoints)
    assert crop[4] == pytest.approx(0.0)
    np.testing.assert_allclose(crop[:4], [95.0, 145.0 - 35.0, 182.0, 182.0])


def test_overlap_of_boxes() -> None:
    first = np.array([50.0, 50, 100, 100, 0])
    assert crops.overlap(first, first) == pytest.approx(1.0)
    assert crops.overlap(first, np.array([100.0, 50, 100, 100, 0])) == pytest.approx(1 / 3)
    assert crops.overlap(first, np.array([500.0, 50, 100, 100, 0])) == 0.0


def test_difference_of_crops() -> None:
    first = np.array([0.0, 0, 100, 100, 3.1])
    second = np.array([30.0, 40, 100, 100, -3.1])
    shift, scale, angle = crops.difference(first, second)
    assert (shift, scale) == (pytest.approx(0.5), 0.0)
    assert angle == pytest.approx(2 * math.pi - 6.2)


def test_crops_are_square() -> None:
    with pytest.raises(ValueError, match="square"):
        crops.cut(picture(), np.array([0.0, 0, 100, 50, 0]), 224, replicate=True)
