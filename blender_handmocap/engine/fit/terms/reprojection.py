# SPDX-License-Identifier: GPL-3.0-or-later
"""Reprojection: the hand's points lie on the rays through the observed pixels.

Residual: difference of image positions at unit depth over its sigma (no unit), robust.
"""

from __future__ import annotations

import numpy as np

from ..kinematics import FREE, BoneQuadratic
from ..observations import Seen
from ..spatial import Array
from .robust import geman_mcclure

_NEAREST = 0.02
"""metres: a point nearer than this or behind the camera counts as being there, and as hopeless"""
_HOPELESS = 1e6


def add(quadratic: BoneQuadratic, points: Array, translation: Array, seen: Seen, robust: float) -> Array:
    """Add the term for points (3, 21, B) relative to the wrist at translation (3, B); cost (B,)."""
    depth = points[2] + translation[2]
    behind = depth < _NEAREST
    inverse = 1.0 / np.where(behind, _NEAREST, depth)
    image = (points[:2] + translation[:2, None]) * inverse
    precision = 1.0 / seen.ray_sigma
    residual = (image - seen.rays) * precision
    value, slope = geman_mcclure((residual * residual).sum(0), seen.ray_weight, robust)
    root = np.sqrt(slope)
    scaled = root * precision * inverse
    rows = np.zeros((3, 2, *scaled.shape))
    rows[0, 0] = rows[1, 1] = scaled
    rows[2] = -image * scaled
    quadratic.add_rows(FREE, points, rows, residual * root)
    cost: Array = value.sum(0)
    if behind.any():
        cost = cost + _HOPELESS * (behind & (seen.ray_weight > 0.0)).sum(0)
    return cost
