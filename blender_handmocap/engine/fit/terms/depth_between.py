# SPDX-License-Identifier: GPL-3.0-or-later
"""Depth between the hands: one wrist lies as far behind the other as their pixels say.

After Wang et al. 2020, eq. 8. Residual: (depth of the left wrist behind the right one along the
crop's own ray, in palm lengths, minus the seen one) over sigma, robust.
"""

from __future__ import annotations

import numpy as np

from ..kinematics import TRANSLATION
from ..spatial import Array
from .pairs import MIRROR, PairRows
from .robust import geman_mcclure


def evaluate(
    right_translation: Array,
    left_translation: Array,
    depth: Array,
    sight: Array,
    unknowns: int,
    *,
    palm: float,
    sigma: float,
    robust: float,
) -> PairRows:
    """P right hands and P left ones, given as mirrored right hands: translations (3, P) metres.

    depth (P,) palm lengths, NaN: nothing was seen; sight (3, P) unit ray of the crop, camera axes; palm metres.
    """
    pairs = right_translation.shape[-1]
    known = np.flatnonzero(np.isfinite(depth))
    mirror = MIRROR[:, None]
    apart = left_translation[:, known] * mirror - right_translation[:, known]
    away = ((apart * sight[:, known]).sum(0) / palm - depth[known]) / sigma
    value, root = geman_mcclure(away * away, np.ones(len(known)), robust)
    cost = np.zeros(pairs)
    cost[known] = value
    steep = sight[:, known] * (root / (sigma * palm))
    right, left = np.zeros((len(known), unknowns)), np.zeros((len(known), unknowns))
    right[:, TRANSLATION] = -steep.T
    left[:, TRANSLATION] = (steep * mirror).T
    return PairRows(cost, known, away * root, right, left)
