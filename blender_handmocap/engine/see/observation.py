# SPDX-License-Identifier: GPL-3.0-or-later
"""Observation: what was seen of one hand in one picture. Everything in see/ ends here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Observation:
    """One hand in one picture."""

    right: float
    """probability that it is a right hand, 0..1, for a picture that is not mirrored"""
    presence: float
    """probability that the crop holds a hand at all, as the network says"""
    confidence: float
    """calibrated probability that the mean point error is below a tenth of the hand's box"""
    points2d: Array
    """(21, 2) pixels of the displayed picture, distorted; integer = pixel centre"""
    sigma2d: Array
    """(21,) expected error, pixels"""
    points3d: Array
    """(21, 3) relative to the wrist, mean palm bone (wrist to the four knuckles) = 1, camera axes
    of the full picture: the rotation of the crop's own ray is undone"""
    sigma3d: Array
    """(21,) expected error in the same unit"""
    visibility: Array
    """(21,) 1 seen, 0.5 inferred from the rest (where DetNet sees), 0 outside of the picture"""
    crop: Array
    """(5,) centre x, y, width, height in pixels, clockwise rotation in radians"""
    side_odds: float = 0.0
    """log odds of a right hand by the network of both hands; 0: it says nothing, or was not asked"""
