# SPDX-License-Identifier: GPL-3.0-or-later
"""The polish of a live hand: One Euro filters on its rotations and its place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .oneeuro import OneEuro, OneEuroRotation

Array = NDArray[np.float64]


class LivePolish:
    """One hand's filters; `strength` 0 passes poses through, 2 halves the cutoffs."""

    def __init__(self, strength: float = 1.0) -> None:
        self._strength = strength
        share = 1.0 / max(strength, 1e-6)
        self._rotation = OneEuroRotation(cutoff=1.5 * share, responsiveness=2.0 * share)
        self._place = OneEuro(cutoff=1.5 * share, responsiveness=30.0 * share)

    def reset(self) -> None:
        """The next pose comes out as it is: the hand is new."""
        self._rotation.reset()
        self._place.reset()

    def step(self, rotation: Array, translation: Array, time: float) -> tuple[Array, Array]:
        """Smoothed rotation (16, 4) and translation (3,) at `time` seconds."""
        if self._strength <= 0.0:
            return rotation, translation
        return self._rotation.step(rotation, time), self._place.step(translation, time)
