# SPDX-License-Identifier: GPL-3.0-or-later
"""A robust pose for every frame on its own, and a choice among several over the clip.

One picture of a hand may have two readings: towards or away from the camera, fingers bent
in or out. Frames that look doubtful are solved from several starts, keep their best two or
three ends, and the cheapest path through the clip (Viterbi) decides, where a jump of the pose
costs what it costs in the temporal terms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import solver, spatial, start
from .energy import Energy
from .kinematics import HandState, concatenate
from .observations import Seen
from .spatial import Array

_STEPS = 10
_DOUBTFUL = 1.5
"""a frame whose cost is this many times the clip's median is solved from other starts too"""
_JUMP = np.radians(35.0)
"""as is one whose root turns by more than this between frames 1/30 s apart"""
_NEIGHBOURS = (-5, -1, 1, 5)
_JUMP_COST = 400.0
"""the most that one transition may cost: even a teleport must remain possible"""


@dataclass(frozen=True)
class Candidates:
    """K ends a frame for T frames; absent ones cost infinity."""

    states: list[HandState]
    """K states of T hands"""
    cost: Array
    """(K, T)"""


def independent(energy: Energy, seen: Seen, *, thorough: bool = False) -> solver.Solution:
    """The best end of several starts a frame, frames without order; all frames if `thorough`, else the doubtful."""
    first = solver.minimise(energy, start.closed_form(energy.chain, seen, energy.settings), seen, steps=_STEPS)
    doubted = _costly(first.cost) | _implausible(energy, first.state)
    index = np.arange(seen.count) if thorough else np.flatnonzero(doubted)
    if not index.size:
        return first
    part = seen.take(index)
    state, cost = first.state, first.cost.copy()
    for other in _other_starts(energy, part, first.state.take(index)):
        end = solver.minimise(energy, other, part, steps=_STEPS)
        better = np.flatnonzero(end.cost < cost[index])
        state = state.put(index[better], end.state.take(better))
        cost[index[better]] = end.cost[better]
    return solver.Solution(state, cost, first.steps)


def candidates(energy: Energy, seen: Seen, time: Array) -> Candidates:
    """Several ends for doubtful frames of one hand in order of time (T,) seconds, one for the others."""
    chain, settings = energy.chain, energy.settings
    found = solver.minimise(energy, start.closed_form(chain, seen, settings), seen, steps=_STEPS)
    doubtful = _spread(_costly(found.cost) | _jumps(found.state, time) | _implausible(energy, found.state), 2)
    states, costs = [found.state], [found.cost]
    if doubtful.size:
        part = seen.take(doubtful)
        for other in _other_starts(energy, part, found.state.take(doubtful)):
            end = solver.minimise(energy, other, part, steps=_STEPS)
            states.append(found.state.put(doubtful, end.state))
            cost = np.full(seen.count, np.inf)
            cost[doubtful] = end.cost
            costs.append(cost)
        neighbour = _from_neighbours(energy, seen, states, np.stack(costs), doubtful)
        states.append(neighbour.state)
        cost = np.full(seen.count, np.inf)
        cost[doubtful] = neighbour.cost[doubtful]
        costs.append(cost)
    return Candidates(states, np.stack(costs))


def chosen(found: Candidates, time: Array, energy: Energy) -> HandState:
    """The cheapest path through the candidates of T frames at `time` (T,) seconds."""
    count = len(time)
    options = len(found.states)
    if options == 1 or count < 2:
        return _picked(found, found.cost.argmin(0))
    settings = energy.settings
    step = np.maximum(np.diff(time) * 30.0, 1e-3)
    linked = np.diff(time) <= settings.clip_break
    # A pose may drift by a few of the temporal sigmas a frame before a jump is suspected.
    loose = 3.0 * np.sqrt(step)
    total = np.full((count, options), np.inf)
    came = np.zeros((count, options), dtype=np.intp)
    change = np.zeros((count - 1, options, options))
    for i, before in enumerate(found.states):
        for j, after in enumerate(found.states):
            turn = spatial.logarithm(spatial.product(after.root[..., 1:], spatial.transposed(before.root[..., :-1])))
            cost = (turn**2).sum(0) / settings.clip_rotation**2
            cost += ((after.translation[:, 1:] - before.translation[:, :-1]) ** 2).sum(0) / settings.clip_translation**2
            cost += ((after.angles[:, 1:] - before.angles[:, :-1]) ** 2).sum(0) / settings.clip_angle**2
            change[:, i, j] = np.where(linked, np.minimum(cost / loose**2, _JUMP_COST), 0.0)
    total[0] = found.cost[:, 0]
    for t in range(1, count):
        through = total[t - 1][:, None] + change[t - 1]
        came[t] = through.argmin(0)
        total[t] = through.min(0) + found.cost[:, t]
    path = np.zeros(count, dtype=np.intp)
    path[-1] = total[-1].argmin()
    for t in range(count - 1, 0, -1):
        path[t - 1] = came[t, path[t]]
    return _picked(found, path)


