# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a difference is luck: resampling whole clips."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ROUNDS: Final = 1000
SHARE: Final = 0.95
_SEED: Final = 20200417

Verdict = Literal["better", "worse", "tie"]


def interval(values: Array, clip: NDArray[np.int64]) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean of values (N,), drawing whole clips (N,) with replacement.

    NaN values are left out first. Frames of a clip resemble each other, so the clip is what is drawn. NaN, NaN with
    fewer than two clips.
    """
    finite = np.isfinite(values)
    sums, counts = _by_clip(values[finite], clip[finite])
    if len(counts) < 2:
        return float("nan"), float("nan")
    draws = np.random.default_rng(_SEED).integers(0, len(counts), (ROUNDS, len(counts)))
    means = sums[draws].sum(1) / counts[draws].sum(1)
    low, high = np.quantile(means, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return float(low), float(high)


def compare(ours: Array, theirs: Array, clip: NDArray[np.int64], *, less_is_better: bool = True) -> Verdict:
    """Better, worse or tie: the interval of the paired difference of two methods' values (N,) on the same hands.

    A hand counts when both have a finite value. A difference whose interval holds 0, or that has no interval, is a tie.
    """
    low, high = interval(ours - theirs, clip)
    if not (np.isfinite(low) and np.isfinite(high)) or low <= 0.0 <= high:
        return "tie"
    return "better" if (high < 0.0) == less_is_better else "worse"


def _by_clip(values: Array, clip: NDArray[np.int64]) -> tuple[Array, Array]:
    _, index = np.unique(clip, return_inverse=True)
    counts = np.bincount(index).astype(float)
    return np.bincount(index, weights=values, minlength=len(counts)), counts
