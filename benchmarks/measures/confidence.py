# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a confidence of 0.8 right eight times out of ten?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RIGHT_BELOW: Final = 0.1
"""A hand is right when it lies on a true hand of its side with a mean 2D error below this share of the box."""


@dataclass(frozen=True)
class Reliability:
    """Confidence against truth, in ten bins of equal width."""

    count: NDArray[np.int64]
    """(10,) predictions in the bin"""
    said: Array
    """(10,) their mean confidence; NaN if empty"""
    was: Array
    """(10,) the share of them that was right; NaN if empty"""
    gap: float
    """expected calibration error: |said - was| averaged over the predictions; NaN without any"""


def reliability(confidence: Array, right: NDArray[np.bool_]) -> Reliability:
    """Bin predictions by confidence (N,) in 0..1 and compare with whether they were right (N,)."""
    bins = np.clip((confidence * 10).astype(int), 0, 9)
    count = np.bincount(bins, minlength=10)
    filled = np.maximum(count, 1)
    said = np.where(count > 0, np.bincount(bins, weights=confidence, minlength=10) / filled, np.nan)
    was = np.where(count > 0, np.bincount(bins, weights=right.astype(float), minlength=10) / filled, np.nan)
    gap = float(np.nansum(np.abs(said - was) * count) / count.sum()) if count.sum() else float("nan")
    return Reliability(count=count, said=said, was=was, gap=gap)
