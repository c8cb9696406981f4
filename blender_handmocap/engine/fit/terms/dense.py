# SPDX-License-Identifier: GPL-3.0-or-later
"""Dense matches: points of the skin lie on the rays through the pixels that were found to show them.

After Wang et al. 2020, eq. 4. Residual: difference of image positions at unit depth over its sigma
(no unit), x and y, robust a point. Points that no pixel shows have an infinite sigma and no residual.
"""

from __future__ import annotations

import numpy as np

from ..kinematics import Chain, Posed
from ..skin_points import HandRows, SkinPoints
from ..spatial import Array
from .robust import geman_mcclure

_NEAREST = 0.02
"""metres: nothing nearer to the camera than this is compared"""


def evaluate(
    skin: SkinPoints,
    chain: Chain,
    posed: Posed,
    translation: Array,
    rays: Array,
    sigma: Array,
    robust: float,
) -> HandRows:
    """B hands at translation (3, B); rays (2, V, B) at unit depth, sigma (V, B) in the same unit, infinite: unseen."""
    carried = skin.carried(posed)
    place = skin.mean(carried) + translation[:, None]
    count = translation.shape[-1]
    point, hand = np.nonzero(np.isfinite(sigma) & (place[2] > _NEAREST))
    if not point.size:
        return HandRows.nothing(count, 6 + chain.angle_count)
    inverse = 1.0 / place[2, point, hand]
    image = place[:2, point, hand] * inverse
    precision = 1.0 / sigma[point, hand]
    away = (image - rays[:, point, hand]) * precision
    value, root = geman_mcclure((away * away).sum(0), np.ones(len(point)), robust)
    steep = root * precision * inverse
    rows = []
    for axis in range(2):
        along = np.zeros((3, len(point)))
        along[axis] = steep
        along[2] = -image[axis] * steep
        rows.append(skin.slopes(chain, posed, carried, point, hand, along))
    cost = np.bincount(hand, value, minlength=count).astype(np.float64)
    return HandRows(cost, np.tile(hand, 2), (away * root).ravel(), np.concatenate(rows))
