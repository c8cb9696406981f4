# SPDX-License-Identifier: GPL-3.0-or-later
"""Held-out hands: poses of the test side of the split, seen with a known amount of noise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import free_hinges
from blender_handmocap.engine.hand.names import KEYPOINT_COUNT
from blender_handmocap.engine.see.definitions import MODEL
from blender_handmocap.engine.see.iknet import Aligned, align, composed
from training.footage import poses

from .batches import ERROR_OF_SIGMA, noise, rest_of
from .kinematics import pose

Array = NDArray[np.float64]

NOISES: Final = (0, 2, 4, 6)
"""millimetres: sigma across the view; along it twice as much"""
SPOILT: Final = 0.04
"""metres"""
_COUNT: Final = 1500
_LEAST_SIGMA: Final = 0.0002
_SEED: Final = 20
_TIPS: Final = slice(4, KEYPOINT_COUNT, 4)


@dataclass(frozen=True)
class HeldOut:
    """N right hands; metres, camera axes, wrist at 0."""

    rotation: Array
    """(N, 16, 4)"""
    betas: Array
    """(N, 10)"""
    joints: Array
    """(N, 16, 3) at rest"""
    rest: Array
    """(N, 21, 3) keypoints at rest"""
    points: Array
    """(N, 21, 3) true, camera axes"""

    @classmethod
    def make(cls, path: Path | None = None, count: int = _COUNT, *, varied: bool = True) -> HeldOut:
        """Always the same hands, of many shapes if `varied`; poses are kept in `path`: drawing them takes a while."""
        random = np.random.default_rng(_SEED)
        if path is not None and path.exists():
            with np.load(path) as file:
                angles = file["angles"]
        else:
            angles = poses.sample(np.random.default_rng(_SEED + 1), count, test=True)
            if path is not None:
                np.savez_compressed(path, angles=angles)
        root = rotations.normalized(random.normal(size=(len(angles), 4)))
        rotation = rotations_from_angles(angles, free_hinges("right"), root)
        betas = random.normal(size=(len(angles), 10)) * varied
        joints, rest = rest_of(betas, MODEL)
        return cls(rotation, betas, joints, rest, posed(rotation, joints, rest))

    def seen(self, millimetres: float, *, spoilt: bool = False) -> tuple[Array, Array]:
        """Points (N, 21, 3) with noise and the errors (N, 21) expected of them.

        `spoilt`: the outer three points of one finger lie SPOILT away, and nobody knows.
        """
        random = np.random.default_rng([_SEED, round(1000 * millimetres)])
        sigma = np.full(self.points.shape[:2], millimetres / 1000.0)
        view = np.tile([0.0, 0.0, 1.0], (len(sigma), 1))
        points = self.points + noise(random, sigma, view)
        if spoilt:
            away = random.normal(size=(len(points), 1, 3))
            away *= SPOILT / np.linalg.norm(away, axis=-1, keepdims=True)
            first = 4 * random.integers(5, size=len(points)) + 2
            points[np.arange(len(points))[:, None], first[:, None] + np.arange(3)] += away
        return points, ERROR_OF_SIGMA * np.maximum(sigma, _LEAST_SIGMA)

    def aligned(self, millimetres: float) -> Aligned:
        """The same as the network's input."""
        return align(*self.seen(millimetres), self.rest)


def posed(rotation: Array, joints: Array, rest: Array) -> Array:
    """Keypoints (N, 21, 3) of hands of any shape."""
    return np.asarray(pose(*(torch.from_numpy(x) for x in (rotation, joints, rest))).numpy())


def local_errors(answer: NDArray[Any], palm: Array, rotation: Array) -> Array:
    """(N, 16) degrees between the network's answers (N, 64) and the true rotations."""
    return np.degrees(rotations.angle_between(composed(answer, palm), rotation))


def tip_errors(found: Array, rotation: Array, joints: Array, rest: Array) -> Array:
    """(N, 5) millimetres between fingertips of hands at rotations (N, 16, 4), found and true; wrist on wrist."""
    apart = posed(found, joints, rest) - posed(rotation, joints, rest)
    return 1000.0 * np.asarray(np.linalg.norm(apart[:, _TIPS], axis=-1))
