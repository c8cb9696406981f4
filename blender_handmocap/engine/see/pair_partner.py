# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a hand that was seen alone had a partner that nobody saw: decided over a whole clip.

Picture by picture the network of both hands is sure for moments of partners that are not there, and doubts for moments
those that are; hands come and go seldom.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from .crops import Array
from .pair_calibration import chance, logit

_STRENGTH: Final = 15.0
"""of what is said, a second: looks that follow one another share their errors"""
_MOST: Final = 3.0
"""log odds that one look says at most"""
_BOTH_SEEN: Final = 1.5
"""log odds that a frame says in which both hands were seen otherwise"""
_HELD: Final = 0.16
"""seconds for which an answer holds where nobody is asked"""
_CHANGES: Final = 0.5
"""times a second that a second hand comes or goes"""


def paired(time: Array, both: NDArray[np.bool_], frame: NDArray[np.intp], beside: Array) -> Array:
    """(T,) probability that two hands were there at rising times (T,), from the frames in which both were seen
    otherwise (T,) and from the probability (R,) that was said `beside` one hand in some frames (R,)."""
    step = np.diff(time, append=time[-1] + np.median(np.diff(time))) if len(time) > 1 else np.full(1, _HELD)
    said = np.where(both, _BOTH_SEEN, np.nan)
    said[frame] = np.clip(logit(beside), -_MOST, _MOST)
    # The newest answer before every frame, as long as it holds.
    newest = np.maximum.accumulate(np.where(np.isfinite(said), np.arange(len(time)), 0))
    fresh = np.isfinite(said[newest]) & (time - time[newest] <= _HELD)
    evidence = np.where(fresh, said[newest], 0.0) * _STRENGTH * np.minimum(step, _HELD)
    change = 0.5 - 0.5 * np.exp(-2.0 * _CHANGES * step)
    before, after = _passed_on(evidence, change), _passed_on(evidence[::-1], np.roll(change[::-1], -1))[::-1]
    return chance(before + evidence + after)


def _passed_on(evidence: Array, change: Array) -> Array:
    """(T,) log odds that all frames before each one say of it; `change` (T,) the probability that from a frame to the
    next one a hand comes or goes."""
    out = np.zeros(len(evidence))
    for index in range(1, len(evidence)):
        there = chance(out[index - 1] + evidence[index - 1])
        there = there * (1.0 - change[index - 1]) + (1.0 - there) * change[index - 1]
        out[index] = np.log(there / (1.0 - there))
    return out
