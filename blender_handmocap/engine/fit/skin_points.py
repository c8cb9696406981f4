# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of the hand's skin on the hinge chain: where they are, which way they face, and how they move.

A vertex is the weighted mean of where each bone alone would carry it, so its slope is the same mean
of slopes of points fixed to bones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..hand.model import HandModel, RestHand
from ..hand.names import JOINT_COUNT
from .kinematics import FIRST_ANGLE, ROOT, Chain, Posed
from .spatial import Array

_MOST_BONES: Final = 4
_LEAST_WEIGHT: Final = 1e-3


@dataclass(frozen=True)
class SkinPoints:
    """V points of the right hand's skin in the chain's bone frames."""

    bone: NDArray[np.intp]
    """(V, 4) bones that carry each point, those of weight 0 last"""
    weight: Array
    """(V, 4) sum 1"""
    offset: Array
    """(V, 4, 3) metres from the bone's beginning: palm in canonical axes, others in the hinge frame"""
    normal: Array
    """(V, 4, 3) outward unit normal at rest, in the same frames"""

    @property
    def count(self) -> int:
        return len(self.bone)

    @classmethod
    def on_chain(cls, model: HandModel, rest: RestHand, vertices: NDArray[np.intp], chain: Chain) -> SkinPoints:
        """The `vertices` (V,) of a right hand `model` at `rest`, whose bones are taken for those of the chain."""
        points = model.rest_vertices(rest)
        normals = _normals(points, model.triangles)[vertices]
        weights = model.weights[vertices]
        bone = np.argsort(-weights, axis=1, kind="stable")[:, :_MOST_BONES]
        weight = np.take_along_axis(weights, bone, axis=1)
        weight = np.where(weight > _LEAST_WEIGHT, weight, 0.0)
        frame = np.where((np.arange(JOINT_COUNT) == 0)[:, None, None], np.eye(3), chain.hinges.frame)
        turn = np.swapaxes(frame, 1, 2)[bone]
        offset = points[vertices][:, None] - rest.joints[bone]
        return cls(
            bone=bone,
            weight=weight / weight.sum(1, keepdims=True),
            offset=np.einsum("vkij,vkj->vki", turn, offset),
            normal=np.einsum("vkij,vj->vki", turn, normals),
        )

    @classmethod
    def of_bones(cls, bone: NDArray[np.intp], offset: Array) -> SkinPoints:
        """Points fixed to one bone each: bone (V,), offset (V, 3) in its frame."""
        count = len(bone)
        bones = np.repeat(bone[:, None], _MOST_BONES, axis=1)
        weight = np.zeros((count, _MOST_BONES))
        weight[:, 0] = 1.0
        offsets = np.repeat(offset[:, None], _MOST_BONES, axis=1)
        return cls(bones, weight, offsets, np.zeros_like(offsets))

    def carried(self, posed: Posed) -> Array:
        """(3, V, 4, B) where each bone alone carries each point, relative to the wrist."""
        turn, joints = _frames(posed)
        out = np.einsum("ijvkb,vkj->ivkb", turn[:, :, self.bone], self.offset, optimize=True)
        out += joints[:, self.bone]
        return np.asarray(out)

    def mean(self, carried: Array) -> Array:
        """(3, V, B) the points, from what `carried` gave."""
        return np.asarray(np.einsum("ivkb,vk->ivb", carried, self.weight))

    def facing(self, posed: Posed) -> Array:
        """(3, V, B) outward unit normals, camera axes."""
        turn, _ = _frames(posed)
        out = np.einsum("ijvkb,vkj,vk->ivb", turn[:, :, self.bone], self.normal, self.weight, optimize=True)
        return np.asarray(out / np.maximum(np.sqrt((out * out).sum(0)), 1e-9))

    def slopes(
        self,
        chain: Chain,
        posed: Posed,
        carried: Array,
        point: NDArray[np.intp],
        batch: NDArray[np.intp],
        along: Array,
    ) -> Array:
        """Rows (n, 6 + A) of d(along . point): `point` (n,) of hand `batch` (n,), along (3, n)."""
        rows = np.zeros((len(point), FIRST_ANGLE + chain.angle_count))
        for k in range(self.bone.shape[1]):
            share = self.weight[point, k]
            some = np.flatnonzero(share)
            if not some.size:
                break
            p, b, a = point[some], batch[some], along[:, some]
            rows[some] += share[some, None] * chain.directions(posed, self.bone[p, k], b, carried[:, p, k, b], a)
        return rows


@dataclass(frozen=True)
class HandRows:
    """n residuals of single hands among B; cost is their sum of squares, or of what a robust term makes of them."""

    cost: Array
    """(B,)"""
    hand: NDArray[np.intp]
    """(n,)"""
    residual: Array
    """(n,) in sigmas"""
    rows: Array
    """(n, 6 + A) derivative by the hand's unknowns"""

    @classmethod
    def nothing(cls, count: int, unknowns: int) -> HandRows:
        """No residuals for so many hands."""
        return cls(np.zeros(count), np.zeros(0, np.intp), np.zeros(0), np.zeros((0, unknowns)))


def without_place(rows: Array) -> Array:
    """Rows of what is measured from the wrist: the translation has no part in it."""
    rows[:, ROOT.stop // 2 : ROOT.stop] = 0.0
    return rows


def _frames(posed: Posed) -> tuple[Array, Array]:
    """Orientation (3, 3, 16, B) and beginning (3, 16, B) of all bones."""
    count = posed.root.shape[-1]
    turn = np.concatenate([posed.root[:, :, None], posed.bones.reshape(3, 3, -1, count)], axis=2)
    joints = np.concatenate([np.zeros((3, 1, count)), posed.joints.reshape(3, -1, count)], axis=1)
    return turn, joints


def _normals(points: Array, triangles: NDArray[np.int32]) -> Array:
    """(V, 3) outward unit normals."""
    corners = points[triangles]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    out = np.zeros_like(points)
    for corner in range(3):
        np.add.at(out, triangles[:, corner], cross)
    return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12))
