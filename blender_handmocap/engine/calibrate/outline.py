# SPDX-License-Identifier: GPL-3.0-or-later
"""The outline of a hand in a photo: which pixels are hand, and how far any place is from its edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ..hand.names import KEYPOINT_PARENTS, PALM_KEYPOINTS

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

_HAND_PIXELS: Final = 420
"""pixels from the wrist to the middle fingertip of the picture that is cut out"""
_CERTAIN: Final = 0.05
"""half width of what is certainly finger, in shares of that length"""
_POSSIBLE: Final = 0.13
"""how far from the bones hand may still be, in the same"""
_ROUNDS: Final = 4
_GREY: Final = 5.0
"""distance from the paper's hue, in Lab, up to which a pixel may be paper; skin is at twice that and more"""
_BRIGHT: Final = 0.6
"""share of the paper's lightness that its shadows keep"""


@dataclass(frozen=True)
class Outline:
    """Signed distances to the hand's edge in a cut-out of the photo."""

    distance: NDArray[np.float32]
    """(h, w) photo pixels: positive outside the hand, negative inside"""
    scale: float
    """cut-out pixels a photo pixel"""
    corner: Array
    """(2,) photo pixels: where the cut-out begins"""

    def at(self, pixels: Array) -> Array:
        """Signed distance (...), photo pixels, at places (..., 2) of the photo."""
        local = ((pixels - self.corner) * self.scale).astype(np.float32)
        x, y = local[..., 0].reshape(1, -1), local[..., 1].reshape(1, -1)
        found = cv2.remap(self.distance, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(found, np.float64).reshape(local.shape[:-1])

    def contours(self) -> list[NDArray[np.int32]]:
        """The edge as closed lines in photo pixels, for drawing."""
        inside = (self.distance < 0).astype(np.uint8)
        lines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        return [np.round(line.reshape(-1, 2) / self.scale + self.corner).astype(np.int32) for line in lines]


def find_outline(image: Image, hand: Array, *, sheet: Array | None = None) -> Outline:
    """Part hand from ground by their colours; `hand` (21, 2) are keypoints in pixels of the RGB photo.

    `sheet` (4, 2) are the corners of white paper under the hand: what looks like it is no hand.
    """
    length = float(np.linalg.norm(hand[12] - hand[9]) + np.linalg.norm(hand[9] - hand[0]))
    margin = 0.35 * length
    low = np.maximum(np.floor(hand.min(0) - margin), 0.0).astype(int)
    high = np.minimum(np.ceil(hand.max(0) + margin), [image.shape[1], image.shape[0]]).astype(int)
    cut = image[low[1] : high[1], low[0] : high[0]]
    scale = min(1.0, _HAND_PIXELS / length)
    if scale < 1.0:
        cut = np.asarray(cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    corner = low + (0.5 / scale - 0.5)
    labels = _first_guess(cut.shape[:2], (hand - corner) * scale, length * scale)
    if sheet is not None:
        labels[_is_paper(cut, (sheet - corner) * scale, labels) & (labels != cv2.GC_FGD)] = cv2.GC_BGD
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    blurred = cv2.GaussianBlur(cut, (0, 0), 1.0)
    # The rectangle is not read when a mask is given.
    cv2.grabCut(blurred, labels, (0, 0, 1, 1), background, foreground, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    inside = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.uint8)
    opened = cv2.morphologyEx(inside, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    inside = _largest(np.asarray(opened, np.uint8))
    # Distances are measured between pixel centres: the edge lies half a pixel before the first one beyond it.
    outwards = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    inwards = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    signed = np.where(inside == 1, 0.5 - inwards, outwards - 0.5)
    return Outline(distance=(signed / scale).astype(np.float32), scale=scale, corner=np.asarray(corner, np.float64))


def _first_guess(shape: tuple[int, ...], hand: Array, length: float) -> NDArray[np.uint8]:
    """What is certain from the keypoints: bones are hand, what is far from them is not."""
    fixed = np.round(hand).astype(np.int32)
    bones = np.zeros(shape, np.uint8)
    for child, parent in enumerate(KEYPOINT_PARENTS):
        if parent >= 0:
            cv2.line(bones, tuple(fixed[parent].tolist()), tuple(fixed[child].tolist()), (1,), 1)
    cv2.fillConvexPoly(bones, cv2.convexHull(fixed[list(PALM_KEYPOINTS)]), (1,))
    # The forearm is skin too: what lies behind the wrist is left open.
    behind = hand[0] + 0.6 * length * _unit(hand[0] - hand[9])
    cv2.line(bones, tuple(fixed[0].tolist()), tuple(np.round(behind).astype(int).tolist()), (1,), 1)
    away = cv2.distanceTransform(1 - bones, cv2.DIST_L2, 5)
    labels = np.full(shape, cv2.GC_BGD, np.uint8)
    labels[away < _POSSIBLE * length] = cv2.GC_PR_BGD
    labels[away < 1.4 * _CERTAIN * length] = cv2.GC_PR_FGD
    labels[away < 0.5 * _CERTAIN * length] = cv2.GC_FGD
    return labels


def _is_paper(cut: Image, sheet: Array, labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(h, w) pixels inside the sheet that have its own colour: shadows on it are darker, but no more colourful."""
    inside = np.zeros(cut.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, np.round(sheet).astype(np.int32), (1,))
    lab = cv2.cvtColor(cut, cv2.COLOR_RGB2LAB).astype(np.float32)
    certain = (inside == 1) & (labels == cv2.GC_BGD)
    if not certain.any():
        return certain
    white = np.median(lab[certain], axis=0)
    colourful = np.hypot(lab[..., 1] - white[1], lab[..., 2] - white[2])
    return np.asarray((inside == 1) & (colourful < _GREY) & (lab[..., 0] > _BRIGHT * white[0]))


def _unit(vector: Array) -> Array:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))


def _largest(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    count, labels, facts, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count < 2:
        return mask
    return (labels == 1 + int(facts[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)
