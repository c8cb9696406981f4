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
_JOINT_KEYPOINTS: Final = np.array(KEYPOINT_OF_JOINT)
_TIPS: Final = np.array(TIP_KEYPOINTS)
_TIP_JOINTS: Final = np.array(TIP_JOINTS)


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
        return RestHand(joints=joints * scale, tips=tips * scale, scale=scale, betas=b)

    def rest_vertices(self, rest: RestHand) -> Array:
        """The unposed mesh (V, 3) of a rest hand, canonical axes, metres, wrist joint at 0."""
        origin = self.joints[0] + np.tensordot(rest.betas, self.joint_dirs[:, 0], 1)
        return (self.template + np.tensordot(rest.betas, self.shape_dirs, 1) - origin) * rest.scale

    def pose(self, rotation: ArrayLike, translation: ArrayLike, rest: RestHand) -> PosedHand:
        """Forward kinematics: rotation (T, 16, 4) w,x,y,z, translation (T, 3) metres."""
        local = rotations.matrix_from_quaternion(rotation)
        orientation = np.empty_like(local)
        joints = np.empty((len(local), JOINT_COUNT, 3))
        orientation[:, 0], joints[:, 0] = local[:, 0], np.asarray(translation, dtype=np.float64)
        for j in range(1, JOINT_COUNT):
            parent = JOINT_PARENTS[j]
            joints[:, j] = joints[:, parent] + orientation[:, parent] @ (rest.joints[j] - rest.joints[parent])
            orientation[:, j] = orientation[:, parent] @ local[:, j]
        keypoints = np.empty((len(local), KEYPOINT_COUNT, 3))
        keypoints[:, _JOINT_KEYPOINTS] = joints
        bones = rest.tips - rest.joints[_TIP_JOINTS]
        keypoints[:, _TIPS] = joints[:, _TIP_JOINTS] + np.einsum("tfij,fj->tfi", orientation[:, _TIP_JOINTS], bones)
        return PosedHand(joints=joints, keypoints=keypoints, orientation=orientation)

    def vertices(self, rotation: ArrayLike, translation: ArrayLike, rest: RestHand) -> Array:
        """The posed mesh (T, V, 3), metres, camera axes."""
        posed = self.pose(rotation, translation, rest)
        return self.skin(posed, rest, rotation)

    def skin(self, posed: PosedHand, rest: RestHand, rotation: ArrayLike) -> Array:
        """Linear blend skinning of an already posed skeleton -> (T, V, 3)."""
        shift = posed.joints - np.einsum("tjab,jb->tja", posed.orientation, rest.joints)
        base = self.rest_vertices(rest)
        frames = len(posed.joints)
        affine = np.concatenate([posed.orientation, shift[..., None]], axis=-1).reshape(frames, JOINT_COUNT, 12)
        blended = (self.weights @ affine).reshape(frames, -1, 3, 4)
        points: Array = np.broadcast_to(base, (frames, *base.shape))
        if self.pose_dirs is not None:
            bend = rotations.matrix_from_quaternion(rotation)[:, 1:] - np.eye(3)
            points = points + np.tensordot(bend.reshape(frames, -1), self.pose_dirs, 1) * rest.scale
        return np.einsum("tvab,tvb->tva", blended[..., :3], points) + blended[..., 3]
