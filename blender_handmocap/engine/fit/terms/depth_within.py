# SPDX-License-Identifier: GPL-3.0-or-later
"""Depth within a hand: points of the skin lie as far behind its wrist as the pixels that show them say.

After Wang et al. 2020, eq. 7. Residual: (depth of the point behind the wrist along the crop's own
ray, in palm lengths, minus the seen one) over sigma, robust. It knows no place, and no size.
"""

from __future__ import annotations

import numpy as np

from ..kinematics import Chain, Posed
from ..skin_points import HandRows, SkinPoints, without_place
from ..spatial import Array
from .robust import geman_mcclure


def evaluate(
    skin: SkinPoints,
    chain: Chain,
    posed: Posed,
    depth: Array,
    sight: Array,
    *,
    palm: float,
    sigma: float,
    robust: float,
) -> HandRows:
    """B hands; depth (V, B) palm lengths, NaN: unseen; sight (3, B) unit ray of the crop; palm metres."""
    carried = skin.carried(posed)
    behind = np.einsum("ivb,ib->vb", skin.mean(carried), sight) / palm
    count = depth.shape[-1]
    point, hand = np.nonzero(np.isfinite(depth))
    if not point.size:
        return HandRows.nothing(count, 6 + chain.angle_count)
    away = (behind[point, hand] - depth[point, hand]) / sigma
    value, root = geman_mcclure(away * away, np.ones(len(point)), robust)
    along = sight[:, hand] * (root / (sigma * palm))
    rows = without_place(skin.slopes(chain, posed, carried, point, hand, along))
    cost = np.bincount(hand, value, minlength=count).astype(np.float64)
    return HandRows(cost, hand, away * root, rows)
