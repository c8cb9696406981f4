# SPDX-License-Identifier: GPL-3.0-or-later
"""One class for every hand: the free hand and a user's own MANO file.

Axes are canonical (right hand: wrist joint at 0, fingers along -x, back of the hand +y,
thumb +z; the left hand is its reflection in x), metres, and the flat hand is the identity
for the free hand. Rotations 1..15 are relative to the parent, in canonical axes; rotation
0 and the translation (the posed wrist joint) take canonical to the camera.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import rotations
from .names import (
    JOINT_COUNT,
    JOINT_PARENTS,
    KEYPOINT_COUNT,
    KEYPOINT_OF_JOINT,
    PALM_LENGTH_JOINT,
    TIP_JOINTS,
    TIP_KEYPOINTS,
    Side,
)

Array = NDArray[np.float64]
IntArray = NDArray[np.int32]

_MIRROR: Final = np.array([-1.0, 1.0, 1.0])
_PARENTS: Final = np.array(JOINT_PARENTS)
_TIP_JOINTS: Final = np.array(TIP_JOINTS)
# Kinematics goes level by level, five fingers at once: (joints of the level, their parents).
_LEVELS: Final = (
    (slice(1, JOINT_COUNT, 3), slice(0, 1)),
    (slice(2, JOINT_COUNT, 3), slice(1, JOINT_COUNT, 3)),
    (slice(3, JOINT_COUNT, 3), slice(2, JOINT_COUNT, 3)),
)
# Where each keypoint stands in the 16 joints followed by the 5 tips.
_KEYPOINT_SOURCE: Final = np.argsort((*KEYPOINT_OF_JOINT, *TIP_KEYPOINTS))
_PIECE: Final = 1024
"""hands posed at a time where there are many"""


@dataclass(frozen=True)
class RestHand:
    """A hand of one shape and size before posing: canonical axes, metres, wrist joint at 0."""

    joints: Array
    """(16, 3)"""
    tips: Array
    """(5, 3), FINGERS order"""
    scale: float
    """Factor from the model's own size to `size`."""
    betas: Array
    """(10,)"""
    sized: bool = False
    """Whether a palm length was asked for, so that betas change proportions alone."""

    @property
    def palm_length(self) -> float:
        """Metres from the wrist to the middle knuckle."""
        return float(np.linalg.norm(self.joints[PALM_LENGTH_JOINT] - self.joints[0]))


@dataclass(frozen=True)
class PosedHand:
    """T posed hands: metres, camera axes."""

    joints: Array
    """(T, 16, 3)"""
    keypoints: Array
    """(T, 21, 3)"""
    orientation: Array
    """(T, 16, 3, 3) canonical axes of each joint to camera axes"""


