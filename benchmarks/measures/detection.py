# SPDX-License-Identifier: GPL-3.0-or-later
"""Was the hand found, on the right side, once, and was nothing else reported?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FOUND_BELOW: Final = 0.2
"""A prediction is on a hand when its mean 2D error is below this share of the truth box's longer side."""
STRANGER_BELOW: Final = 0.1
"""A prediction whose box overlaps every truth box by less than this IoU belongs to no hand in the picture."""


@dataclass(frozen=True)
class Detection:
    """What became of the hands of one picture."""

    match: NDArray[np.int64]
    """(G,) index of the prediction that found each true hand; -1 where none did"""
    wrong_side: NDArray[np.bool_]
    """(G,) the hand is not found, but a prediction of the other side lies on it"""
    duplicates: int
    """further predictions lying on a hand that already has one"""
    false_hands: int
    """predictions that belong to no hand of the picture"""
    crowded: bool
    """more hands are predicted than the picture shows, wherever they lie"""

    @property
    def found(self) -> NDArray[np.bool_]:
        """(G,) a prediction of the right side lies on the hand."""
        return self.match >= 0


def box_of(points2d: Array) -> Array:
    """(4,) x0, y0, x1, y1 of the finite points among (P, 2), pixels; NaN without any."""
    finite = points2d[np.isfinite(points2d).all(-1)]
    if not len(finite):
        return np.full(4, np.nan)
    return np.concatenate([finite.min(0), finite.max(0)])


def box_side(points2d: Array) -> float:
    """The longer side of the box around the finite points of (P, 2), pixels."""
    box = box_of(points2d)
    return float(max(box[2] - box[0], box[3] - box[1]))


def error2d(predicted: Array, truth: Array) -> float:
    """Mean distance of (P, 2) points in pixels, over those with truth, divided by the longer side of the truth box.

    Unit: shares of the box. Infinite when nothing can be compared.
    """
    distance = np.linalg.norm(predicted - truth, axis=-1)
    finite = np.isfinite(distance)
    side = box_side(truth)
    if not finite.any() or not side > 0:
        return float("inf")
    return float(distance[finite].mean() / side)


def box_iou(first: Array, second: Array) -> float:
    """Intersection over union of two boxes x0, y0, x1, y1; 0 when either is empty."""
    size = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    if not (np.isfinite(size).all() and (size > 0).all()):
        return 0.0
    inside = float(size.prod())
    return inside / (float((first[2:] - first[:2]).prod()) + float((second[2:] - second[:2]).prod()) - inside)


def detect(
    predicted: Sequence[Array], predicted_sides: Sequence[str], truth: Sequence[Array], truth_sides: Sequence[str]
) -> Detection:
    """Compare the predicted hands of one picture with the true ones; each hand is (21, 2) pixels and a side.

    A prediction *lies on* a true hand when `error2d` is below FOUND_BELOW. Predictions are given to hands one
    to one, best first: first those of the hand's own side (`found`), then, to hands still without one, those of the
    other side (`wrong_side`). What is left over and lies on a hand that already has one is a duplicate; what
    is left over and overlaps no true box by an IoU of STRANGER_BELOW is a false hand. The rest, a poor guess
    near a hand, is neither: the hand counts as missed, or, if another prediction lies on it, the picture as crowded.
    """
    errors = np.array([[error2d(p, t) for p in predicted] for t in truth]).reshape(len(truth), len(predicted))
    same = np.array([[p == t for p in predicted_sides] for t in truth_sides], bool).reshape(errors.shape)
    owner = np.full(len(predicted), -1)
    match = np.full(len(truth), -1)
    wrong = np.zeros(len(truth), bool)
    for right_side in (True, False):
        for flat in np.argsort(errors, axis=None):
            g, p = np.unravel_index(flat, errors.shape)
            if errors[g, p] >= FOUND_BELOW:
                break
            if same[g, p] != right_side or owner[p] >= 0 or match[g] >= 0 or wrong[g]:
                continue
            owner[p] = g
            if right_side:
                match[g] = p
            else:
                wrong[g] = True
    taken = (match >= 0) | wrong
    boxes = [box_of(t) for t in truth]
    duplicates = false_hands = 0
    for p in np.flatnonzero(owner < 0):
        if any(taken[g] and errors[g, p] < FOUND_BELOW for g in range(len(truth))):
            duplicates += 1
        elif all(box_iou(box_of(predicted[p]), box) < STRANGER_BELOW for box in boxes):
            false_hands += 1
    return Detection(
        match=match,
        wrong_side=wrong,
        duplicates=duplicates,
        false_hands=false_hands,
        crowded=len(predicted) > len(truth),
    )
