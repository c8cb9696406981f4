# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of two hands lies in front where they overlap in the picture: both are tried, the cheaper one stays.

A hand's distance follows from its size in the picture, so that hands which meet often start in the
wrong order, and what keeps them from running into each other then keeps them there: no small step
leads through the other hand. For every stretch of frames in which they overlap the left hand is slid
along its own line of sight until it lies before the right one throughout, and until it lies behind
it; what is solved from there stays where the whole window is cheaper with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .contacts import CHUNK, between
from .kinematics import Chain, HandState
from .spatial import Array
from .terms.collision import SphereSet
from .terms.pairs import MIRROR
from .window import Window

_NEAREST: Final = 1e-6


def best_order(
    window: Window,
    state: HandState,
    spheres: SphereSet,
    *,
    settled: NDArray[np.bool_],
    cancelled: Callable[[], bool] | None = None,
) -> HandState:
    """The window's hands in the cheapest order that was found; `state` is solved already.

    Stretches with `settled` (B,) hands, those of the window before, go on in the order that these have.
    """
    near = window.near_pairs(state)
    if not near.size:
        return state
    settings = window.settings
    _, right, left = (part[near] for part in window.pairs)
    before, behind = slides(spheres, window.chain, state.take(right), state.take(left))
    meeting = np.flatnonzero(np.isfinite(before))
    cost: float | None = None
    for stretch in _stretches(window.time[left[meeting]], settings.order_break):
        rows = meeting[stretch]
        distance = np.linalg.norm(state.translation[:, left[rows]], axis=0)
        known = settled[left[rows]]
        ways = [before[rows], behind[rows]]
        if known.any():
            # No hand gets to the other's far side while they overlap.
            ways = [ways[int(np.argmin([np.abs(way[known]).sum() for way in ways]))]]
        for slide in ways:
            share = np.abs(slide) / np.maximum(distance, _NEAREST)
            if np.abs(slide).max() < settings.order_least or np.median(share) > settings.order_farthest:
                continue
            cost = _judged(window, state) if cost is None else cost
            touched = np.zeros(int(window.frame_index.max()) + 1, bool)
            touched[window.frame_index[left[rows]]] = True
            start = _slid(state, left[rows], slide)
            other = window.solve(start, steps=settings.clip_steps, frames=touched, cancelled=cancelled)
            found = _judged(window, other)
            if known.any() or found < cost - settings.order_gain:
                state, cost = other, found
    return state


def _judged(window: Window, state: HandState) -> float:
    """The cost of a window; hands of one frame that run into each other count up to a bound: where both were seen a
    little wrong they always do, and would rather be torn apart."""
    overlap = window.overlap(state)
    return window.cost(state) - float(np.maximum(overlap - window.settings.order_overlap, 0.0).sum())


def slides(spheres: SphereSet, chain: Chain, right: HandState, left: HandState) -> tuple[Array, Array]:
    """How far P left hands, given as mirrored right ones, must go along the line of sight to clear the right ones.

    (P,) metres, at most 0: towards the camera, until they are in front; (P,) at least 0: away from it, until they are
    behind. NaN where the hands do not overlap in the picture.
    """
    before, behind = np.full(right.count, np.nan), np.full(right.count, np.nan)
    for first in range(0, right.count, CHUNK):
        piece = np.arange(first, min(first + CHUNK, right.count))
        mine, theirs = right.take(piece), left.take(piece)
        apart, touch = between(spheres, chain, mine, theirs)
        middle = mine.translation + theirs.translation * MIRROR[:, None]
        sight = middle / np.linalg.norm(middle, axis=0)
        deeper = np.einsum("cijp,cp->ijp", apart, sight)
        room = touch[..., None] ** 2 - (np.einsum("cijp,cijp->ijp", apart, apart) - deeper * deeper)
        overlaps = room > 0.0
        need = np.sqrt(np.maximum(room, 0.0))
        some = overlaps.any((0, 1))
        front = np.where(overlaps, need - deeper, -np.inf).max((0, 1))
        back = np.where(overlaps, need + deeper, -np.inf).max((0, 1))
        before[piece] = np.where(some, -np.maximum(front, 0.0), np.nan)
        behind[piece] = np.where(some, np.maximum(back, 0.0), np.nan)
    return before, behind


def _stretches(time: Array, longest: float) -> list[NDArray[np.intp]]:
    """Indices of times (n,), rising, in runs without a hole longer than `longest` seconds."""
    index = np.arange(len(time))
    return [run for run in np.split(index, np.flatnonzero(np.diff(time) > longest) + 1) if len(run)]


def _slid(state: HandState, hands: NDArray[np.intp], slide: Array) -> HandState:
    """The state with some hands (n,) so many metres farther along their own rays: their pictures stay."""
    translation = state.translation.copy()
    place = translation[:, hands]
    translation[:, hands] = place * (1.0 + slide / np.maximum(np.linalg.norm(place, axis=0), _NEAREST))
    return replace(state, translation=translation)
