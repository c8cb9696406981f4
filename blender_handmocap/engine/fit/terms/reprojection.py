# SPDX-License-Identifier: GPL-3.0-or-later
"""Reprojection: the hand's points lie on the rays through the observed pixels.

Residual: difference of image positions at unit depth over its sigma (no unit), robust a point.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ...hand.names import KEYPOINT_COUNT
from ..observations import Seen
from ..spatial import Array
from .robust import geman_mcclure

POINT: Final = np.repeat(np.arange(KEYPOINT_COUNT), 2)
"""(42,) the point of each row"""

_NEAREST = 0.02
"""metres: a point nearer than this or behind the camera counts as being there, and as hopeless"""
_HOPELESS = 1e6


def cost(points: Array, translation: Array, seen: Seen, robust: float) -> Array:
    """Cost (B,) of points (3, 21, B) relative to the wrist at translation (3, B)."""
    away, _, _ = _residual(points, translation, seen)
    return _total(geman_mcclure((away * away).sum(0), seen.ray_weight, robust)[0], points, translation, seen)


def evaluate(points: Array, translation: Array, seen: Seen, robust: float, wrench: Array, residual: Array) -> Array:
    """The same; also writes the weighted residuals (B, 42) and what they push with, `wrench` (B, 42, 6)."""
    away, image, steepness = _residual(points, translation, seen)
    value, root = geman_mcclure((away * away).sum(0), seen.ray_weight, robust)
    steep = root * steepness
    # The force of a residual is its slope by the point: (s, 0, -x s) and (0, s, -y s).
    back = -image * steep
    x, y, z = points
    push = np.zeros((6, KEYPOINT_COUNT, 2, points.shape[-1]))
    push[3, :, 0] = push[4, :, 1] = steep
    push[5] = back.swapaxes(0, 1)
    push[0] = y[:, None] * push[5]
    push[0, :, 1] -= z * steep
    push[1] = -x[:, None] * push[5]
    push[1, :, 0] += z * steep
    push[2, :, 0] = -y * steep
    push[2, :, 1] = x * steep
    wrench[:] = push.reshape(6, len(POINT), -1).transpose(2, 1, 0)
    residual.reshape(-1, KEYPOINT_COUNT, 2)[:] = (away * root).transpose(2, 1, 0)
    return _total(value, points, translation, seen)


def _residual(points: Array, translation: Array, seen: Seen) -> tuple[Array, Array, Array]:
    """Residuals (2, 21, B), image positions (2, 21, B), and their slope by a point's x or y (21, B)."""
    inverse = 1.0 / np.maximum(points[2] + translation[2], _NEAREST)
    image = (points[:2] + translation[:2, None]) * inverse
    precision = 1.0 / seen.ray_sigma
    return (image - seen.rays) * precision, image, precision * inverse


def _total(value: Array, points: Array, translation: Array, seen: Seen) -> Array:
    total: Array = value.sum(0)
    behind = points[2] + translation[2] < _NEAREST
    if behind.any():
        total = total + _HOPELESS * (behind & (seen.ray_weight > 0.0)).sum(0)
    return total
