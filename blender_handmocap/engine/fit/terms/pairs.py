# SPDX-License-Identifier: GPL-3.0-or-later
"""Residuals that a right and a left hand share, in the form every such term hands to the solver."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..spatial import Array

MIRROR: Final = np.array([-1.0, 1.0, 1.0])
"""From the left hand to the mirrored right one it is solved as, and back."""


@dataclass(frozen=True)
class PairRows:
    """n residuals of P pairs of hands; cost is their sum of squares, or of what a robust term makes of them."""

    cost: Array
    """(P,)"""
    pair: NDArray[np.intp]
    """(n,) which pair of hands"""
    residual: Array
    """(n,) in sigmas"""
    right: Array
    """(n, 6 + A) its derivative by the right hand's unknowns"""
    left: Array
    """(n, 6 + A) by the left hand's, as the mirrored right hand it is solved as"""


def nothing(pairs: int, unknowns: int) -> PairRows:
    """No residuals for so many pairs of hands."""
    rows = np.empty((0, unknowns))
    return PairRows(np.zeros(pairs), np.empty(0, np.intp), np.empty(0), rows, rows)


def scattered(rows: PairRows, chosen: NDArray[np.intp], pairs: int) -> PairRows:
    """The rows of the pairs `chosen` (m,) as rows among all `pairs`."""
    cost = np.zeros(pairs)
    cost[chosen] = rows.cost
    return PairRows(cost, chosen[rows.pair], rows.residual, rows.right, rows.left)


def joined(parts: list[PairRows]) -> PairRows:
    """Several terms of the same pairs as one, sorted by pair."""
    pair = np.concatenate([part.pair for part in parts])
    order = np.argsort(pair, kind="stable")
    return PairRows(
        np.sum([part.cost for part in parts], axis=0),
        pair[order],
        np.concatenate([part.residual for part in parts])[order],
        np.concatenate([part.right for part in parts])[order],
        np.concatenate([part.left for part in parts])[order],
    )


def by_pair(rows: PairRows) -> Iterator[tuple[int, slice]]:
    """Each pair that has rows, and where they are; rows as `joined` sorts them."""
    edges = np.flatnonzero(np.diff(rows.pair, prepend=-1, append=-1))
    for first, last in pairwise(edges):
        yield int(rows.pair[first]), slice(int(first), int(last))
