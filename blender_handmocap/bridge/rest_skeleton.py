# SPDX-License-Identifier: GPL-3.0-or-later
"""An armature's rest skeleton as the engine's arrays."""

from __future__ import annotations

import bpy
import numpy as np

from ..engine.errors import BadInputError
from ..engine.rigs.skeleton import RestSkeleton


def read(armature: bpy.types.Object) -> RestSkeleton:
    """Every bone at rest in armature space, parents before children."""
    bones = list(armature.data.bones)
    if not bones:
        raise BadInputError(f"{armature.name} has no bones; choose the character's armature.")
    bones.sort(key=lambda bone: len(bone.parent_recursive))
    index = {bone.name: i for i, bone in enumerate(bones)}
    return RestSkeleton(
        names=tuple(index),
        parents=tuple(-1 if bone.parent is None else index[bone.parent.name] for bone in bones),
        heads=np.array([bone.head_local for bone in bones], dtype=np.float64),
        tails=np.array([bone.tail_local for bone in bones], dtype=np.float64),
        axes=np.array([bone.matrix_local.to_3x3() for bone in bones], dtype=np.float64),
    )
