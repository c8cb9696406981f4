# SPDX-License-Identifier: GPL-3.0-or-later
"""What an armature does over time, as Blender evaluates it: constraints, drivers, NLA and all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from ..engine import rotations

Array = NDArray[np.float64]
BoneProperty = tuple[str, str]
"""bone, custom property"""


@dataclass(frozen=True)
class RigMotion:
    """Matrices of some bones and of the armature object; T frames."""

    world: Array
    """(T, 4, 4) armature space to world"""
    posed: dict[str, Array]
    """bone -> (T, 4, 4) bone to armature space"""
    carried: dict[str, Array]
    """bone -> (T, 4, 4) the same before the bone's own rotation and location"""
    shift: dict[str, Array]
    """bone -> (T, 3, 3) columns: where each unit of its location moves it; not every bone tells it in its own axes"""
    values: dict[BoneProperty, Array] = field(default_factory=dict)
    """(T,) numbers in custom properties"""

    @property
    def turned(self) -> Array:
        """(T, 3, 3) the rotation of `world` alone."""
        return rotations.nearest_rotation(self.world[:, :3, :3])

    def rotation(self, bone: str) -> Array:
        """(T, 3, 3) bone to armature space, without scale."""
        return rotations.nearest_rotation(self.posed[bone][:, :3, :3])

    def carried_rotation(self, bone: str) -> Array:
        """(T, 3, 3) what the bone's own rotation is told in."""
        return rotations.nearest_rotation(self.carried[bone][:, :3, :3])

    def in_world(self, points: Array) -> Array:
        """Armature-space points (T, 3) in the world."""
        moved: Array = (self.world[:, :3, :3] @ points[..., None])[..., 0] + self.world[:, :3, 3]
        return moved

    def in_armature(self, points: Array) -> Array:
        """World points (T, 3) in armature space."""
        back = np.linalg.inv(self.world)
        moved: Array = (back[:, :3, :3] @ points[..., None])[..., 0] + back[:, :3, 3]
        return moved


def read(
    scene: bpy.types.Scene,
    armature: bpy.types.Object,
    bones: Iterable[str],
    times: Array,
    properties: Iterable[BoneProperty] = (),
) -> RigMotion:
    """Evaluate an armature at scene frames (T,); the scene's frame ends as found."""
    names, asked = list(dict.fromkeys(bones)), list(properties)
    if not moves(armature):
        return _stacked([_now(armature, names, asked)] * len(times), names, asked)
    current = scene.frame_current, scene.frame_subframe
    snapshots = []
    for time in times:
        whole = int(np.floor(time))
        scene.frame_set(whole, subframe=float(time - whole))
        snapshots.append(_now(armature, names, asked))
    scene.frame_set(current[0], subframe=current[1])
    return _stacked(snapshots, names, asked)


def _stacked(snapshots: list[RigMotion], names: list[str], asked: list[BoneProperty]) -> RigMotion:
    return RigMotion(
        np.array([now.world for now in snapshots]),
        {name: np.array([now.posed[name] for now in snapshots]) for name in names},
        {name: np.array([now.carried[name] for now in snapshots]) for name in names},
        {name: np.array([now.shift[name] for now in snapshots]) for name in names},
        {key: np.array([now.values[key] for now in snapshots]) for key in asked},
    )


def moves(armature: bpy.types.Object) -> bool:
    """Whether anything may move the armature or its bones over time."""
    objects = [armature]
    while objects[-1].parent is not None:
        objects.append(objects[-1].parent)
    animated = any(
        obj.animation_data is not None
        and (obj.animation_data.action is not None or obj.animation_data.nla_tracks or obj.animation_data.drivers)
        for obj in objects
    )
    return animated or any(obj.constraints for obj in objects) or any(b.constraints for b in armature.pose.bones)


def _now(armature: bpy.types.Object, names: list[str], asked: list[BoneProperty]) -> RigMotion:
    """The same at this moment, without the dimension of time."""
    evaluated = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
    posed, carried, shift = {}, {}, {}
    for name in names:
        bone = evaluated.pose.bones[name]
        posed[name] = np.array(bone.matrix, dtype=np.float64)
        carried[name] = _with_basis(bone, Matrix.Identity(4))
        steps = [_with_basis(bone, Matrix.Translation(Matrix.Identity(3)[axis])) for axis in range(3)]
        shift[name] = np.stack([step[:3, 3] - carried[name][:3, 3] for step in steps], axis=1)
    values = {(bone, name): np.float64(evaluated.pose.bones[bone][name]) for bone, name in asked}
    return RigMotion(np.array(evaluated.matrix_world, dtype=np.float64), posed, carried, shift, values)


def _with_basis(bone: bpy.types.PoseBone, basis: Matrix) -> Array:
    """(4, 4) where a bone would be, before constraints, with another rotation and location of its own."""
    rest = bone.bone.matrix_local
    if bone.parent is None:
        return np.array(bone.bone.convert_local_to_pose(basis, rest), dtype=np.float64)
    parent, parent_rest = bone.parent.matrix, bone.parent.bone.matrix_local
    moved = bone.bone.convert_local_to_pose(basis, rest, parent_matrix=parent, parent_matrix_local=parent_rest)
    return np.array(moved, dtype=np.float64)
