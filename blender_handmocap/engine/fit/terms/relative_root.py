# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the hands are to each other: the vector between their wrists is the one that was seen.

Residual a component: (left wrist - right wrist - seen vector) in metres over its sigma, robust
for the three together. The seen vector comes in palm lengths and is given here in metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..kinematics import TRANSLATION
from ..spatial import Array
from .pairs import MIRROR, PairRows
from .robust import geman_mcclure


@dataclass(frozen=True)
class SeenVector:
    """What was seen of P pairs of hands."""

    vector: Array
    """(3, P) left wrist minus right wrist, metres, camera axes"""
    sigma: Array
    """(3, P) metres; infinite where nothing was seen"""

    def take(self, index: NDArray[np.intp]) -> SeenVector:
        """The pairs of an index array."""
        return SeenVector(self.vector[:, index], self.sigma[:, index])


def evaluate(
    right_translation: Array, left_translation: Array, seen: SeenVector, unknowns: int, robust: float
) -> PairRows:
    """P right hands and P left ones, given as mirrored right hands: translations (3, P)."""
    pairs = right_translation.shape[-1]
    known = np.flatnonzero(np.isfinite(seen.sigma).all(0))
    mirror = MIRROR[:, None]
    away = left_translation[:, known] * mirror - right_translation[:, known] - seen.vector[:, known]
    away = away / seen.sigma[:, known]
    value, root = geman_mcclure((away * away).sum(0), np.ones(len(known)), robust)
    cost = np.zeros(pairs)
    cost[known] = value
    steep = root / seen.sigma[:, known]
    right, left = np.zeros((3, len(known), unknowns)), np.zeros((3, len(known), unknowns))
    axis = np.arange(3)
    right[axis, :, TRANSLATION.start + axis] = -steep
    left[axis, :, TRANSLATION.start + axis] = steep * mirror
    return PairRows(
        cost, np.tile(known, 3), (away * root).ravel(), right.reshape(-1, unknowns), left.reshape(-1, unknowns)
    )
