# SPDX-License-Identifier: GPL-3.0-or-later
"""Observed 3D points: the hand has the observed form, up to a small rotation of the whole.

Residual: point minus observation, both about the mean of the palm's points, over its sigma
(no unit), robust a point. The observation is turned by the nuisance rotation N; the residual
is taken in the observation's axes, N^T (x - c) - y, which has the same length as x - c - N y.
The scale of y was fixed by the palm, whose size is known (`observations.seen_hands`).
"""

from __future__ import annotations

import numpy as np

from .. import spatial
from ..kinematics import CENTRED, PALM_POINTS, BoneQuadratic
from ..observations import Seen
from ..spatial import Array
from .robust import geman_mcclure


def add(quadratic: BoneQuadratic, points: Array, nuisance: Array, seen: Seen, robust: float) -> tuple[Array, Array]:
    """Add the term for points (3, 21, B); cost (B,) and the palm's centre (3, B) it is relative to."""
    centre = points[:, :PALM_POINTS].mean(1)
    expected = spatial.apply(nuisance[:, :, None], seen.points)
    precision = 1.0 / seen.point_sigma
    residual = (points - centre[:, None] - expected) * precision
    value, slope = geman_mcclure((residual * residual).sum(0), seen.point_weight, robust)
    root = np.sqrt(slope)
    rows = np.zeros((3, 3, *root.shape))
    rows[0, 0] = rows[1, 1] = rows[2, 2] = root * precision
    quadratic.add_rows(CENTRED, points, rows, residual * root)
    cost: Array = value.sum(0)
    return cost, centre
