# SPDX-License-Identifier: GPL-3.0-or-later
"""Distances between predicted and true points of one hand."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from . import alignment

Array = NDArray[np.float64]

THRESHOLDS_MM: Final = (20.0, 30.0, 40.0, 50.0)
"""Where PCK and PCF are reported; their AUC runs over the whole of 20..50 mm."""


def mean_of(errors: Array, mask: NDArray[np.bool_] | None = None) -> Array:
    """(N,) mean over the points of (N, P) errors, without NaN and what is outside `mask`; NaN if none is left."""
    counted = np.isfinite(errors) if mask is None else np.isfinite(errors) & mask
    number = counted.sum(-1)
    total = np.where(counted, errors, 0.0).sum(-1)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def pa_errors_mm(predicted: Array, truth: Array) -> Array:
    """(N, 21) mm a point after rotation, one scale and translation were fitted a hand (Procrustes)."""
    return np.linalg.norm(alignment.similarity(predicted, truth) - truth, axis=-1)


def pa_mpjpe_mm(predicted: Array, truth: Array) -> Array:
    """(N,) mean over the 21 points of `pa_errors_mm`: what is wrong with the hand's own pose and proportions, mm."""
    return mean_of(pa_errors_mm(predicted, truth))


def root_errors_mm(predicted: Array, truth: Array) -> Array:
    """(N, 21) mm a point with wrist on wrist and one least-squares scale a hand; the wrist's own error is 0."""
    return np.linalg.norm(alignment.root_and_scale(predicted, truth) - truth, axis=-1)


def root_mpjpe_mm(predicted: Array, truth: Array) -> Array:
    """(N,) mean over the 21 points of `root_errors_mm`, so that a wrongly turned hand counts, mm."""
    return mean_of(root_errors_mm(predicted, truth))


def pck(errors: Array, threshold: float) -> float:
    """Share of the finite errors (any shape, mm) that are below `threshold` mm; NaN without any."""
    finite = errors[np.isfinite(errors)]
    return float((finite < threshold).mean()) if len(finite) else float("nan")


def auc_20_50mm(errors: Array) -> float:
    """Area under PCK over thresholds from 20 to 50 mm, divided by 30 mm so that 1 is perfect; exact, no sampling.

    An error e contributes the share of 20..50 mm above it: (50 - e) / 30 cut to 0..1.
    """
    finite = errors[np.isfinite(errors)]
    low, high = THRESHOLDS_MM[0], THRESHOLDS_MM[-1]
    return float(np.clip((high - finite) / (high - low), 0.0, 1.0).mean()) if len(finite) else float("nan")


def worst_of(errors: Array) -> Array:
    """(N,) the largest finite error of each row of (N, P), mm; NaN if none is finite. PCF is `pck` of this."""
    finite = np.isfinite(errors)
    return np.where(finite.any(-1), np.where(finite, errors, -1.0).max(-1), np.nan)


def place_vector_mm(predicted: Array, truth: Array) -> Array:
    """(N, 3) mm from the true to the predicted centre of the hand (mean of the shared points), nothing aligned."""
    weight = alignment.shared_weight(predicted, truth)
    _, a = alignment.centred(predicted, weight)
    _, b = alignment.centred(truth, weight)
    vector = (a - b)[:, 0]
    vector[weight.sum(-1) < 1] = np.nan
    return vector


def place_mm(predicted: Array, truth: Array) -> Array:
    """(N,) length of `place_vector_mm`: the absolute error of the hand's place in camera space, mm."""
    return np.linalg.norm(place_vector_mm(predicted, truth), axis=-1)
