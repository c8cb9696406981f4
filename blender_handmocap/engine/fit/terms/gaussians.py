# SPDX-License-Identifier: GPL-3.0-or-later
"""Overlap of Gaussians, between hands and between the fingers of one: the smooth way to keep flesh apart.

After Wang et al. 2020, eq. 11. Each sphere stands for a Gaussian whose deviation is half its radius; the
overlap of two is exp(-d^2 / (2 (s1^2 + s2^2))), 1 where they lie in one place (no unit). Residual: overlap
over sigma. Unlike `collision` it does not end where surfaces part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..kinematics import Chain, Posed
from ..skin_points import HandRows, without_place
from ..spatial import Array
from .collision import SphereSet
from .pairs import MIRROR, PairRows

_SHARE = 0.5
"""of a sphere's radius that its Gaussian's deviation is"""
_LEAST = 1e-3
"""overlaps below this are not worth a row"""


@dataclass(frozen=True)
class _Overlap:
    first: NDArray[np.intp]
    second: NDArray[np.intp]
    batch: NDArray[np.intp]
    value: Array
    """(n,)"""
    slope: Array
    """(3, n) by the first centre"""


def between(
    spheres: SphereSet,
    chain: Chain,
    right: Posed,
    right_translation: Array,
    left: Posed,
    left_translation: Array,
    sigma: float,
) -> PairRows:
    """P right hands against P left ones, given as mirrored right hands."""
    mine, theirs = spheres.centres(right), spheres.centres(left)
    other = (theirs + left_translation[:, None]) * MIRROR[:, None, None]
    every = np.ones((len(spheres.bone),) * 2, bool)
    found = _overlaps(spheres, mine + right_translation[:, None], other, every)
    i, j, pair = found.first, found.second, found.batch
    push = found.slope / sigma
    right_rows = chain.directions(right, spheres.bone[i], pair, mine[:, i, pair], push)
    left_rows = -chain.directions(left, spheres.bone[j], pair, theirs[:, j, pair], push * MIRROR[:, None])
    residual = found.value / sigma
    cost = np.bincount(pair, residual * residual, minlength=mine.shape[-1]).astype(np.float64)
    return PairRows(cost, pair, residual, right_rows, left_rows)


def within(spheres: SphereSet, chain: Chain, posed: Posed, sigma: float) -> HandRows:
    """B hands, each against itself: spheres of different fingers."""
    centres = spheres.centres(posed)
    finger = np.where(spheres.bone > 0, (spheres.bone - 1) // 3, -1)
    apart = (finger[:, None] < finger) & (finger[:, None] >= 0)
    # Where fingers begin they always touch.
    free = (spheres.bone - 1) % 3 > 0
    found = _overlaps(spheres, centres, centres, apart & free[:, None] & free)
    i, j, hand = found.first, found.second, found.batch
    push = found.slope / sigma
    rows = chain.directions(posed, spheres.bone[i], hand, centres[:, i, hand], push)
    rows -= chain.directions(posed, spheres.bone[j], hand, centres[:, j, hand], push)
    residual = found.value / sigma
    cost = np.bincount(hand, residual * residual, minlength=centres.shape[-1]).astype(np.float64)
    return HandRows(cost, hand, residual, without_place(rows))


def _overlaps(spheres: SphereSet, first: Array, second: Array, wanted: NDArray[np.bool_]) -> _Overlap:
    """Of centres (3, S, B) and (3, S, B); `wanted` (S, S)."""
    apart = first[:, :, None] - second[:, None]
    squared = np.einsum("cijb,cijb->ijb", apart, apart)
    deviation = _SHARE * spheres.radius
    spread = deviation[:, None] ** 2 + deviation**2
    exponent = squared / (2.0 * spread[..., None])
    i, j, batch = np.nonzero((exponent < -np.log(_LEAST)) & wanted[..., None])
    value = np.exp(-exponent[i, j, batch])
    slope = -apart[:, i, j, batch] * (value / spread[i, j])
    return _Overlap(i, j, batch, value, slope)