def _picked(found: Candidates, which: NDArray[np.intp]) -> HandState:
    out = found.states[0]
    for k in range(1, len(found.states)):
        out = found.states[k].where(which == k, out)
    return out


def _costly(cost: Array) -> NDArray[np.bool_]:
    return np.asarray(cost > _DOUBTFUL * np.median(cost))


def _jumps(state: HandState, time: Array) -> NDArray[np.bool_]:
    out = np.zeros(state.count, dtype=bool)
    if state.count > 1:
        turn = spatial.product(state.root[..., 1:], spatial.transposed(state.root[..., :-1]))
        angle = np.sqrt((spatial.logarithm(turn) ** 2).sum(0))
        jump = angle > _JUMP * np.maximum(np.diff(time) * 30.0, 1.0)
        out[1:] |= jump
        out[:-1] |= jump
    return out


def _spread(mask: NDArray[np.bool_], reach: int) -> NDArray[np.intp]:
    """Indices of the frames of a mask (T,) and of those up to `reach` away."""
    wide = mask.copy()
    for shift in range(1, reach + 1):
        wide[shift:] |= mask[:-shift]
        wide[:-shift] |= mask[shift:]
    return np.flatnonzero(wide)


def _implausible(energy: Energy, state: HandState) -> NDArray[np.bool_]:
    """Poses farther from the usual one than hands are."""
    return np.asarray(energy.prior.evaluate(state.angles)[0] > energy.settings.recovery**2)


def _other_starts(energy: Energy, seen: Seen, found: HandState) -> list[HandState]:
    """Fingers as they usually are, the form mirrored in depth, and the poses that were found, brought back to those
    that hands take where they are none."""
    starts = [
        start.closed_form(energy.chain, seen, energy.settings, energy.prior.mean),
        start.closed_form(energy.chain, start.flipped(seen), energy.settings),
    ]
    if _implausible(energy, found).any():
        angles = energy.prior.brought_within(found.angles, energy.settings.recovery)
        back = HandState(found.root, found.translation, angles, found.nuisance)
        starts.append(start.placed(energy.chain, back, seen, energy.settings))
    return starts


def _from_neighbours(
    energy: Energy, seen: Seen, states: list[HandState], costs: Array, doubtful: NDArray[np.intp]
) -> solver.Solution:
    """Each doubtful frame from the pose of the neighbour that fits it best, put at its own place."""
    best = _picked(Candidates(states, costs), costs.argmin(0))
    cost = costs.min(0)
    part = seen.take(doubtful)
    starts = []
    for shift in _NEIGHBOURS:
        source = np.clip(doubtful + shift, 0, seen.count - 1)
        starts.append(start.placed(energy.chain, best.take(source), part, energy.settings))
    tiled = np.tile(np.arange(len(doubtful)), len(starts))
    value = solver.costs(energy, concatenate(starts), part.take(tiled)).reshape(len(starts), -1)
    pick = value.argmin(0)
    first = starts[0]
    for k in range(1, len(starts)):
        first = starts[k].where(pick == k, first)
    end = solver.minimise(energy, first, part, steps=_STEPS)
    out_cost = cost.copy()
    out_cost[doubtful] = end.cost
    return solver.Solution(best.put(doubtful, end.state), out_cost, np.zeros(seen.count, dtype=np.intp))
