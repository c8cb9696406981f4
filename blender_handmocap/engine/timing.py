# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames by the seconds between them, whatever their rate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def mean_around(values: NDArray[Any], time: Array, reach: float) -> Array:
    """(T,) mean of values (T,) at rising times (T,), over the frames up to `reach` seconds before and after each."""
    first = np.searchsorted(time, time - reach)
    last = np.searchsorted(time, time + reach, side="right")
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return np.asarray((total[last] - total[first]) / (last - first))
