# SPDX-License-Identifier: GPL-3.0-or-later
"""A stretch of a clip solved at once: all frames, both hands, coupled by time and by touch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .banded import BlockSystem
from .corrections import Pins
from .descent import descend
from .energy import Energy
from .kinematics import FIRST_ANGLE, ROTATION, Chain, HandState
from .map_terms import MapTerms, fingers_apart
from .observations import Seen
from .seen_maps import SeenMaps
from .settings import FitSettings
from .skin_points import HandRows
from .solver import CHUNK
from .spatial import Array
from .terms import acceleration, collision, contact, depth_between, gaussians, pairs, relative_root, reprojection

_FLOOR = 1e-6
_NO_ROBUST = 1e9
_FIXED = 1e12
"""stiffness of a hand that does not move"""


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
    maps: SeenMaps | None = None
    """what maps said of some of the hands, and of those pairs"""

    def take(self, index: NDArray[np.intp]) -> Frames:
        """The hands of an index array (n,), rising."""
        frame, left = self.frame[index], self.left[index]
        pairs = np.searchsorted(pair_frames(self.frame, self.left)[0], pair_frames(frame, left)[0])
        return Frames(
            frame,
            self.time[index],
            left,
            self.seen.take(index),
            self.pins.take(index),
            None if self.vector is None else self.vector.take(pairs),
            None if self.maps is None else self.maps.take(index, pairs),
        )


def pair_frames(frame: NDArray[np.intp], left: NDArray[np.bool_]) -> tuple[NDArray[np.intp], ...]:
    """Frames (P,) that hold both hands, and the right and left hand (P,), (P,) of each among all (B,)."""
    sides = [np.flatnonzero(~left), np.flatnonzero(left)]
    both, right, left_index = np.intersect1d(frame[sides[0]], frame[sides[1]], return_indices=True)
    return both, sides[0][right], sides[1][left_index]


@dataclass
class Linearised:
    """The energy of a window at a state."""

    cost: float
    local: Array
    """(B,) the part of the cost that belongs to each hand; what is shared belongs to all who share it"""
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

    def __init__(
        self,
        energy: Energy,
        model: Energy,
        frames: Frames,
        spheres: collision.SphereSet | None,
        *,
        triples: acceleration.Triples | None = None,
        fixed: NDArray[np.bool_] | None = None,
    ) -> None:
        """`energy` meets the observations, `model` (no keypoint offsets) the pinned points.

        `triples`: which hands follow each other, by default from the times; hands that are `fixed` (B,) stay.
        """
        self._energy = energy
        self._model = model
        self._frames = frames
        self._spheres = spheres
        settings = energy.settings
        if triples is None:
            sides = [np.flatnonzero(~frames.left), np.flatnonzero(frames.left)]
            triples = acceleration.joined(
                [acceleration.triples(index, frames.time[index], settings.clip_break) for index in sides]
            )
        self._triples = triples
        self._fixed = np.zeros(len(frames.frame), bool) if fixed is None else fixed
        self.pairs = pair_frames(frames.frame, frames.left)
        """frame (P,), right hand (P,) and left hand (P,) of each pair"""
        self.wanted: contact.Wanted | None = None
        """contacts to hold from now on; pairs are numbered as in `pair_frames`"""
        self._order = np.lexsort((frames.left, frames.frame))
        self._rank = np.argsort(self._order)
        self._pinned = np.flatnonzero(frames.pins.ray_precision.any(0))
        self._maps: MapTerms | None = None
        if frames.maps is not None and spheres is not None:
            self._maps = MapTerms(frames.maps, model.chain, spheres, settings)

    @property
    def chain(self) -> Chain:
        """The hand that is solved for."""
        return self._energy.chain

    @property
    def settings(self) -> FitSettings:
        """The weights it is solved with."""
        return self._energy.settings

    @property
    def frame_index(self) -> NDArray[np.intp]:
        """(B,) the frame of each hand, counted from 0 without holes."""
        return np.unique(self._frames.frame, return_inverse=True)[1]

    @property
    def time(self) -> Array:
        """(B,) seconds of each hand's frame."""
        return self._frames.time

    def solve(
        self,
        start: HandState,
        *,
        steps: int,
        frames: NDArray[np.bool_] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> HandState:
        """The state after at most so many steps over all frames, and more where they have not come to rest.

        Given `frames` (F,), counted as in `frame_index`, only they and the ones around them move.
        """
        held = self._frames.pins.started(start)
        return descend(self, held, steps=steps, frames=frames, cancelled=cancelled)

    def part(self, index: NDArray[np.intp], fixed: NDArray[np.bool_]) -> Window:
        """The same problem of the hands `index` (n,), rising, of which those `fixed` (n,) stay where they are."""
        out = Window(
            self._energy,
            self._model,
            self._frames.take(index),
            self._spheres,
            triples=self._triples.among(index, len(self._frames.frame)),
            fixed=fixed,
        )
        if self.wanted is not None:
            out.wanted = self.wanted.of_pairs(np.searchsorted(self.pairs[0], out.pairs[0]))
        return out

    def cost(self, state: HandState) -> float:
        """The energy of the window."""
        return self.linearise(state).cost

    def linearise(self, state: HandState) -> Linearised:
        """Value and derivatives of everything."""
        count, size = state.count, self._energy.chain.size
        gradient = np.empty((count, size))
        matrix = np.empty((count, size, size))
        local = np.empty(count)
        for first in range(0, count, CHUNK):
            piece = np.arange(first, min(first + CHUNK, count))
            found = self._energy.evaluate(state.take(piece), self._frames.seen.take(piece))
            local[piece] = found.cost
            gradient[piece] = found.gradient
            matrix[piece] = found.matrix
        pins = self._frames.pins
        if pins.any:
            value, slope = pins.evaluate(state)
            local += value
            gradient += slope.T
            index = np.arange(size)
            matrix[:, index, index] += pins.diagonal.T
            self._add_pinned_points(state, local, gradient, matrix)
        for rows in self._of_maps(state):
            local += rows.cost
            _add_rows(rows, gradient, matrix)
        smooth = acceleration.evaluate(state, self._triples, self._energy.settings, size)
        cost = float(local.sum()) + smooth.cost
        for hand in (self._triples.first, self._triples.middle, self._triples.last):
            local[hand] += smooth.each
        gradient += smooth.gradient.T
        self._add_smoothness(matrix, smooth)
        coupling = self._coupling(state)
        if coupling is not None:
            cost += float(coupling.cost.sum())
            for hand in self.pairs[1:]:
                local[hand] += coupling.cost
            self._add_coupling(gradient, matrix, coupling)
        # The nuisance rotation meets nothing but its own frame: it is eliminated before time couples.
        tail = matrix[:, -3:, -3:]
        known = np.concatenate([matrix[:, -3:, :-3], gradient[:, -3:, None]], axis=2)
        solved = np.linalg.solve(tail, known)
        reduced = matrix[:, :-3, :-3] - np.swapaxes(known[..., :-1], 1, 2) @ solved[..., :-1]
        slope = gradient[:, :-3] - (np.swapaxes(known[..., :-1], 1, 2) @ solved[..., -1:])[..., 0]
        return Linearised(cost, local, slope, reduced, (solved[..., :-1], -solved[..., -1]), smooth, coupling)

    def _of_maps(self, state: HandState) -> list[HandRows]:
        """What the maps say of single hands, and what keeps fingers apart."""
        found = [] if self._maps is None else self._maps.evaluate(state)
        sigma = self.settings.finger_gaussian_sigma
        if self._spheres is not None and math.isfinite(sigma):
            found.append(fingers_apart(self._spheres, self.chain, state, sigma))
        return found

    def _add_pinned_points(self, state: HandState, local: Array, gradient: Array, matrix: Array) -> None:
        if not self._pinned.size:
            return
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
        local[pinned] += reprojection.evaluate(posed.points, part.translation, seen, _NO_ROBUST, wrench, residual)
        spare = np.empty((*rows.shape[:2], chain.angle_count))
        chain.slopes(posed, reprojection.POINT, wrench, rows, spare)
        matrix[pinned] += np.swapaxes(rows, 1, 2) @ rows
        gradient[pinned] += (np.swapaxes(rows, 1, 2) @ residual[..., None])[..., 0]

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

    def overlap(self, state: HandState) -> Array:
        """(N,) what running into each other costs the hands of each of `near_pairs`."""
        near = self.near_pairs(state)
        if self._spheres is None or not near.size:
            return np.zeros(0)
        first, second = (state.take(hand[near]) for hand in self.pairs[1:])
        chain, sigma = self._energy.chain, self._energy.settings.collision_sigma
        places = (chain.pose(first), first.translation, chain.pose(second), second.translation)
        return collision.evaluate(self._spheres, chain, *places, sigma).cost

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
            if math.isfinite(settings.gaussian_sigma):
                smooth = gaussians.between(self._spheres, chain, *places, settings.gaussian_sigma)
                terms.append(pairs.scattered(smooth, near, total))
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
        maps = self._frames.maps
        if maps is not None and math.isfinite(settings.between_sigma):
            right, left = (state.translation[:, hand] for hand in self.pairs[1:])
            terms.append(
                depth_between.evaluate(
                    right,
                    left,
                    maps.between,
                    maps.between_sight,
                    FIRST_ANGLE + chain.angle_count,
                    palm=maps.palm,
                    sigma=settings.between_sigma,
                    robust=settings.between_robust,
                )
            )
        return pairs.joined(terms) if terms else None

    def _add_coupling(self, gradient: Array, matrix: Array, coupling: pairs.PairRows) -> None:
        for pair, rows in pairs.by_pair(coupling):
            for hand, slopes in (
                (self.pairs[1][pair], coupling.right[rows]),
                (self.pairs[2][pair], coupling.left[rows]),
            ):
                gradient[hand, :-3] += coupling.residual[rows] @ slopes
                matrix[hand, :-3, :-3] += slopes.T @ slopes

    def step(self, now: Linearised, damping: Array) -> Array:
        """The step (P, B) with a damping (B,) of each hand, relative to the matrix's diagonal."""
        matrix = now.matrix[self._order]
        index = np.arange(matrix.shape[-1])
        diagonal = matrix[:, index, index] * (1.0 + damping[self._order])[:, None] + _FLOOR
        matrix[:, index, index] = diagonal + np.where(self._fixed[self._order], _FIXED, 0.0)[:, None]
        system = BlockSystem(matrix, now.gradient[self._order][..., None])
        self._couple_in_time(system, now.smooth)
        if now.coupling is not None:
            for pair, rows in pairs.by_pair(now.coupling):
                block = now.coupling.right[rows].T @ now.coupling.left[rows]
                system.couple(int(self._rank[self.pairs[1][pair]]), int(self._rank[self.pairs[2][pair]]), block)
        step = -system.solve()[self._rank][..., 0]
        first, second = now.nuisance
        turn = second - (first @ step[..., None])[..., 0]
        return np.where(self._fixed, 0.0, np.concatenate([step, turn], axis=1).T)

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


def _add_rows(rows: HandRows, gradient: Array, matrix: Array) -> None:
    """To the gradient (B, P) and matrix (B, P, P) of hands, whose last three unknowns have no part in it."""
    order = np.argsort(rows.hand, kind="stable")
    for hand in np.unique(rows.hand):
        mine = order[np.searchsorted(rows.hand[order], hand) : np.searchsorted(rows.hand[order], hand, side="right")]
        slopes = rows.rows[mine]
        gradient[hand, :-3] += rows.residual[mine] @ slopes
        matrix[hand, :-3, :-3] += slopes.T @ slopes
