# SPDX-License-Identifier: GPL-3.0-or-later
"""A stretch of a clip solved at once: all frames, both hands, coupled by time and by touch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .banded import BlockSystem
from .corrections import Pins
from .energy import Energy
from .kinematics import FIRST_ANGLE, ROTATION, Chain, HandState
from .observations import Seen
from .settings import FitSettings
from .solver import CHUNK
from .spatial import Array
from .terms import acceleration, collision, contact, pairs, relative_root, reprojection

_FLOOR = 1e-6
_DAMPING = 1e-3
_STILL = np.radians(0.02)
"""a step that turns nothing by more than this is the last"""
_GIVE_UP = 1e4
_NO_ROBUST = 1e9


@dataclass(frozen=True)
class Frames:
    """The hands of a window: B in all, a frame's right hand and left hand are two of them."""

    frame: NDArray[np.intp]
    """(B,) frame of each hand, rising within a side"""
    time: Array
    """(B,) seconds"""
    left: NDArray[np.bool_]
    """(B,)"""
    seen: Seen
    pins: Pins
    vector: relative_root.SeenVector | None = None
    """what was seen of the pairs of `pair_frames`"""


def pair_frames(frame: NDArray[np.intp], left: NDArray[np.bool_]) -> tuple[NDArray[np.intp], ...]:
    """Frames (P,) that hold both hands, and the right and left hand (P,), (P,) of each among all (B,)."""
    sides = [np.flatnonzero(~left), np.flatnonzero(left)]
    both, right, left_index = np.intersect1d(frame[sides[0]], frame[sides[1]], return_indices=True)
    return both, sides[0][right], sides[1][left_index]


@dataclass
class _Linearised:
    cost: float
    gradient: Array
    """(B, m) without the nuisance rotation"""
    matrix: Array
    """(B, m, m) the nuisance rotation eliminated, undamped"""
    nuisance: tuple[Array, Array]
    """(B, 3, m), (B, 3): nuisance step = second - first @ step"""
    smooth: acceleration.Smoothness
    coupling: pairs.PairRows | None


