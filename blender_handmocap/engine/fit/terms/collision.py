# SPDX-License-Identifier: GPL-3.0-or-later
"""Hands do not pass through each other: spheres on both, pushed apart where they overlap.

Residual of a right and a left sphere: overlap of the two (metres) over sigma, zero when apart.
Hands whose wrists are further apart than the gate are not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...hand.spheres import Spheres
from ..kinematics import Chain, Posed
from ..spatial import Array
from .pairs import MIRROR, PairRows


@dataclass(frozen=True)
class SphereSet:
    """The spheres of the right hand in the chain's bone frames."""

    bone: NDArray[np.intp]
    """(S,)"""
    offset: Array
    """(S, 3) from the bone's beginning: palm in canonical axes, others in the hinge frame"""
    radius: Array
    """(S,)"""

    @classmethod
    def on_chain(cls, spheres: Spheres, chain: Chain) -> SphereSet:
        """From the spheres of the same right hand."""
        frame = np.where((spheres.joint == 0)[:, None, None], np.eye(3), chain.hinges.frame[spheres.joint])
        offset = np.einsum("sji,sj->si", frame, spheres.offset)
        return cls(spheres.joint, offset, spheres.radius)

    def centres(self, posed: Posed) -> Array:
        """(3, S, B) relative to each hand's wrist."""
        count = posed.root.shape[-1]
        out = np.empty((3, len(self.bone), count))
        palm = self.bone == 0
        out[:, palm] = np.einsum("ijb,sj->isb", posed.root, self.offset[palm])
        finger, level = np.divmod(self.bone[~palm] - 1, 3)
        turned = np.einsum("ijsb,sj->isb", posed.bones[:, :, finger, level], self.offset[~palm])
        out[:, ~palm] = turned + posed.joints[:, finger, level]
        return out


def evaluate(
    spheres: SphereSet,
    chain: Chain,
    right: Posed,
    right_translation: Array,
    left: Posed,
    left_translation: Array,
    sigma: float,
) -> PairRows:
    """P right hands against P left ones, given as mirrored right hands."""
    mine = spheres.centres(right)
    theirs = spheres.centres(left)
    between = mine + right_translation[:, None]
    other = (theirs + left_translation[:, None]) * MIRROR[:, None, None]
    apart = between[:, :, None] - other[:, None]
    squared = np.einsum("cijp,cijp->ijp", apart, apart)
    reach = spheres.radius[:, None] + spheres.radius[None]
    i, j, pair = np.nonzero(squared < (reach * reach)[..., None])
    distance = np.sqrt(np.maximum(squared[i, j, pair], 1e-12))
    residual = (reach[i, j] - distance) / sigma
    away = apart[:, i, j, pair] / distance
    right_rows = -chain.directions(right, spheres.bone[i], pair, mine[:, i, pair], away) / sigma
    mirrored = away * MIRROR[:, None]
    left_rows = chain.directions(left, spheres.bone[j], pair, theirs[:, j, pair], mirrored) / sigma
    cost = np.bincount(pair, residual * residual, minlength=mine.shape[-1]).astype(np.float64)
    return PairRows(cost, pair, residual, right_rows, left_rows)


def near(right_translation: Array, left_translation: Array, gate: float) -> NDArray[np.bool_]:
    """(P,) pairs of hands (translations (3, P), the left ones mirrored) close enough to touch."""
    between = right_translation - left_translation * MIRROR[:, None]
    return np.asarray(np.sqrt((between * between).sum(0)) < gate)
