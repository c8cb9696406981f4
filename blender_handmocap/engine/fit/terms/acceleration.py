# SPDX-License-Identifier: GPL-3.0-or-later
"""Time, offline: hands change their velocity little.

Residual of three frames a < b < c of one hand, h1 = t_b - t_a, h2 = t_c - t_b, for the root's
rotation vector log(R_b R_a^T), its translation and its angles alike: the acceleration
2 (v2 / h2 - v1 / h1) / (h1 + h2) times (1/30 s)^2, over the sigma, which is therefore the change
of the step between frames 1/30 s apart. Each counts for as long as it lasts, so that a clip at
120 frames a second is smoothed as one at 30.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import spatial
from ..kinematics import FIRST_ANGLE, ROTATION, TRANSLATION, HandState
from ..settings import FitSettings
from ..spatial import Array

_UNIT = 1.0 / 30.0


@dataclass(frozen=True)
class Triples:
    """Which three hands of a batch follow each other, and the factors of their steps."""

    first: NDArray[np.intp]
    middle: NDArray[np.intp]
    last: NDArray[np.intp]
    before: Array
    """(N,) factor of the step from first to middle"""
    after: Array
    """(N,) factor of the step from middle to last"""

    def among(self, index: NDArray[np.intp], count: int) -> Triples:
        """Those whose three hands are all in `index` (n,) of a batch of `count`, numbered as there."""
        number = np.full(count, -1)
        number[index] = np.arange(len(index))
        first, middle, last = number[self.first], number[self.middle], number[self.last]
        inside = (first >= 0) & (middle >= 0) & (last >= 0)
        return Triples(first[inside], middle[inside], last[inside], self.before[inside], self.after[inside])


def triples(index: NDArray[np.intp], time: Array, break_after: float) -> Triples:
    """Neighbours in time among the hands `index` (n,) of a batch, seen at `time` (n,) seconds."""
    earlier, later = np.diff(time)[:-1], np.diff(time)[1:]
    whole = (earlier <= break_after) & (later <= break_after) & (earlier > 0.0) & (later > 0.0)
    middle = np.flatnonzero(whole) + 1
    h1, h2 = earlier[whole], later[whole]
    scale = 2.0 * _UNIT**2 / (h1 + h2) * np.sqrt(0.5 * (h1 + h2) / _UNIT)
    return Triples(index[middle - 1], index[middle], index[middle + 1], scale / h1, scale / h2)


def joined(parts: list[Triples]) -> Triples:
    """Several sets of neighbours in one."""
    return Triples(
        np.concatenate([p.first for p in parts]),
        np.concatenate([p.middle for p in parts]),
        np.concatenate([p.last for p in parts]),
        np.concatenate([p.before for p in parts]),
        np.concatenate([p.after for p in parts]),
    )


@dataclass(frozen=True)
class Smoothness:
    """The term for a batch of B hands at a state."""

    cost: float
    each: Array
    """(N,) what each three frames cost"""
    gradient: Array
    """(P, B)"""
    rotation: tuple[Array, Array, Array]
    """(N, 3, 3) each: derivative of the residual by the root rotation of first, middle, last"""
    linear: tuple[Array, Array, Array]
    """(N,) each: the same for every other unknown, before its sigma"""
    precision: Array
    """(P,) 1 / sigma^2 of each unknown, 0 for the nuisance rotation"""


def evaluate(state: HandState, frames: Triples, settings: FitSettings, size: int) -> Smoothness:
    """Value and derivatives for all triples of a batch."""
    precision = np.zeros(size)
    precision[ROTATION] = settings.clip_rotation**-2
    precision[TRANSLATION] = settings.clip_translation**-2
    precision[FIRST_ANGLE:-3] = settings.clip_angle**-2

    a, b, c = frames.first, frames.middle, frames.last
    root = state.root
    step1 = spatial.logarithm(spatial.product(root[..., b], spatial.transposed(root[..., a])))
    step2 = spatial.logarithm(spatial.product(root[..., c], spatial.transposed(root[..., b])))
    slope1 = spatial.to_batch_first(spatial.left_jacobian_inverse(step1)) * frames.before[:, None, None]
    slope2 = spatial.to_batch_first(spatial.left_jacobian_inverse(step2)) * frames.after[:, None, None]
    # A turn applied to the earlier of two frames is one from the right, backwards: -Jl^-T.
    rotation = (np.swapaxes(slope1, 1, 2), -np.swapaxes(slope2, 1, 2) - slope1, slope2)
    linear = (frames.before, -(frames.before + frames.after), frames.after)

    flat = np.concatenate([state.translation, state.angles])
    residual = frames.after * (flat[:, c] - flat[:, b]) - frames.before * (flat[:, b] - flat[:, a])
    turning = frames.after * step2 - frames.before * step1
    weighted = residual * precision[3:-3, None]
    weighted_turning = turning * precision[ROTATION, None]
    gradient = np.zeros((size, state.count))
    for index, slope, factor in zip((a, b, c), rotation, linear, strict=True):
        # Every hand is at most once the first, once the middle and once the last of three.
        gradient[ROTATION, index] += np.einsum("nij,in->jn", slope, weighted_turning)
        gradient[3:-3, index] += weighted * factor
    each = (residual * weighted).sum(0) + (turning * weighted_turning).sum(0)
    return Smoothness(float(each.sum()), each, gradient, rotation, linear, precision)
