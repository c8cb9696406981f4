# SPDX-License-Identifier: GPL-3.0-or-later
"""Hands that were taken for each other: the network of both is told of sides, and reads them the other way round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .crops import Array
from .pair_crop import distance_apart

_SAME: Final = 0.35
"""mean distance of the points, in shares of a hand's box, up to which a hand lies where one was read ..."""
_SURER: Final = 0.6
"""... if that is so much nearer than where the other one was read"""
_SAID: Final = 4.0
"""logits that a reading says for a side that nobody believed in"""


def slot_of(points: Array, read: Array) -> int | None:
    """Which of the hands that were read (2, 21, 2), in the order of SIDES, clearly lies where points (21, 2) do."""
    away = [distance_apart(points, hand) for hand in read]
    nearest = int(np.argmin(away))
    return nearest if away[nearest] <= min(_SAME, _SURER * away[1 - nearest]) else None


def is_exchanged(read: Array, told: Sequence[Array]) -> bool:
    """Whether hands said to be the left and the right one (21, 2 each) were read each as the other."""
    return [slot_of(points, read) for points in told] == [1, 0]


def believed(
    right: Array, points: Array, picture: NDArray[np.intp], frame: NDArray[np.intp], read: Array, exchanged: Array
) -> Array:
    """How likely each of D sightings is of a right hand, with what R readings say that contradict what was believed.

    right (D,) 0..1, points (D, 21, 2), picture (D,) rising; frame (R,), read (R, 2, 21, 2), exchanged (R,) 0 or 1.
    """
    out = right.copy()
    for k in np.flatnonzero(exchanged > 0.5):
        for row in range(*np.searchsorted(picture, [frame[k], frame[k] + 1])):
            slot = slot_of(points[row], read[k])
            if slot is not None:
                out[row] = moved(out[row], slot)
    return out


def moved(right: Any, slot: int, by: float = _SAID) -> float:
    """A chance of being a right hand, so many logits nearer to the side of a slot."""
    chance = float(np.clip(right, 1e-4, 1.0 - 1e-4))
    return float(1.0 / (1.0 + (1.0 - chance) / chance * np.exp(by * (1 - 2 * slot))))
