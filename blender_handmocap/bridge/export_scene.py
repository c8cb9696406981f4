# SPDX-License-Identifier: GPL-3.0-or-later
"""Rigs with their motion through Blender's own exporters; selection, mode and active object end as found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import bpy

from ..engine.errors import BadInputError

FORMATS: Final = ("fbx", "glb")


def export_rigs(scene: bpy.types.Scene, armatures: Iterable[bpy.types.Object], path: Path, *, format: str) -> None:
    """Write armatures and the meshes they move with the motion of the scene's range, a key a frame."""
    rigs = list(armatures)
    if not rigs:
        raise BadInputError("There is nothing to export; apply a take to the hands, or choose a character.")
    objects = [*rigs, *(mesh for rig in rigs for mesh in _meshes_of(scene, rig))]
    operator = {"fbx": "export_scene.fbx", "glb": "export_scene.gltf"}[format]
    with _only_selected(objects):
        try:
            if format == "fbx":
                bpy.ops.export_scene.fbx(
                    filepath=str(path),
                    use_selection=True,
                    object_types={"ARMATURE", "MESH"},
                    add_leaf_bones=False,
                    bake_anim=True,
                    bake_anim_use_all_actions=False,
                    bake_anim_use_nla_strips=False,
                    bake_anim_simplify_factor=0.0,
                )
            else:
                bpy.ops.export_scene.gltf(
                    filepath=str(path),
                    export_format="GLB",
                    use_selection=True,
                    # What is selected in another scene is none of this one's business.
                    use_active_scene=True,
                    export_animations=True,
                    export_animation_mode="ACTIVE_ACTIONS",
                    export_force_sampling=True,
                    export_frame_range=True,
                    export_nla_strips_merged_animation_name="HandMocap",
                )
        except AttributeError as error:
            raise BadInputError(
                f"Blender's {format.upper()} exporter ({operator}) is switched off; enable it under Add-ons."
            ) from error
        except (RuntimeError, OSError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise BadInputError(f"{path} could not be written ({reason}); choose another place.") from error
    if not path.is_file():
        raise BadInputError(f"{path} could not be written; choose another folder.")


def _meshes_of(scene: bpy.types.Scene, armature: bpy.types.Object) -> Iterator[bpy.types.Object]:
    for obj in scene.objects:
        if obj.type == "MESH" and any(m.type == "ARMATURE" and m.object is armature for m in obj.modifiers):
            yield obj


@contextmanager
def _only_selected(objects: list[bpy.types.Object]) -> Iterator[None]:
    """Select objects alone, shown for the while; exporters pass over what is hidden."""
    view_layer = bpy.context.view_layer
    active = view_layer.objects.active
    mode = active.mode if active is not None else "OBJECT"
    if mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    selected = [obj for obj in view_layer.objects if obj.select_get(view_layer=view_layer)]
    inside = [obj for obj in objects if obj.name in view_layer.objects]
    hidden = [(obj, obj.hide_get(view_layer=view_layer), obj.hide_viewport) for obj in inside]
    try:
        for obj in selected:
            obj.select_set(False, view_layer=view_layer)
        for obj in inside:
            obj.hide_viewport = False
            obj.hide_set(False, view_layer=view_layer)
            obj.select_set(True, view_layer=view_layer)
        view_layer.objects.active = inside[0] if inside else None
        yield
    finally:
        for obj, was_hidden, everywhere in hidden:
            obj.select_set(False, view_layer=view_layer)
            obj.hide_set(was_hidden, view_layer=view_layer)
            obj.hide_viewport = everywhere
        for obj in selected:
            obj.select_set(True, view_layer=view_layer)
        view_layer.objects.active = active
        if mode != "OBJECT" and active is not None:
            bpy.ops.object.mode_set(mode=mode)
