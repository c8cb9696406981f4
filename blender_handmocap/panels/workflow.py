# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes, their clean-up, and files for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ..bridge import compare, takes
from ..operators.several_takes import (
    HANDMOCAP_OT_compare_takes,
    HANDMOCAP_OT_stop_comparing,
    HANDMOCAP_OT_use_range,
)
from ..operators.take_list import HANDMOCAP_OT_add_take, HANDMOCAP_OT_apply_take, HANDMOCAP_OT_remove_take
from .common import SidebarPanel, draw_sentence, split


class HANDMOCAP_UL_takes(bpy.types.UIList):
    bl_idname = "HANDMOCAP_UL_takes"

    def draw_item(
        self, context: bpy.types.Context, layout: Any, data: Any, item: Any, icon: int, active_data: Any, active: str
    ) -> None:
        layout.prop(item, "name", text="", emboss=False, icon="ACTION")


class HANDMOCAP_PT_takes(SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_takes"
    bl_label = "Takes"

    def draw(self, context: bpy.types.Context) -> None:
        layout = split(self.layout)
        chosen = context.scene.handmocap
        row = layout.row()
        row.template_list(HANDMOCAP_UL_takes.bl_idname, "", chosen, "takes", chosen, "take_index", rows=3)
        buttons = row.column(align=True)
        buttons.operator(HANDMOCAP_OT_add_take.bl_idname, text="", icon="ADD")
        buttons.operator(HANDMOCAP_OT_remove_take.bl_idname, text="", icon="REMOVE")
        if 0 <= chosen.take_index < len(chosen.takes):
            _draw_selected(layout, chosen.takes[chosen.take_index])
        layout.prop(chosen, "timing")
        layout.prop(chosen, "push_down", text="Push Down")
        column = layout.column()
        column.scale_y = 1.4
        column.operator(HANDMOCAP_OT_apply_take.bl_idname, icon="CHECKMARK")


def _draw_selected(layout: Any, entry: Any) -> None:
    if takes.found(entry.path) is None:
        draw_sentence(layout, f"{Path(entry.path).name} is gone; put it back beside the .blend.", "ERROR")
    if entry.summary:
        draw_sentence(layout, entry.summary, "INFO")
    for note in entry.notes.splitlines():
        draw_sentence(layout, note, "ERROR" if "damaged" in note else "QUESTION")


class HANDMOCAP_PT_several_takes(SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_several_takes"
    bl_label = "Compare and Combine"
    bl_parent_id = "HANDMOCAP_PT_takes"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = split(self.layout)
        scene = context.scene
        layout.prop_search(scene.handmocap, "other_take", scene.handmocap, "takes", text="Other Take", icon="ACTION")
        row = layout.row(align=True)
        row.operator(HANDMOCAP_OT_compare_takes.bl_idname, icon="MOD_MIRROR")
        if compare.shown(scene):
            row.operator(HANDMOCAP_OT_stop_comparing.bl_idname, text="", icon="X")
        text = "Use Its Range"
        if scene.use_preview_range:
            text = f"Use Its Frames {scene.frame_preview_start} to {scene.frame_preview_end}"
        layout.operator(HANDMOCAP_OT_use_range.bl_idname, text=text, icon="PREVIEW_RANGE")
