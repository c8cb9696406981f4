# SPDX-License-Identifier: GPL-3.0-or-later
"""Another take beside the one the hands show: on hands of its own, in another colour, at the same frames."""

from __future__ import annotations

from typing import Final

import bpy
from numpy.typing import ArrayLike

from ..engine.hand.names import SIDES
from ..engine.take import Take
from . import camera_path, hand_rig, take_on_rig

COLLECTION: Final = "HandMocap Comparison"
MATERIAL: Final = "HandMocap Comparison"
_COLOUR: Final = (0.1, 0.45, 1.0, 0.6)


def show(scene: bpy.types.Scene, take: Take, frames: ArrayLike, *, name: str) -> None:
    """Put a take on hands of the comparison at scene frames (T,); what was compared before goes."""
    clear(scene)
    # Only here: enabling the extension must not load the pipeline.
    from ..engine.pipeline import hand_models

    collection = bpy.data.collections.new(COLLECTION)
    scene.collection.children.link(collection)
    sides = [side for side in SIDES if take.track(side).present.any()]
    rigs = hand_rig.add_hands_of(scene, hand_models(take), sides)
    for rig in rigs.values():
        hand_rig.set_apart(rig, collection)
        rig.armature.name = f"Compared {rig.armature.name}"
        rig.mesh.data.materials[0] = _material()
    take_on_rig.apply(camera_path.in_world(take), rigs, frames, name=f"{name} Compared")
    for rig in rigs.values():
        rig.armature.animation_data.action.use_fake_user = False


def clear(scene: bpy.types.Scene) -> None:
    """Remove the hands of the comparison with all that was made for them."""
    for collection in [c for c in scene.collection.children if c.name.startswith(COLLECTION) and c.library is None]:
        for obj in list(collection.all_objects):
            animation, data, is_rig = obj.animation_data, obj.data, obj.type == "ARMATURE"
            action = animation.action if animation is not None else None
            bpy.data.objects.remove(obj)
            if data is not None and not data.users:
                (bpy.data.armatures if is_rig else bpy.data.meshes).remove(data)
            # With slots both hands share one action.
            if action is not None and not action.users:
                bpy.data.actions.remove(action)
        bpy.data.collections.remove(collection)


def shown(scene: bpy.types.Scene) -> bool:
    """Whether a comparison stands in the scene."""
    return any(c.name.startswith(COLLECTION) and c.library is None for c in scene.collection.children)


def _material() -> bpy.types.Material:
    found = bpy.data.materials.get(MATERIAL)
    if found is not None and found.library is None:
        return found
    material = bpy.data.materials.new(MATERIAL)
    material.diffuse_color = _COLOUR
    if material.node_tree is None:
        material.use_nodes = True
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = (*_COLOUR[:3], 1.0)
    shader.inputs["Alpha"].default_value = _COLOUR[3]
    return material
