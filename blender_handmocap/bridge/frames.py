# SPDX-License-Identifier: GPL-3.0-or-later
"""Axes: the only place that turns the camera's axes into Blender's, and a Take's rotations into a bone's.

Three sets of axes meet here. *Camera*: x right, y down, z forward, as a Take stores them. *World*:
Blender's, z up; the camera stands at the origin and looks along +Y, so world = (x, z, -y). *Canonical*:
the hand's own (right: fingers -x, back of the hand +y, thumb +z; left: its reflection in x). A hand rig
rests in its armature's space with the palm down and the fingers along +Y.

Quaternions are (w, x, y, z); matrices act on column vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..engine import rotations
from ..engine.hand.names import Side

Array = NDArray[np.float64]

WORLD_FROM_CAMERA: Final = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""(3, 3) camera axes to Blender's world axes, for the camera at the origin looking along +Y."""

ARMATURE_FROM_CANONICAL: Final[dict[Side, Array]] = {
    "right": np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
    "left": np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
}
"""(3, 3) canonical axes to the armature's, at rest: fingers to +Y, back of the hand to +Z. The two rigs
mirror each other in X, so Blender's mirrored paste of a pose works between them."""


def world_points(camera_points: ArrayLike) -> Array:
    """Points (..., 3) from camera axes to world axes; the unit stays."""
    return np.asarray(camera_points, dtype=np.float64) @ WORLD_FROM_CAMERA.T


def camera_points(world: ArrayLike) -> Array:
    """Points (..., 3) from world axes to camera axes; the unit stays."""
    return np.asarray(world, dtype=np.float64) @ WORLD_FROM_CAMERA


def armature_points(canonical_points: ArrayLike, side: Side) -> Array:
    """Points (..., 3) of a resting hand from canonical axes to its armature's; the unit stays."""
    return np.asarray(canonical_points, dtype=np.float64) @ ARMATURE_FROM_CANONICAL[side].T


@dataclass(frozen=True)
class RigFrames:
    """Rest axes of a hand rig's 16 joint bones, and what they make of a Take's rotations.

    A finger joint's rotation R (canonical axes, relative to the parent) turns, in the axes of its bone, into
    B^T M R M^T B, with B the bone's rest axes in the armature and M canonical to armature. The wrist's takes
    canonical to camera, so the bone turns by B^T W R M^T B, with W camera to world. Both hold for an armature
    object without rotation at the origin; moving the object moves hand and camera apart, which is the user's wish.
    """

    side: Side
    rest: Array
    """(16, 3, 3) columns: the bones' X, Y and Z axes in armature space, at rest"""
    origin: Array
    """(3,) metres: the wrist bone's head in armature space, at rest"""

    def bone_rotations(self, rotation: ArrayLike) -> Array:
        """A Take's rotations (..., 16, 4) -> pose bone rotations (..., 16, 4)."""
        before, after = self._sides()
        return rotations.multiply(rotations.multiply(before, rotation), after)

    def take_rotations(self, bone_rotation: ArrayLike) -> Array:
        """Pose bone rotations (..., 16, 4) -> a Take's rotations (..., 16, 4)."""
        before, after = self._sides()
        inner = rotations.multiply(rotations.conjugate(before), bone_rotation)
        return rotations.multiply(inner, rotations.conjugate(after))

    def bone_location(self, translation: ArrayLike) -> Array:
        """Wrist joints (..., 3), metres in camera axes -> the wrist bone's location (..., 3)."""
        return (world_points(translation) - self.origin) @ self.rest[0]

    def take_translation(self, location: ArrayLike) -> Array:
        """The wrist bone's location (..., 3) -> wrist joints (..., 3), metres in camera axes."""
        return camera_points(np.asarray(location, dtype=np.float64) @ self.rest[0].T + self.origin)

    def _sides(self) -> tuple[Array, Array]:
        """Quaternions (16, 4) to multiply a Take's rotations with from the left and from the right."""
        canonical = ARMATURE_FROM_CANONICAL[self.side]
        left = np.swapaxes(self.rest, -1, -2) @ canonical
        after = np.swapaxes(left, -1, -2).copy()
        before = left.copy()
        before[0] = self.rest[0].T @ WORLD_FROM_CAMERA
        return rotations.quaternion_from_matrix(before), rotations.quaternion_from_matrix(after)
