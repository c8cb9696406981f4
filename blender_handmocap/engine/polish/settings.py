# SPDX-License-Identifier: GPL-3.0-or-later
"""Choices of the polish, frozen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..errors import BadInputError

Gaps = Literal["hold", "interpolate", "rest", "none"]


@dataclass(frozen=True)
class PolishSettings:
    """How a solved take is smoothed and its gaps are filled. Plain values, so that JSON can carry them."""

    strength: float = 1.0
    """how much trembling is taken for noise, as a factor on its size; 0: nothing is smoothed"""
    place_strength: float | None = None
    """the same for the hand's place; None: as the rotations"""
    limits: bool = False
    """fingers that were smoothed or solved past what a finger can do are brought back to it"""
    gaps: Gaps = "interpolate"
    """hold: the last pose stays; interpolate: from the last pose to the next; rest: the fingers
    relax and come back; none: the hand is away"""
    longest_gap: float = 1.0
    """seconds; a hand that is away for longer is away"""
    ease: float = 0.25
    """seconds in which a hand eases out of a held pose, or to rest and back"""
    most_finger_noise: float = math.radians(2.0)
    """trembling of a finger joint larger than this is never taken for noise, however much the clip has of it"""
    most_root_noise: float = math.radians(2.0)
    most_place_noise: float = 0.006
    """metres; of the hand's depth, which one camera knows least"""
    most_sideways_noise: float = 0.0015
    """metres; of its place in the picture"""

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant, each in one sentence."""
        if not 0.0 <= self.strength <= 10.0:
            raise BadInputError(f"A smoothing of {self.strength:g} is out of range; give 0 to 10.")
        if not self.longest_gap >= 0.0:
            raise BadInputError(f"A gap of {self.longest_gap:g} seconds is not possible; give 0 or more.")
