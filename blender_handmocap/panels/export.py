# SPDX-License-Identifier: GPL-3.0-or-later
"""Onto the character, and to and from other programs."""

from __future__ import annotations

from typing import Any

import bpy

from ..bridge import bake_preview, engine_job
from ..operators.character import (
    HANDMOCAP_OT_bake_character,
    HANDMOCAP_OT_leave_preview,
    HANDMOCAP_OT_preview_character,
)
from ..operators.export_take import HANDMOCAP_OT_export_take
from ..operators.import_results import PURPOSE, HANDMOCAP_OT_import_results
from .common import SidebarPanel, split


class HANDMOCAP_PT_export(SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_export"
    bl_label = "Bake & Export"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = split(self.layout)
        _draw_bake(layout, context)
        layout.separator()
        column = layout.column()
        column.operator_context = "INVOKE_DEFAULT"
        column.operator(HANDMOCAP_OT_export_take.bl_idname, icon="EXPORT")
        column.operator(HANDMOCAP_OT_import_results.bl_idname, icon="IMPORT")
        if engine_job.running(PURPOSE):
            state = engine_job.current(PURPOSE).state
            column.progress(factor=state.share, type="BAR", text=state.line)


def _draw_bake(layout: Any, context: bpy.types.Context) -> None:
    chosen = context.scene.handmocap
    how = chosen.retarget
    column = layout.column()
    column.prop(chosen, "character_offset")
    column.prop_search(how, "sync_marker", context.scene, "timeline_markers", text="Marker")
    if how.sync_marker:
        column.prop(how, "sync_frame")
    column = layout.column(heading="Range")
    column.prop(how, "use_range", text="Part")
    if how.use_range:
        pair = column.column(align=True)
        pair.prop(how, "range_start")
        pair.prop(how, "range_end")
    layout.prop(how, "edited")
    row = layout.row(align=True)
    row.operator(HANDMOCAP_OT_preview_character.bl_idname, icon="HIDE_OFF")
    if bake_preview.shown(chosen.character):
        row.operator(HANDMOCAP_OT_leave_preview.bl_idname, text="", icon="LOOP_BACK")
    column = layout.column()
    column.scale_y = 1.4
    column.operator(HANDMOCAP_OT_bake_character.bl_idname, icon="KEYFRAME")
