# SPDX-License-Identifier: GPL-3.0-or-later
"""An armature in its scene, and how rotations become channels: what all ways of moving a character share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import bpy
import numpy as np
from numpy.typing import NDArray

from ..engine import rotations
from ..engine.rigs.arm import Arm
from ..engine.rigs.skeleton import RestSkeleton
from . import rig_motion
from .channels import BoneChannel
from .rig_motion import RigMotion

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rig:
    """An armature in its scene."""

    scene: bpy.types.Scene
    armature: bpy.types.Object
    skeleton: RestSkeleton

    def motion(
        self, bones: Iterable[str], times: Array, properties: Iterable[rig_motion.BoneProperty] = ()
    ) -> RigMotion:
        return rig_motion.read(self.scene, self.armature, bones, times, properties)

    def rest(self, bone: str) -> Array:
        """(3, 3) rest axes of a bone in armature space."""
        axes: Array = self.skeleton.axes[self.skeleton.index[bone]]
        return axes

    def head(self, bone: str) -> Array:
        """(3,) rest head of a bone in armature space."""
        head: Array = self.skeleton.heads[self.skeleton.index[bone]]
        return head

    def length(self, arm: Arm) -> float:
        """Shoulder to wrist over the elbow, armature units."""
        heads = self.skeleton.heads
        upper, lower = heads[arm.lower] - heads[arm.upper], heads[arm.wrist] - heads[arm.lower]
        return float(np.linalg.norm(upper) + np.linalg.norm(lower))


def rotation_channel(bone: str, basis: Array) -> BoneChannel:
    """A bone's own rotations (T, 3, 3) as a channel without jumps."""
    return BoneChannel(bone, rotations.continuous(rotations.quaternion_from_matrix(basis)))


def transposed(matrix: Array) -> Array:
    """Matrices (..., 3, 3) the other way round."""
    return np.swapaxes(matrix, -1, -2)