@dataclass(frozen=True)
class HandModel:
    """Template, shape space, joints, skin and hinges of one hand."""

    id: str
    sha256: str
    side: Side
    template: Array
    """(V, 3)"""
    shape_dirs: Array
    """(10, V, 3) metres a unit of beta"""
    joints: Array
    """(16, 3); joint 0 is the origin"""
    joint_dirs: Array
    """(10, 16, 3)"""
    tips: Array
    """(5, 3), FINGERS order"""
    tip_dirs: Array
    """(10, 5, 3)"""
    weights: Array
    """(V, 16) skin weights, rows sum to 1"""
    triangles: IntArray
    """(F, 3) vertex indices, outwards counter-clockwise"""
    pose_dirs: Array | None = None
    """(135, V, 3) offsets a unit of (R - I) of joints 1..15, row-major; None for a model without"""

    @cached_property
    def palm_length(self) -> float:
        """Metres from the wrist to the middle knuckle of the mean shape."""
        return float(np.linalg.norm(self.joints[PALM_LENGTH_JOINT] - self.joints[0]))

    def mirrored(self) -> HandModel:
        """The same hand on the other side, reflected in x."""
        # Row-major (R - I) entries change sign where exactly one index is x.
        sign = np.outer(_MIRROR, _MIRROR).ravel()
        return replace(
            self,
            side="left" if self.side == "right" else "right",
            template=self.template * _MIRROR,
            shape_dirs=self.shape_dirs * _MIRROR,
            joints=self.joints * _MIRROR,
            joint_dirs=self.joint_dirs * _MIRROR,
            tips=self.tips * _MIRROR,
            tip_dirs=self.tip_dirs * _MIRROR,
            triangles=np.ascontiguousarray(self.triangles[:, ::-1]),
            pose_dirs=None
            if self.pose_dirs is None
            else self.pose_dirs * np.tile(sign, JOINT_COUNT - 1)[:, None, None] * _MIRROR,
        )

    def rest(self, betas: ArrayLike | None = None, size: float | None = None) -> RestHand:
        """The rest skeleton for betas (10,) and a palm length `size` in metres (None: as modelled)."""
        b = np.zeros(len(self.joint_dirs)) if betas is None else np.asarray(betas, dtype=np.float64)
        joints = self.joints + np.tensordot(b, self.joint_dirs, 1)
        tips = self.tips + np.tensordot(b, self.tip_dirs, 1)
        joints, tips = joints - joints[0], tips - joints[0]
        scale = 1.0 if size is None else size / float(np.linalg.norm(joints[PALM_LENGTH_JOINT]))
        return RestHand(joints=joints * scale, tips=tips * scale, scale=scale, betas=b, sized=size is not None)

    def rest_vertices(self, rest: RestHand, chosen: ArrayLike | None = None) -> Array:
        """The unposed mesh (V, 3) of a rest hand, or its vertices `chosen` (N,) -> (N, 3).

        Canonical axes, metres, wrist joint at 0.
        """
        pick = slice(None) if chosen is None else np.asarray(chosen)
        origin = self.joints[0] + rest.betas @ self.joint_dirs[:, 0]
        dirs = self.shape_dirs[:, pick]
        shape = rest.betas @ dirs.reshape(len(dirs), -1)
        vertices: Array = (self.template[pick] + shape.reshape(-1, 3) - origin) * rest.scale
        return vertices

    def pose(self, rotation: ArrayLike, translation: ArrayLike, rest: RestHand) -> PosedHand:
        """Forward kinematics: rotation (T, 16, 4) w,x,y,z, translation (T, 3) metres."""
        turns = rotations.matrix_from_quaternion(rotation)
        frames = len(turns)
        # Each joint's rotation beside its bone, so that one product carries both to the camera.
        local = np.empty((frames, JOINT_COUNT, 3, 4))
        local[..., :3] = turns
        local[..., 3] = rest.joints - rest.joints[_PARENTS]
        orientation = np.empty_like(turns)
        points = np.empty((frames, KEYPOINT_COUNT, 3))
        orientation[:, 0] = turns[:, 0]
        points[:, 0] = translation
        for level, parents in _LEVELS:
            carried = orientation[:, parents] @ local[:, level]
            orientation[:, level] = carried[..., :3]
            points[:, level] = points[:, parents] + carried[..., 3]
        tip_bones = (rest.tips - rest.joints[_TIP_JOINTS])[..., None]
        tip_arms = orientation[:, _TIP_JOINTS] @ tip_bones
        points[:, JOINT_COUNT:] = points[:, _TIP_JOINTS] + tip_arms[..., 0]
        keypoints = points.take(_KEYPOINT_SOURCE, axis=1)
        return PosedHand(joints=points[:, :JOINT_COUNT], keypoints=keypoints, orientation=orientation)

    def keypoints(self, rotation: ArrayLike, translation: ArrayLike, rest: RestHand) -> Array:
        """The keypoints alone (T, 21, 3) of a long clip, posed piece by piece: no memory for the rest of it."""
        turns, places = np.asarray(rotation, np.float64), np.asarray(translation, np.float64)
        out = np.empty((len(turns), KEYPOINT_COUNT, 3))
        for first in range(0, len(turns), _PIECE):
            piece = slice(first, first + _PIECE)
            out[piece] = self.pose(turns[piece], places[piece], rest).keypoints
        return out

    def vertices(self, rotation: ArrayLike, translation: ArrayLike, rest: RestHand) -> Array:
        """The posed mesh (T, V, 3), metres, camera axes."""
        posed = self.pose(rotation, translation, rest)
        return self.skin(posed, rest, rotation)

    def skin(self, posed: PosedHand, rest: RestHand, rotation: ArrayLike, chosen: ArrayLike | None = None) -> Array:
        """Linear blend skinning of an already posed skeleton -> (T, V, 3), or (T, N, 3) of `chosen` (N,)."""
        pick = slice(None) if chosen is None else np.asarray(chosen)
        weights = self.weights[pick]
        points = self.rest_vertices(rest, chosen)
        frames, count = len(posed.joints), len(points)
        shift = posed.joints[..., None] - posed.orientation @ rest.joints[..., None]
        # One matrix product: every vertex as a sum over joints of weight times (position, 1).
        spread = np.concatenate([points, np.ones((count, 1))], axis=1)
        spread = (weights[:, :, None] * spread[:, None, :]).reshape(count, -1)
        affine = np.concatenate([posed.orientation, shift], axis=-1)
        columns = np.ascontiguousarray(affine.transpose(0, 2, 1, 3)).reshape(frames * 3, -1)
        skinned = np.swapaxes((columns @ spread.T).reshape(frames, 3, count), 1, 2)
        if self.pose_dirs is None:
            return np.ascontiguousarray(skinned)
        bend = (rotations.matrix_from_quaternion(rotation)[:, 1:] - np.eye(3)).reshape(frames, -1)
        dirs = self.pose_dirs[:, pick].reshape(len(self.pose_dirs), -1)
        offsets = (bend @ dirs).reshape(frames, count, 3, 1) * rest.scale
        blended = (weights @ posed.orientation.reshape(frames, JOINT_COUNT, 9)).reshape(frames, count, 3, 3)
        return skinned + (blended @ offsets)[..., 0]
