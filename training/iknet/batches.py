# SPDX-License-Identifier: GPL-3.0-or-later
"""Endless training hands made on the fly: pooled poses mixed and varied, any shape, noise as measured.

Points are those of the model or of MediaPipe's definition. Real noise is not: it grows towards
the camera, and neighbouring joints err together. Half its variance is therefore shared by a
finger, and along the view it is twice as large. `Observed` rows (what a detector said about hands
whose truth is known) join the generated ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit.hinges import pack, rotations_from_angles, unpack
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.names import FINGER_JOINTS, FINGERS, KEYPOINT_COUNT
from blender_handmocap.engine.see.definitions import MEDIAPIPE, MODEL, rest_offsets
from blender_handmocap.engine.see.iknet import align
from training.footage import poses

from .kinematics import pose
from .losses import Targets

Array = NDArray[np.float64]

NOISE_LIMIT: Final = 0.008
"""metres: the largest sigma across the view"""
DEPTH_FACTOR: Final = 2.0
"""noise along the view, against across it"""
ERROR_OF_SIGMA: Final = 2.0
"""mean distance of a point whose noise has sigma 1 across and DEPTH_FACTOR along the view"""
_CLEAN_SHARE: Final = 0.15
_LOW_NOISE: Final = 1.5
"""power that makes little noise commoner than much"""
_MISSED_SHARE: Final = 0.003
_SHAPE_SIGMA: Final = 1.0
_PALM_SIGMA: Final = 0.12
"""deviation of the logarithm of the palm's length; only the noise depends on it"""
_PALM: Final = (0, 5, 9, 13, 17)


def rest_of(betas: Array, definition: str) -> tuple[Array, Array]:
    """Joints (N, 16, 3) and keypoints (N, 21, 3) of flat right hands of shapes (N, 10); metres, wrist at 0."""
    model = free_hand("right")
    joints = model.joints + np.tensordot(betas, model.joint_dirs, 1)
    tips = model.tips + np.tensordot(betas, model.tip_dirs, 1)
    joints, tips = joints - joints[:, :1], tips - joints[:, :1]
    points = np.empty((len(betas), KEYPOINT_COUNT, 3))
    points[:, 0] = joints[:, 0]
    for number, finger in enumerate(FINGERS):
        first = 4 * number + 1
        points[:, first : first + 3] = joints[:, list(FINGER_JOINTS[finger])]
        points[:, first + 3] = tips[:, number]
    return joints, points + rest_offsets(definition, free_hinges("right"), "right")


def noise(random: np.random.Generator, sigma: Array, view: Array) -> Array:
    """(N, 21, 3) errors of points with sigma (N, 21) across the view (N, 3); half the variance a finger's."""
    count = len(sigma)
    own = random.normal(size=(count, KEYPOINT_COUNT, 3))
    shared = np.empty_like(own)
    shared[:, 0] = random.normal(size=(count, 3))
    shared[:, 1:] = np.repeat(random.normal(size=(count, len(FINGERS), 3)), 4, axis=1)
    both = (own + shared) * np.sqrt(0.5)
    along = (both * view[:, None]).sum(-1, keepdims=True)
    return (both + (DEPTH_FACTOR - 1.0) * along * view[:, None]) * sigma[..., None]


@dataclass(frozen=True)
class Observed:
    """Hands as a detector saw them, with their truth; out of fold, so that the errors are real ones."""

    points: Array
    """(N, 21, 3) camera axes of right hands, any unit"""
    error: Array
    """(N, 21) what the detector expected, in the same unit"""
    rotation: Array
    """(N, 16, 4) true rotations, right hands"""
    betas: Array
    """(N, 10)"""
    definition: str

    @classmethod
    def read(cls, path: Path) -> Observed:
        """An .npz with these names as keys."""
        with np.load(path, allow_pickle=False) as file:
            values = {key: file[key].astype(np.float64) for key in ("points", "error", "rotation", "betas")}
            found = cls(**values, definition=str(file["definition"]))
        count = len(found.points)
        shapes = ((count, 21, 3), (count, 21), (count, 16, 4), (count, 10))
        given = tuple(getattr(found, key).shape for key in ("points", "error", "rotation", "betas"))
        if given != shapes or not all(np.isfinite(values[key]).all() for key in ("error", "rotation", "betas")):
            raise ValueError(f"{path} does not hold points, error, rotation and betas of one number of hands.")
        return found


@dataclass(frozen=True)
class Batch:
    """Features (N, F) and what is true of them."""

    features: torch.Tensor
    truth: Targets


