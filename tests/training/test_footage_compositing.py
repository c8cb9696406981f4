# SPDX-License-Identifier: GPL-3.0-or-later
"""Pasted hands: who is before whom, and what stays visible."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("numba")

from training.footage.compositing import Cutout, composed, matched_light

SIZE = 64


def square(side: str, left: int, depth: float, colour: int) -> Cutout:
    mask = np.zeros((SIZE, SIZE), np.float32)
    mask[16:48, left : left + 32] = 1.0
    places = np.stack([np.full(21, left + 16.0), np.linspace(18, 46, 21)], axis=1)
    return Cutout(
        image=np.full((SIZE, SIZE, 3), colour, np.uint8),
        mask=mask,
        depth=np.where(mask > 0, depth, 0).astype(np.float32),
        side=side,  # type: ignore[arg-type]
        keypoints2d=places,
        visible=np.ones(21, bool),
    )


@pytest.mark.parametrize("by_pixel", [True, False])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_hand_is_seen_whatever_the_order(by_pixel: bool, order: tuple[int, int]) -> None:
    hands = [square("right", 8, 0.4, 200), square("left", 20, 0.5, 90)]
    picture = composed(np.zeros((SIZE, SIZE, 3), np.uint8), [hands[i] for i in order], by_pixel=by_pixel)
    assert picture.side[32, 30] == 2
    assert picture.image[32, 30, 0] == 200
    assert picture.side[32, 48] == 1
    assert picture.side[5, 5] == 0
    visible = dict(zip(order, picture.visible, strict=True))
    assert visible[0].all()
    assert not visible[1].any()


def test_depth_decides_pixel_by_pixel() -> None:
    slanted = square("left", 16, 0.5, 90)
    ramp = np.tile(np.linspace(0.3, 0.6, SIZE, dtype=np.float32), (SIZE, 1))
    picture = composed(
        np.zeros((SIZE, SIZE, 3), np.uint8), [square("right", 16, 0.45, 200), replace(slanted, depth=ramp)]
    )
    row = picture.side[32, 17:47]
    assert row[0] == 1
    assert row[-1] == 2
    assert (np.diff((row == 2).astype(int)) != 0).sum() == 1


def test_moving_and_mirroring_keep_points_on_the_hand() -> None:
    hand = square("right", 8, 0.4, 200)
    moved = hand.moved([[1.0, 0.0, 10.0], [0.0, 1.0, -4.0]], SIZE, SIZE).nearer(0.1)
    assert np.allclose(moved.keypoints2d, hand.keypoints2d + np.array([10.0, -4.0]))
    assert moved.mask[30, 20] == 1.0
    assert moved.depth[30, 20] == pytest.approx(0.3)
    mirror = hand.mirrored()
    assert mirror.side == "left"
    columns, rows = np.rint(mirror.keypoints2d).astype(int).T
    assert (mirror.mask[rows, columns] == 1.0).all()
    again = mirror.mirrored()
    assert np.allclose(again.keypoints2d, hand.keypoints2d)
    assert np.array_equal(again.mask, hand.mask)


def test_matching_light_draws_the_means_together() -> None:
    bright, dim = square("right", 8, 0.4, 200), square("left", 8, 0.4, 90)
    matched = matched_light(bright, dim, 1.0)
    assert abs(int(matched.image[32, 20, 0]) - 90) <= 1


def test_no_hand_leaves_the_backdrop() -> None:
    backdrop = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3)).astype(np.uint8)
    picture = composed(backdrop, [])
    assert np.array_equal(picture.image, backdrop)
    assert not picture.side.any()
