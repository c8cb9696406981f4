# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of takes: put one on the hands, add and remove."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import bpy
from bpy_extras.io_utils import ImportHelper

from ..bridge import performers, scene as take_scene, take_list, windows
from ..bridge.timing import Timing
from ..engine.take import load_take
from .reporting import Result, properties, told


def has_take(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """For `poll`: whether a take is selected."""
    if take_list.selected(context.scene) is None:
        cls.poll_message_set("Capture a clip or add a take first")
        return False
    return True


class HANDMOCAP_OT_apply_take(bpy.types.Operator):
    bl_idname = "handmocap.apply_take"
    bl_label = "Apply to Hands"
    bl_description = "Put the selected take on the scene's hands, which are made when missing, in an action of its own"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_take(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._apply(context))

    def _apply(self, context: bpy.types.Context) -> Iterable[str]:
        chosen = properties(context)
        take = load_take(take_list.selected_path(context.scene))
        applied = take_scene.apply_take(
            context.scene,
            take,
            name=take_list.selected(context.scene).name,
            how=None if chosen.timing == "AUTO" else Timing(chosen.timing),
            push_down=chosen.push_down,
            keep_shape=chosen.lock_shape,
        )
        if not chosen.lock_shape:
            performers.follow(context.scene, take)
        if chosen.look_through and applied.camera is not None:
            windows.look_through_camera(context)
        return applied.notes


class HANDMOCAP_OT_add_take(bpy.types.Operator, ImportHelper):
    bl_idname = "handmocap.add_take"
    bl_label = "Add Take"
    bl_description = "Add a take file to the list"
    bl_options = {"REGISTER", "UNDO"}

    filename_ext = ".npz"
    filter_glob: bpy.props.StringProperty(default="*.npz", options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._add(context))

    def _add(self, context: bpy.types.Context) -> Iterable[str]:
        path = Path(bpy.path.abspath(self.filepath))
        take = load_take(path)
        take_list.add(context.scene, path, summary=f"{len(take)} frames at {take.rate:.5g} a second")
        return ()


class HANDMOCAP_OT_remove_take(bpy.types.Operator):
    bl_idname = "handmocap.remove_take"
    bl_label = "Remove Take"
    bl_description = "Take it off the list; its file and its action stay"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_take(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        chosen = properties(context)
        chosen.takes.remove(chosen.take_index)
        chosen.take_index = max(0, min(chosen.take_index, len(chosen.takes) - 1))
        return {"FINISHED"}
