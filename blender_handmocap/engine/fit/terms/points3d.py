# SPDX-License-Identifier: GPL-3.0-or-later
"""Observed 3D points: the hand has the observed form, up to a small rotation of the whole.

Residual: point minus observation, both about the mean of the palm's points, over its sigma
(no unit), robust a point. The observation is turned by the nuisance rotation N. The residual's
slopes are taken in the observation's axes, N^T (x - c) - y, which has the same length as
x - c - N y: there the nuisance rotation acts as the root's, with the opposite sign. The scale
of y was fixed by the palm, whose size is known (`observations.seen_hands`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ...hand.names import KEYPOINT_COUNT
from ..kinematics import PALM_POINTS
from ..observations import Seen
from ..spatial import Array
from .robust import geman_mcclure

POINT: Final = np.repeat(np.arange(KEYPOINT_COUNT), 3)
"""(63,) the point of each row"""


def cost(points: Array, nuisance: Array, seen: Seen, robust: float) -> Array:
    """Cost (B,) of points (3, 21, B) relative to the wrist."""
    away, _, _ = _residual(points, nuisance, seen)
    value, _ = geman_mcclure((away * away).sum(0), seen.point_weight, robust)
    return np.asarray(value.sum(0))


def evaluate(
    points: Array, nuisance: Array, seen: Seen, robust: float, wrench: Array, about: Array, residual: Array
) -> Array:
    """The same; also writes the weighted residuals (B, 63), what they push with, `wrench` (B, 63, 6), and
    `about` (B, 63, 3), how they turn the root: about the palm's centre, and without moving it.
    """
    away, centred, precision = _residual(points, nuisance, seen)
    value, root = geman_mcclure((away * away).sum(0), seen.point_weight, robust)
    steep = root * precision
    push = np.zeros((6, KEYPOINT_COUNT, 3, points.shape[-1]))
    push[3, :, 0] = push[4, :, 1] = push[5, :, 2] = steep
    _turns(points * steep, push[:3])
    wrench[:] = push.reshape(6, len(POINT), -1).transpose(2, 1, 0)
    turns = np.zeros((3, KEYPOINT_COUNT, 3, points.shape[-1]))
    _turns(centred * steep, turns)
    about[:] = turns.reshape(3, len(POINT), -1).transpose(2, 1, 0)
    residual.reshape(-1, KEYPOINT_COUNT, 3)[:] = (away * root).transpose(2, 1, 0)
    return np.asarray(value.sum(0))


def _residual(points: Array, nuisance: Array, seen: Seen) -> tuple[Array, Array, Array]:
    """Residuals (3, 21, B) and points about the palm's centre (3, 21, B), camera axes; 1 / sigma (21, B)."""
    centred = points - points[:, :PALM_POINTS].mean(1)[:, None]
    precision = 1.0 / seen.point_sigma
    return (centred - np.einsum("ijb,jkb->ikb", nuisance, seen.points)) * precision, centred, precision


def _turns(lever: Array, out: Array) -> None:
    """lever x axis for the three axes: lever (3, 21, B) into out (3, 21, 3, B), zero before."""
    x, y, z = lever
    out[1, :, 0], out[2, :, 0] = z, -y
    out[0, :, 1], out[2, :, 1] = -z, x
    out[0, :, 2], out[1, :, 2] = y, -x
