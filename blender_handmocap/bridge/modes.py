# SPDX-License-Identifier: GPL-3.0-or-later
"""Edit mode for a moment: rest bones move nowhere else, and the user must not notice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy

from ..engine.errors import BadInputError


@contextmanager
def editing_bones(armature: bpy.types.Object) -> Iterator[bpy.types.ArmatureEditBones]:
    """Yield the edit bones of an armature object; mode, active object, selection and visibility end as found.

    Edit mode belongs to the active object of the window's view layer, so the object is made active and visible there,
    linked for the while when it lives in another scene.
    """
    if armature.library is not None or armature.data.library is not None:
        raise BadInputError(
            f"The rest bones of {armature.name} cannot move because it is linked from another file; "
            "change its shape there."
        )
    view_layer = bpy.context.view_layer
    active = view_layer.objects.active
    if active is armature and active.mode == "EDIT":
        yield armature.data.edit_bones
        return
    found_modes = [(obj, obj.mode) for obj in view_layer.objects if obj.mode != "OBJECT"]
    active_mode = "OBJECT" if active is None else active.mode
    if active is not None and active_mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    selected = [obj for obj in view_layer.objects if obj.select_get(view_layer=view_layer)]
    linked_here = armature.name not in view_layer.objects
    if linked_here:
        view_layer.layer_collection.collection.objects.link(armature)
    hidden, hidden_everywhere = armature.hide_get(view_layer=view_layer), armature.hide_viewport
    armature.hide_viewport = False
    armature.hide_set(False, view_layer=view_layer)
    try:
        for obj in selected:
            obj.select_set(False, view_layer=view_layer)
        armature.select_set(True, view_layer=view_layer)
        view_layer.objects.active = armature
        bpy.ops.object.mode_set(mode="EDIT")
        yield armature.data.edit_bones
    finally:
        if armature.mode == "EDIT":
            bpy.ops.object.mode_set(mode="OBJECT")
        armature.select_set(False, view_layer=view_layer)
        if linked_here:
            view_layer.layer_collection.collection.objects.unlink(armature)
        else:
            armature.hide_set(hidden, view_layer=view_layer)
        armature.hide_viewport = hidden_everywhere
        _restore(view_layer, active, active_mode, selected, [obj for obj, mode in found_modes if mode == active_mode])


def _restore(
    view_layer: bpy.types.ViewLayer,
    active: bpy.types.Object | None,
    mode: str,
    selected: list[bpy.types.Object],
    in_mode: list[bpy.types.Object],
) -> None:
    # Entering pose or edit mode takes every selected object of the kind along, so select those that were in it first.
    if active is not None and mode != "OBJECT":
        for obj in in_mode:
            obj.select_set(True, view_layer=view_layer)
        view_layer.objects.active = active
        bpy.ops.object.mode_set(mode=mode)
        for obj in in_mode:
            obj.select_set(False, view_layer=view_layer)
    for obj in selected:
        obj.select_set(True, view_layer=view_layer)
    view_layer.objects.active = active