class Window:
    """The joint problem; `solve` finds its minimum from a start."""

    def __init__(self, energy: Energy, model: Energy, frames: Frames, spheres: collision.SphereSet | None) -> None:
        """`energy` meets the observations, `model` (no keypoint offsets) the pinned points."""
        self._energy = energy
        self._model = model
        self._frames = frames
        self._spheres = spheres
        settings = energy.settings
        sides = [np.flatnonzero(~frames.left), np.flatnonzero(frames.left)]
        self._triples = acceleration.joined(
            [acceleration.triples(index, frames.time[index], settings.clip_break) for index in sides]
        )
        self.pairs = pair_frames(frames.frame, frames.left)
        """frame (P,), right hand (P,) and left hand (P,) of each pair"""
        self.wanted: contact.Wanted | None = None
        """contacts to hold from now on; pairs are numbered as in `pair_frames`"""
        self._order = np.lexsort((frames.left, frames.frame))
        self._rank = np.argsort(self._order)
        self._pinned = np.flatnonzero(frames.pins.ray_precision.any(0))

    @property
    def chain(self) -> Chain:
        """The hand that is solved for."""
        return self._energy.chain

    @property
    def settings(self) -> FitSettings:
        """The weights it is solved with."""
        return self._energy.settings

    def solve(self, start: HandState, *, steps: int, cancelled: Callable[[], bool] | None = None) -> HandState:
        """Levenberg-Marquardt with one damping for the whole window; never raises the cost."""
        state = self._frames.pins.started(start)
        now = self._linearise(state)
        damping = _DAMPING
        taken = 0
        while taken < steps and damping < _GIVE_UP:
            if cancelled is not None and cancelled():
                break
            step = self._step(now, damping)
            moved = state.moved(step)
            after = self._linearise(moved)
            if after.cost <= now.cost:
                state, now = moved, after
                damping = max(0.2 * damping, 1e-7)
                if max(np.abs(step[ROTATION]).max(), np.abs(step[FIRST_ANGLE:-3]).max()) < _STILL:
                    break
            else:
                damping *= 8.0
            taken += 1
        return state

    def cost(self, state: HandState) -> float:
        """The energy of the window."""
        return self._linearise(state).cost

    def _linearise(self, state: HandState) -> _Linearised:
        count, size = state.count, self._energy.chain.size
        gradient = np.empty((count, size))
        matrix = np.empty((count, size, size))
        cost = 0.0
        for first in range(0, count, CHUNK):
            piece = np.arange(first, min(first + CHUNK, count))
            found = self._energy.evaluate(state.take(piece), self._frames.seen.take(piece))
            cost += float(found.cost.sum())
            gradient[piece] = found.gradient
            matrix[piece] = found.matrix
        pins = self._frames.pins
        if pins.any:
            value, slope = pins.evaluate(state)
            cost += float(value.sum())
            gradient += slope.T
            index = np.arange(size)
            matrix[:, index, index] += pins.diagonal.T
            cost += self._add_pinned_points(state, gradient, matrix)
        smooth = acceleration.evaluate(state, self._triples, self._energy.settings, size)
        cost += smooth.cost
        gradient += smooth.gradient.T
        self._add_smoothness(matrix, smooth)
        coupling = self._coupling(state)
        if coupling is not None:
            cost += float(coupling.cost.sum())
            self._add_coupling(gradient, matrix, coupling)
        # The nuisance rotation meets nothing but its own frame: it is eliminated before time couples.
        tail = matrix[:, -3:, -3:]
        known = np.concatenate([matrix[:, -3:, :-3], gradient[:, -3:, None]], axis=2)
        solved = np.linalg.solve(tail, known)
        reduced = matrix[:, :-3, :-3] - np.swapaxes(known[..., :-1], 1, 2) @ solved[..., :-1]
        slope = gradient[:, :-3] - (np.swapaxes(known[..., :-1], 1, 2) @ solved[..., -1:])[..., 0]
        return _Linearised(cost, slope, reduced, (solved[..., :-1], -solved[..., -1]), smooth, coupling)

    def _add_pinned_points(self, state: HandState, gradient: Array, matrix: Array) -> float:
        if not self._pinned.size:
            return 0.0
        chain, pinned = self._model.chain, self._pinned
        part, pins = state.take(pinned), self._frames.pins.take(pinned)
        posed = chain.pose(part)
        fixed = pins.ray_precision > 0.0
        seen = self._frames.seen.take(pinned)
        seen = Seen(
            pins.rays,
            1.0 / np.where(fixed, pins.ray_precision, 1.0),
            fixed.astype(np.float64),
            seen.points,
            seen.point_sigma,
            seen.point_weight,
        )
        rows = np.zeros((part.count, len(reprojection.POINT), chain.size))
        wrench, residual = np.empty((*rows.shape[:2], 6)), np.empty(rows.shape[:2])
        cost = reprojection.evaluate(posed.points, part.translation, seen, _NO_ROBUST, wrench, residual)
        spare = np.empty((*rows.shape[:2], chain.angle_count))
        chain.slopes(posed, reprojection.POINT, wrench, rows, spare)
        matrix[pinned] += np.swapaxes(rows, 1, 2) @ rows
        gradient[pinned] += (np.swapaxes(rows, 1, 2) @ residual[..., None])[..., 0]
        return float(cost.sum())

    def _add_smoothness(self, matrix: Array, smooth: acceleration.Smoothness) -> None:
        t = self._triples
        index = np.arange(3, matrix.shape[-1] - 3)
        for hand, slope, factor in zip((t.first, t.middle, t.last), smooth.rotation, smooth.linear, strict=True):
            matrix[hand, ROTATION, ROTATION] += np.swapaxes(slope, 1, 2) @ slope * smooth.precision[0]
            matrix[hand[:, None], index, index] += factor[:, None] ** 2 * smooth.precision[index]

    def near_pairs(self, state: HandState) -> NDArray[np.intp]:
        """Pairs whose hands are close enough to touch."""
        _, right, left = self.pairs
        if self._spheres is None or not right.size:
            return np.empty(0, np.intp)
        gate = self._energy.settings.collision_gate
        return np.flatnonzero(collision.near(state.translation[:, right], state.translation[:, left], gate))

    def _coupling(self, state: HandState) -> pairs.PairRows | None:
        """Everything that the two hands of a frame have to do with each other."""
        settings, chain = self._energy.settings, self._energy.chain
        terms: list[pairs.PairRows] = []
        total = len(self.pairs[1])
        near = self.near_pairs(state)
        if near.size and self._spheres is not None:
            first, second = (state.take(hand[near]) for hand in self.pairs[1:])
            places = (chain.pose(first), first.translation, chain.pose(second), second.translation)
            apart = collision.evaluate(self._spheres, chain, *places, settings.collision_sigma)
            terms.append(pairs.scattered(apart, near, total))
            if self.wanted is not None:
                held = contact.evaluate(
                    self._spheres,
                    chain,
                    *places,
                    self.wanted.of_pairs(near),
                    sigma=settings.contact_sigma,
                    robust=settings.contact_robust,
                )
                terms.append(pairs.scattered(held, near, total))
        if self._frames.vector is not None:
            right, left = (state.translation[:, hand] for hand in self.pairs[1:])
            seen, unknowns = self._frames.vector, FIRST_ANGLE + chain.angle_count
            terms.append(relative_root.evaluate(right, left, seen, unknowns, settings.relative_robust))
        return pairs.joined(terms) if terms else None

    def _add_coupling(self, gradient: Array, matrix: Array, coupling: pairs.PairRows) -> None:
        for pair, rows in pairs.by_pair(coupling):
            for hand, slopes in (
                (self.pairs[1][pair], coupling.right[rows]),
                (self.pairs[2][pair], coupling.left[rows]),
            ):
                gradient[hand, :-3] += coupling.residual[rows] @ slopes
                matrix[hand, :-3, :-3] += slopes.T @ slopes

    def _step(self, now: _Linearised, damping: float) -> Array:
        """The damped step (P, B)."""
        matrix = now.matrix[self._order]
        index = np.arange(matrix.shape[-1])
        matrix[:, index, index] = matrix[:, index, index] * (1.0 + damping) + _FLOOR
        system = BlockSystem(matrix, now.gradient[self._order][..., None])
        self._couple_in_time(system, now.smooth)
        if now.coupling is not None:
            for pair, rows in pairs.by_pair(now.coupling):
                block = now.coupling.right[rows].T @ now.coupling.left[rows]
                system.couple(int(self._rank[self.pairs[1][pair]]), int(self._rank[self.pairs[2][pair]]), block)
        step = -system.solve()[self._rank][..., 0]
        first, second = now.nuisance
        turn = second - (first @ step[..., None])[..., 0]
        return np.concatenate([step, turn], axis=1).T

    def _couple_in_time(self, system: BlockSystem, smooth: acceleration.Smoothness) -> None:
        t = self._triples
        hands = (t.first, t.middle, t.last)
        size = system.diagonal.shape[-1]
        index = np.arange(FIRST_ANGLE - 3, size)
        near = np.zeros((len(self._rank), size, size))
        far = np.zeros((len(self._rank), size, size))
        for a, b, blocks in ((0, 1, near), (1, 2, near), (0, 2, far)):
            slope = np.swapaxes(smooth.rotation[a], 1, 2) @ smooth.rotation[b] * smooth.precision[0]
            blocks[hands[a], ROTATION, ROTATION] += slope
            factor = smooth.linear[a] * smooth.linear[b]
            blocks[hands[a][:, None], index, index] += factor[:, None] * smooth.precision[index]
        following = np.full(len(self._rank), -1)
        after = np.full(len(self._rank), -1)
        following[hands[0]], following[hands[1]], after[hands[0]] = hands[1], hands[2], hands[2]
        for hand in range(len(self._rank)):
            if following[hand] >= 0:
                system.couple(int(self._rank[hand]), int(self._rank[following[hand]]), near[hand])
            if after[hand] >= 0:
                system.couple(int(self._rank[hand]), int(self._rank[after[hand]]), far[hand])
