# SPDX-License-Identifier: GPL-3.0-or-later
"""Levenberg-Marquardt for a batch of independent hands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .energy import Energy, Evaluation
from .kinematics import FIRST_ANGLE, ROTATION, HandState, concatenate
from .observations import Seen
from .spatial import Array
from .terms.prediction import Prediction

CHUNK = 48
"""hands solved side by side: their work arrays stay in the processor's cache"""
_FLOOR = 1e-6
_LOWER = 0.2
_RAISE = 8.0
_LEAST_DAMPING = 1e-7
_MOST_DAMPING = 1e4


@dataclass(frozen=True)
class Solution:
    """B hands after the search."""

    state: HandState
    cost: Array
    """(B,)"""
    steps: NDArray[np.intp]
    """(B,) steps tried"""


def minimise(
    energy: Energy,
    start: HandState,
    seen: Seen,
    *,
    steps: int,
    prediction: Prediction | None = None,
    tolerance: float | None = None,
) -> Solution:
    """Lower the energy of each hand by at most `steps` steps; deterministic, never raises the cost."""
    limit = energy.settings.tolerance if tolerance is None else tolerance
    if start.count <= CHUNK:
        return _minimise(energy, start, seen, steps, prediction, limit)
    parts = []
    for first in range(0, start.count, CHUNK):
        piece = np.arange(first, min(first + CHUNK, start.count))
        expected = None if prediction is None else prediction.take(piece)
        parts.append(_minimise(energy, start.take(piece), seen.take(piece), steps, expected, limit))
    return Solution(
        concatenate([p.state for p in parts]),
        np.concatenate([p.cost for p in parts]),
        np.concatenate([p.steps for p in parts]),
    )


def costs(energy: Energy, state: HandState, seen: Seen) -> Array:
    """(B,) the energy of each of many hands, as many side by side as `minimise` takes."""
    pieces = [np.arange(first, min(first + CHUNK, state.count)) for first in range(0, state.count, CHUNK)]
    return np.concatenate([np.zeros(0), *(energy.cost(state.take(piece), seen.take(piece)) for piece in pieces)])


def _minimise(
    energy: Energy, start: HandState, seen: Seen, steps: int, prediction: Prediction | None, tolerance: float
) -> Solution:
    final, final_cost = start, np.zeros(start.count)
    tried = np.zeros(start.count, dtype=np.intp)
    active = np.arange(start.count)
    state = start
    now = energy.evaluate(state, seen, prediction)
    final_cost[:] = now.cost
    damping = np.full(start.count, energy.settings.damping)
    for left in range(steps, 0, -1):
        step = damped_step(now, damping)
        moved = state.moved(step)
        tried[active] += 1
        # A small step from a warm start ends where the next one would: nothing bends on such a way.
        arrived = prediction is not None and _turn(step) < energy.settings.live_small_step
        if left == 1 or arrived:
            # Nothing steps on from here: the value is enough.
            value = energy.cost(moved, seen, prediction)
            better = value <= now.cost
            state = moved if better.all() else moved.where(better, state)
            final_cost[active] = np.minimum(value, now.cost)
            break
        after = energy.evaluate(moved, seen, prediction)
        better = after.cost <= now.cost
        gain = (now.cost - after.cost) / np.maximum(now.cost, 1e-12)
        damping = np.where(
            better, np.maximum(damping * _LOWER, _LEAST_DAMPING), np.minimum(damping * _RAISE, _MOST_DAMPING)
        )
        if better.all():
            state, now = moved, after
        elif better.any():
            state, now = moved.where(better, state), after.where(better, now)
        done = better & (gain < tolerance)
        if not done.any() and len(active) == start.count:
            continue
        final = state if len(active) == start.count else final.put(active, state)
        final_cost[active] = now.cost
        if done.all():
            return Solution(final, final_cost, tried)
        # Only hands that still move are worth the next step.
        keep = np.flatnonzero(~done)
        active, damping = active[keep], damping[keep]
        state, now, seen = state.take(keep), now.take(keep), seen.take(keep)
        prediction = None if prediction is None else prediction.take(keep)
    whole = len(active) == start.count
    return Solution(state if whole else final.put(active, state), final_cost, tried)


def _turn(step: Array) -> float:
    """The largest turn of a step (P, B), root or hinge, radians."""
    return float(max(np.abs(step[ROTATION]).max(), np.abs(step[FIRST_ANGLE:-3]).max()))


def damped_step(now: Evaluation, damping: Array) -> Array:
    """The step (P, B) of Levenberg-Marquardt with a damping (B,) relative to the matrix's diagonal."""
    matrix = now.matrix.copy()
    index = np.arange(matrix.shape[-1])
    # A hand of which nothing is seen has no place: the floor keeps it where it is.
    matrix[:, index, index] = matrix[:, index, index] * (1.0 + damping)[:, None] + _FLOOR
    return -np.linalg.solve(matrix, now.gradient[..., None])[..., 0].T
