# SPDX-License-Identifier: GPL-3.0-or-later
"""Contact: bones that are said to touch meet, surface to surface.

Residual of a right and a left bone: distance between their surfaces at the nearest spheres
(metres, negative where they overlap) over sigma, weighted by how sure the contact is, and robust,
so that a contact which everything else denies is let go. Which bones touch is decided outside
(`fit.contacts`); here they are held together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..kinematics import Chain, Posed
from ..spatial import Array
from .collision import SphereSet
from .pairs import MIRROR, PairRows, nothing
from .robust import geman_mcclure


@dataclass(frozen=True)
class Wanted:
    """n contacts that P pairs of hands should have."""

    pair: NDArray[np.intp]
    """(n,) which pair of hands"""
    right_bone: NDArray[np.intp]
    """(n,) 0..15"""
    left_bone: NDArray[np.intp]
    """(n,) 0..15"""
    weight: Array
    """(n,) 0..1 how sure"""

    def take(self, chosen: NDArray[np.bool_]) -> Wanted:
        """Those of a boolean array (n,)."""
        return Wanted(self.pair[chosen], self.right_bone[chosen], self.left_bone[chosen], self.weight[chosen])

    def of_pairs(self, pairs: NDArray[np.intp]) -> Wanted:
        """Those of the pairs (m,), rising, which are then called 0..m-1."""
        at = np.searchsorted(pairs, self.pair)
        mine = (at < len(pairs)) & (pairs[np.minimum(at, len(pairs) - 1)] == self.pair) if len(pairs) else at < 0
        found = self.take(np.asarray(mine))
        return Wanted(np.asarray(at[mine]), found.right_bone, found.left_bone, found.weight)


def evaluate(
    spheres: SphereSet,
    chain: Chain,
    right: Posed,
    right_translation: Array,
    left: Posed,
    left_translation: Array,
    wanted: Wanted,
    *,
    sigma: float,
    robust: float,
) -> PairRows:
    """P right hands against P left ones, given as mirrored right hands."""
    pairs = right_translation.shape[-1]
    if not wanted.pair.size:
        return nothing(pairs, 6 + chain.angle_count)
    mine, theirs = spheres.centres(right), spheres.centres(left)
    i, j = nearest(spheres, mine + right_translation[:, None], theirs + left_translation[:, None], wanted)
    pair = wanted.pair
    at, opposite = mine[:, i, pair], theirs[:, j, pair]
    apart = at + right_translation[:, pair] - (opposite + left_translation[:, pair]) * MIRROR[:, None]
    distance = np.maximum(np.sqrt((apart * apart).sum(0)), 1e-9)
    residual = (distance - spheres.radius[i] - spheres.radius[j]) / sigma
    value, root = geman_mcclure(residual * residual, wanted.weight, robust)
    along = apart / distance
    steep = (root / sigma)[:, None]
    right_rows = chain.directions(right, spheres.bone[i], pair, at, along) * steep
    left_rows = -chain.directions(left, spheres.bone[j], pair, opposite, along * MIRROR[:, None]) * steep
    cost = np.bincount(pair, value, minlength=pairs).astype(np.float64)
    return PairRows(cost, pair, residual * root, right_rows, left_rows)


def nearest(
    spheres: SphereSet, right_centres: Array, left_centres: Array, wanted: Wanted
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The two spheres (n,), (n,) of each wanted pair of bones whose surfaces are nearest.

    Centres (3, S, P) in camera axes, the left ones mirrored.
    """
    right_index, left_index = np.zeros(len(wanted.pair), np.intp), np.zeros(len(wanted.pair), np.intp)
    for bones in np.unique(np.stack([wanted.right_bone, wanted.left_bone], axis=1), axis=0):
        rows = np.flatnonzero((wanted.right_bone == bones[0]) & (wanted.left_bone == bones[1]))
        a, b = np.flatnonzero(spheres.bone == bones[0]), np.flatnonzero(spheres.bone == bones[1])
        pair = wanted.pair[rows]
        mine = right_centres[:, a[:, None], pair]
        theirs = left_centres[:, b[:, None], pair] * MIRROR[:, None, None]
        apart = mine[:, :, None] - theirs[:, None]
        gap = np.sqrt((apart * apart).sum(0)) - (spheres.radius[a][:, None] + spheres.radius[b])[..., None]
        best = gap.reshape(-1, len(rows)).argmin(0)
        right_index[rows], left_index[rows] = a[best // len(b)], b[best % len(b)]
    return right_index, left_index
