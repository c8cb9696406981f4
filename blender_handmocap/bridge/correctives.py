# SPDX-License-Identifier: GPL-3.0-or-later
"""Pose correctives of a hand model as driven shape keys.

A model's correctives are offsets a unit of each entry of R - I, R a joint's rotation in canonical axes. With c the
fixed rotation from canonical axes to the bone's, R = c^T Q c for the bone's own rotation Q, so the offsets are turned
into the bone's axes once, and each key is driven by one entry of Q - I. The drivers are plain arithmetic on the
bone's local quaternion: Blender evaluates them without Python, whatever the bone's rotation mode.
"""

from __future__ import annotations

from typing import Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..engine.hand.model import HandModel
from ..engine.hand.names import JOINT_COUNT
from .frames import ARMATURE_FROM_CANONICAL, RigFrames, armature_points

Array = NDArray[np.float64]

_ENTRY: Final = {
    "xx": "-2*(y*y+z*z)", "xy": "2*(x*y-w*z)", "xz": "2*(x*z+w*y)",
    "yx": "2*(x*y+w*z)", "yy": "-2*(x*x+z*z)", "yz": "2*(y*z-w*x)",
    "zx": "2*(x*z-w*y)", "zy": "2*(y*z+w*x)", "zz": "-2*(x*x+y*y)",
}  # fmt: skip
"""Entries of Q - I, row by row, for a unit quaternion."""


def add_correctives(
    mesh: bpy.types.Object, armature: bpy.types.Object, model: HandModel, frames: RigFrames, bones: list[str]
) -> None:
    """Add a driven key to `mesh` for each entry of each joint's rotation; `bones` in MANO's order."""
    offsets = bone_offsets(model, frames)
    basis = np.empty(3 * len(mesh.data.vertices), np.float32)
    mesh.data.shape_keys.key_blocks[0].data.foreach_get("co", basis)
    for joint in range(1, JOINT_COUNT):
        for entry, (name, expression) in enumerate(_ENTRY.items()):
            key = mesh.shape_key_add(name=f"{bones[joint]} {name}", from_mix=False)
            key.slider_min, key.slider_max = -2.0, 1.0
            key.data.foreach_set("co", basis + offsets[joint - 1, entry].astype(np.float32).ravel())
            _drive(key, armature, bones[joint], expression)


def bone_offsets(model: HandModel, frames: RigFrames) -> Array:
    """(15, 9, V, 3) offsets in armature space a unit of each entry of Q - I, Q in the bone's axes."""
    assert model.pose_dirs is not None
    canonical = armature_points(model.pose_dirs, model.side).reshape(JOINT_COUNT - 1, 3, 3, -1, 3)
    c = np.swapaxes(frames.rest[1:], -1, -2) @ ARMATURE_FROM_CANONICAL[model.side]
    return np.einsum("jka,jlb,jabvx->jklvx", c, c, canonical).reshape(JOINT_COUNT - 1, 9, -1, 3)


def _drive(key: bpy.types.ShapeKey, armature: bpy.types.Object, bone: str, expression: str) -> None:
    driver = key.driver_add("value").driver
    driver.type = "SCRIPTED"
    for component in "wxyz":
        if component not in expression:
            continue
        variable = driver.variables.new()
        variable.name, variable.type = component, "TRANSFORMS"
        target = variable.targets[0]
        target.id, target.bone_target = armature, bone
        target.transform_type, target.transform_space = f"ROT_{component.upper()}", "LOCAL_SPACE"
        target.rotation_mode = "QUATERNION"
    driver.expression = expression