class Generator:
    """Draws batches from a pool of packed hinge angles (P, n)."""

    def __init__(self, pool: NDArray[np.floating], seen: Sequence[Observed] = (), *, seen_share: float = 0.5) -> None:
        self._pool = pool
        self._seen = tuple(seen)
        self._seen_share = seen_share if seen else 0.0
        self._hinges = free_hinges("right")
        rows, _ = np.divmod(np.flatnonzero(self._hinges.free), 3)
        self._finger = np.array([next(f for f, js in enumerate(FINGER_JOINTS.values()) if row in js) for row in rows])
        self._low, self._high = (pack(self._hinges.limits[..., end], self._hinges) for end in (0, 1))
        self._rest = pack(poses.named("relaxed"), self._hinges)

    def batch(self, random: np.random.Generator, count: int) -> Batch:
        """So many hands."""
        real = round(count * self._seen_share)
        parts = [self._generated(random, count - real)]
        if real:
            parts.append(self._observed(random, real))
        targets = (
            torch.cat([getattr(part.truth, name) for part in parts]) for name in ("rotation", "joints", "points")
        )
        return Batch(torch.cat([part.features for part in parts]), Targets(*targets))

    def angles(self, random: np.random.Generator, count: int) -> Array:
        """(N, 16, 3) poses: as pooled, mixed finger by finger, blended, or on the way from rest."""
        first, second = (self._pool[random.integers(len(self._pool), size=count)].astype(np.float64) for _ in range(2))
        way = random.random((count, 1))
        share = random.random((count, 1))
        swap = (random.random((count, len(FINGERS))) < 0.4)[:, self._finger]
        mixed = np.where(way < 0.25, np.where(swap, second, first), first)
        mixed = np.where((way >= 0.25) & (way < 0.40), first * (1.0 - share) + second * share, mixed)
        mixed = np.where((way >= 0.40) & (way < 0.50), self._rest + (first - self._rest) * share, mixed)
        mixed += random.normal(size=mixed.shape) * np.radians(2.5)
        return unpack(np.clip(mixed, self._low, self._high), self._hinges)

    def _generated(self, random: np.random.Generator, count: int) -> Batch:
        rotation = rotations_from_angles(self.angles(random, count), self._hinges)
        betas = random.normal(size=(count, 10)) * _SHAPE_SIGMA
        joints, points = self._rests(betas, random)
        posed = pose(*(torch.from_numpy(x).float() for x in (rotation, joints, points))).numpy().astype(np.float64)
        view = rotations.normalized(random.normal(size=(count, 4)))
        view = rotations.rotate(view, np.array([0.0, 0.0, 1.0]))
        level = (
            random.random((count, 1)) ** _LOW_NOISE * NOISE_LIMIT * np.exp(random.normal(size=(count, 1)) * _PALM_SIGMA)
        )
        level *= random.random((count, 1)) >= _CLEAN_SHARE
        sigma = level * np.exp(random.normal(size=(count, KEYPOINT_COUNT)) * 0.3)
        # A hidden finger is guessed, and detectors know that they guess.
        hidden = np.repeat(random.random((count, len(FINGERS))) < 0.06, 4, axis=1)
        sigma[:, 1:] *= np.where(hidden, random.uniform(1.5, 3.0, (count, 1)), 1.0)
        seen = posed + noise(random, sigma, view)
        error = ERROR_OF_SIGMA * sigma * np.exp(random.normal(size=(count, 1)) * 0.2)
        seen[:, 1:][(random.random((count, KEYPOINT_COUNT - 1)) < _MISSED_SHARE)] = np.nan
        # The world is turned so that the camera looks along z: only then does the network see the view.
        world = _towards_camera(view, random)
        seen = seen @ np.swapaxes(world, 1, 2)
        rotation[:, 0] = rotations.quaternion_from_matrix(world)
        return _finished(seen, error, rotation, joints, points)

    def _rests(self, betas: Array, random: np.random.Generator) -> tuple[Array, Array]:
        joints, points = rest_of(betas, MODEL)
        other = random.random(len(betas)) < 0.4
        points[other] += _shift()
        return joints, points

    def _observed(self, random: np.random.Generator, count: int) -> Batch:
        source = self._seen[int(random.integers(len(self._seen)))]
        row = random.integers(len(source.points), size=count)
        joints, points = rest_of(source.betas[row], source.definition)
        return _finished(source.points[row], source.error[row], source.rotation[row], joints, points)


@lru_cache(maxsize=1)
def _shift() -> Array:
    return rest_offsets(MEDIAPIPE, free_hinges("right"), "right")


def _towards_camera(view: Array, random: np.random.Generator) -> Array:
    """Rotations (N, 3, 3) that turn the view (N, 3) onto z, with any roll."""
    helper = random.normal(size=view.shape)
    across = np.cross(view, helper)
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    return np.stack([across, np.cross(view, across), view], axis=1)


def _finished(seen: Array, error: Array, rotation: Array, joints: Array, points: Array) -> Batch:
    given = align(seen, error, points)
    local = rotation.copy()
    local[:, 0] = rotations.multiply(rotations.conjugate(rotations.quaternion_from_matrix(given.palm)), rotation[:, 0])
    rigid = points[:, _PALM]
    unit = np.sqrt(((rigid - rigid.mean(1, keepdims=True)) ** 2).sum(-1).mean(1))[:, None, None]
    truth = Targets(*(torch.from_numpy(x).float() for x in (local, joints / unit, points / unit)))
    return Batch(torch.from_numpy(given.features), truth)
