# SPDX-License-Identifier: GPL-3.0-or-later
"""One linear map from the places where a method sees joints to where a test set's truth has them.

Every hand model and every annotator put a wrist or a knuckle somewhere else. A 21 x 21 map whose rows sum to 1
(each true point as a mix of the seen points of the same hand) turns and moves with the hand, so it says nothing about
pose, and it is fitted once a method and set on frames that are not judged.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..measures import alignment

Array = NDArray[np.float64]

_RIDGE = 0.3
_ROUNDS = 3
LEAST_HANDS = 20
"""Fewer hands than this do not fix a map."""


def fitted(predicted: Array, truth: Array) -> Array | None:
    """The map (21, 21) that lays predicted points (N, 21, 3) best on the truth after Procrustes; None if N is small.

    Ridge regression of the residual, repeated: the truth is brought to each prediction's own frame first.
    """
    known = np.isfinite(predicted).all((1, 2)) & np.isfinite(truth).all((1, 2))
    if known.sum() < LEAST_HANDS:
        return None
    a = predicted[known] - predicted[known].mean(1, keepdims=True)
    b = truth[known] - truth[known].mean(1, keepdims=True)
    a = a * (np.linalg.norm(b, axis=(1, 2)) / np.linalg.norm(a, axis=(1, 2)))[:, None, None]
    count = a.shape[1]
    flat = a.transpose(1, 0, 2).reshape(count, -1)
    weight = flat.var() * len(a)
    normal = flat @ flat.T + _RIDGE * weight * np.eye(count) + 1e4 * weight * np.ones((count, count))
    result = np.eye(count)
    for _ in range(_ROUNDS):
        moved = result @ a
        brought = np.einsum("nji,npj->npi", _turn(moved, b), b)
        rest = (brought + moved.mean(1, keepdims=True) - a).transpose(1, 0, 2).reshape(count, -1)
        result = np.eye(count) + np.linalg.solve(normal, flat @ rest.T).T
    return result


def _turn(source: Array, target: Array) -> Array:
    return alignment.best_rotation(source, target)
