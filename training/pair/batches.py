# SPDX-License-Identifier: GPL-3.0-or-later
"""Endless pairs of hands as a detector sees them, made on the fly from the contact patterns.

Every pattern is seen from anywhere, also in the mirror; some are drawn apart. Noise is as it is
measured: larger along the view, half of it shared by a finger, the form turned as a whole, its
scale off, the hand behind less sure. The truth is exact: the patterns know which parts touch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.see.pair import LEFT, RIGHT, SeenHands, align
from training.footage.two_hands import TOUCH, Patterns

Array = NDArray[np.float64]

APART: Final = 0.004
"""metres from which parts surely do not touch; between touch and this a label says nothing"""
_KNUCKLES: Final = (5, 9, 13, 17)
_MIRROR: Final = np.array([-1.0, 1.0, 1.0])
_DRAWN_APART: Final = 0.25
_FARTHEST: Final = 0.09
"""metres that hands are drawn apart by at most"""
_CHUNK: Final = 4096


@dataclass(frozen=True)
class Pool:
    """Patterns as points: right hands at the origin in canonical axes."""

    points: NDArray[np.float32]
    """(N, 2, 21, 3) palm lengths, hands in the order of SIDES"""
    gap: Array
    """(N, 6, 6) metres, left part first"""

    @classmethod
    def of(cls, patterns: Patterns) -> Pool:
        """The points of every pattern of the mean hand."""
        count = len(patterns)
        points = np.empty((count, 2, 21, 3), np.float32)
        identity = np.tile(rotations.IDENTITY, (count, 1))
        for number, (slot, side, turn) in enumerate(((RIGHT, "right", identity), (LEFT, "left", patterns.pairs.turn))):
            model = free_hand("right" if side == "right" else "left")
            shift = patterns.pairs.shift * float(slot == LEFT)
            for first in range(0, count, _CHUNK):
                piece = slice(first, first + _CHUNK)
                angles = patterns.pairs.angles[piece, number]
                rotation = rotations_from_angles(angles, free_hinges(model.side), turn[piece])
                points[piece, slot] = model.pose(rotation, shift[piece], model.rest()).keypoints
        return cls(points / np.float32(free_hand("right").palm_length), patterns.gap)

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True)
class Batch:
    """What the network is given, and what is true of it in its own axes."""

    features: torch.Tensor
    """(N, F)"""
    shift: torch.Tensor
    """(N, 3) true vector from the right to the left wrist minus the placed one, palm lengths"""
    contact: torch.Tensor
    """(N, 6, 6)"""
    known: torch.Tensor
    """(N, 6, 6) where `contact` says something"""

    def rows(self, index: torch.Tensor) -> Batch:
        """Some rows."""
        return Batch(self.features[index], self.shift[index], self.contact[index], self.known[index])


def draw(
    pool: Pool, random: np.random.Generator, count: int, *, index: NDArray[np.intp] | None = None, noise: float = 1.0
) -> Batch:
    """So many pairs; `index` (count,) says which patterns, else they are drawn evenly; `noise` scales all errors."""
    chosen = random.integers(len(pool), size=count) if index is None else index
    points, gap = pool.points[chosen].astype(np.float64), pool.gap[chosen]
    mirrored = random.random(count) < 0.5
    points[mirrored] = points[mirrored][:, ::-1] * _MIRROR
    gap[mirrored] = np.swapaxes(gap[mirrored], 1, 2)
    points, gap = _drawn_apart(points, gap, random)
    truth, view = _before_camera(points, random)
    seen = _seen(truth, view, random, noise)
    given = align(seen)
    vector = (given.turn @ (truth[:, LEFT, 0] - truth[:, RIGHT, 0])[..., None])[..., 0]
    return Batch(
        features=torch.from_numpy(given.features),
        shift=torch.from_numpy((vector - given.vector).astype(np.float32)),
        contact=torch.from_numpy((gap <= TOUCH).astype(np.float32)),
        known=torch.from_numpy(((gap <= TOUCH) | (gap >= APART)).astype(np.float32)),
    )


def _drawn_apart(points: Array, gap: Array, random: np.random.Generator) -> tuple[Array, Array]:
    """Some pairs moved apart along the way between their middles, so that nothing touches any more."""
    count = len(points)
    moved = random.random(count) < _DRAWN_APART
    way = points[:, LEFT].mean(1) - points[:, RIGHT].mean(1)
    way = rotations.rotate(rotations.quaternion_from_vector(random.normal(size=(count, 3)) * 0.3), way)
    way /= np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-9)
    distance = random.uniform(0.012, _FARTHEST, count) * moved
    points = points.copy()
    points[:, LEFT] += (way * distance[:, None] / free_hand("right").palm_length)[:, None]
    return points, gap + distance[:, None, None]


def _before_camera(points: Array, random: np.random.Generator) -> tuple[Array, Array]:
    """Points (N, 2, 21, 3) in camera axes, palm lengths, and the direction (N, 3) they are seen in."""
    count = len(points)
    turn = rotations.matrix_from_quaternion(rotations.normalized(random.normal(size=(count, 4))))
    turned = points @ np.swapaxes(turn, 1, 2)[:, None]
    depth = np.exp(random.uniform(np.log(2.8), np.log(13.0), count))
    place = np.stack([random.normal(size=count) * 0.25, random.normal(size=count) * 0.2, np.ones(count)], -1)
    turned = turned - turned.mean((1, 2), keepdims=True) + (place * depth[:, None])[:, None, None]
    # Nothing may reach behind the camera.
    back = np.maximum(1.3 - turned[..., 2].min((1, 2)), 0.0)
    turned[..., 2] += back[:, None, None]
    view = turned.mean((1, 2))
    return turned, view / np.linalg.norm(view, axis=-1, keepdims=True)


def _finger_noise(random: np.random.Generator, shape: tuple[int, int], size: int) -> Array:
    """(N, 2, 21, size) unit normal noise, half of its variance shared by a finger."""
    own = random.normal(size=(*shape, 21, size))
    shared = np.concatenate(
        [random.normal(size=(*shape, 1, size)), np.repeat(random.normal(size=(*shape, 5, size)), 4, axis=2)], axis=2
    )
    both: Array = (own + shared) * np.sqrt(0.5)
    return both


def _seen(truth: Array, view: Array, random: np.random.Generator, strength: float) -> SeenHands:
    count = len(truth)
    pair = (count, 2)
    # The hand behind is partly hidden: many of its points are guesses.
    behind = truth[..., 2].mean(-1) == truth[..., 2].mean(-1).max(1, keepdims=True)
    hidden = random.random((*pair, 21)) < np.where(behind, random.uniform(0.0, 0.6, pair), 0.08)[..., None]
    worse = np.where(hidden, random.uniform(1.5, 3.0, (*pair, 1)), 1.0)
    level = np.exp(random.uniform(np.log(0.015), np.log(0.10), count))[:, None] * np.exp(random.normal(size=pair) * 0.2)
    sigma = level[..., None] * np.exp(random.normal(size=(*pair, 21)) * 0.25) * worse
    noise = _finger_noise(random, pair, 3) * strength
    along = (noise * view[:, None, None]).sum(-1, keepdims=True)
    form = truth - truth[:, :, :1]
    form = form + (noise + along * view[:, None, None]) * sigma[..., None]
    axis = random.normal(size=(*pair, 3)) * np.radians(5.0) * strength
    form = form @ np.swapaxes(rotations.matrix_from_vector(axis), -1, -2)
    form = form - form[:, :, :1]
    bone = np.linalg.norm(form[:, :, list(_KNUCKLES)], axis=-1).mean(-1)
    # Palms differ in shape between people, and detectors in what they think of them.
    wrong = np.exp((random.normal(size=(count, 1)) * 0.03 + random.normal(size=pair) * 0.015) * strength)
    form = form / (bone * wrong)[..., None, None]

    rays = truth[..., :2] / truth[..., 2:]
    extent = np.ptp(rays, axis=2).max(-1)
    flat = extent * np.exp(random.uniform(np.log(0.006), np.log(0.03), count))[:, None]
    flat_sigma = flat[..., None] * np.exp(random.normal(size=(*pair, 21)) * 0.25) * worse
    rays = rays + _finger_noise(random, pair, 2) * strength * flat_sigma[..., None]

    def stated(error: Array) -> Array:
        return error * np.exp(random.normal(size=(count, 1, 1)) * 0.25 + random.normal(size=(*pair, 21)) * 0.15)

    return SeenHands(
        rays=rays,
        ray_error=stated(1.25 * flat_sigma),
        form=form,
        form_error=stated(2.0 * sigma / bone[..., None]),
    )
