# SPDX-License-Identifier: GPL-3.0-or-later
"""From footage to keys, in the order of the work."""

from __future__ import annotations

from typing import Any

import bpy

from ..bridge import engine_job
from ..operators import preview_picture
from ..operators.capture import PURPOSE, HANDMOCAP_OT_cancel_capture, HANDMOCAP_OT_capture
from ..operators.clean_up import HANDMOCAP_OT_polish_take
from ..operators.export_take import HANDMOCAP_OT_export_take
from ..operators.live import PURPOSE as LIVE, HANDMOCAP_OT_live
from ..operators.take_list import HANDMOCAP_OT_add_take, HANDMOCAP_OT_apply_take, HANDMOCAP_OT_remove_take
from .common import ClipPanel, SidebarPanel, split


class _Footage:
    bl_label = "Footage"

    def draw(self, context: bpy.types.Context) -> None:
        layout = split(self.layout)
        chosen = context.scene.handmocap
        column = layout.column()
        row = column.row()
        row.enabled = chosen.clip is None
        row.prop(chosen, "footage", text="File")
        column.prop(chosen, "clip", text="or Clip")
        column = layout.column(heading="Range")
        column.prop(chosen, "use_range", text="Part")
        if chosen.use_range:
            pair = column.column(align=True)
            pair.prop(chosen, "range_start")
            pair.prop(chosen, "range_end")
        layout.prop(chosen, "hands")
        layout.prop(chosen, "mirrored")
        column = layout.column(heading="Performer")
        column.prop(chosen, "use_region", text="Box")
        if chosen.use_region:
            pair = column.column(align=True)
            for index, name in enumerate(("Left", "Top", "Right", "Bottom")):
                pair.prop(chosen, "region", index=index, text=name)
        layout.prop(chosen, "lens")
        if chosen.lens == "FOV":
            layout.prop(chosen, "fov", text="View")
        elif chosen.lens == "FOCAL":
            layout.prop(chosen, "focal", text="Focal")
        elif chosen.lens == "CAMERA" and context.scene.camera is None:
            layout.label(text="The scene has no camera.", icon="ERROR")


class _Capture:
    bl_label = "Capture"

    def draw(self, context: bpy.types.Context) -> None:
        layout = split(self.layout)
        chosen = context.scene.handmocap
        column = layout.column()
        column.enabled = not engine_job.running(PURPOSE)
        column.prop(chosen, "use_palm")
        if chosen.use_palm:
            column.prop(chosen, "palm", text="Palm (mm)")
        column.prop(chosen, "calibrate", text="Proportions")
        column.prop(chosen, "apply_when_done")
        if engine_job.running(PURPOSE):
            _draw_progress(layout)
            return
        column = layout.column()
        column.scale_y = 1.4
        column.operator(HANDMOCAP_OT_capture.bl_idname, icon="REC").resume = False
        layout.operator(HANDMOCAP_OT_capture.bl_idname, text="Resume", icon="PLAY").resume = True
        job = engine_job.current(PURPOSE)
        if job is not None and job.state.error:
            draw_sentence(layout, job.state.error, "ERROR")


def _draw_progress(layout: Any) -> None:
    state = engine_job.current(PURPOSE).state
    layout.progress(factor=state.share, type="BAR", text=f"{state.done} / {state.total or '?'}")
    layout.label(text=state.line)
    layout.operator(HANDMOCAP_OT_cancel_capture.bl_idname, icon="CANCEL")
    if preview_picture.icon():
        layout.template_icon(preview_picture.icon(), scale=10.0)


def draw_sentence(layout: Any, text: str, icon: str) -> None:
    """A sentence broken into lines that fit the sidebar."""
    column = layout.column(align=True)
    line = ""
    for word in [*text.split(), ""]:
        if word and len(line) + len(word) < 38:
            line = f"{line} {word}".strip()
            continue
        column.label(text=line, icon=icon)
        line, icon = word, "BLANK1"
    if line:
        column.label(text=line, icon=icon)


class HANDMOCAP_PT_footage(_Footage, SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_footage"


class HANDMOCAP_PT_clip_footage(_Footage, ClipPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_clip_footage"


class HANDMOCAP_PT_capture(_Capture, SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_capture"


class HANDMOCAP_PT_clip_capture(_Capture, ClipPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_clip_capture"


class HANDMOCAP_PT_live(SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_live"
    bl_label = "Live"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = split(self.layout)
        chosen = context.scene.handmocap
        layout.prop(chosen, "live_source")
        layout.prop(chosen, "live_record")
        layout.operator(HANDMOCAP_OT_live.bl_idname, icon="OUTLINER_OB_CAMERA")
        if engine_job.running(LIVE):
            layout.label(text=engine_job.current(LIVE).state.line)
            if preview_picture.icon():
                layout.template_icon(preview_picture.icon(), scale=10.0)


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
        if 0 <= chosen.take_index < len(chosen.takes) and chosen.takes[chosen.take_index].summary:
            draw_sentence(layout, chosen.takes[chosen.take_index].summary, "INFO")
        layout.prop(chosen, "timing")
        layout.prop(chosen, "push_down", text="Push Down")
        layout.operator(HANDMOCAP_OT_apply_take.bl_idname, icon="CHECKMARK")


class HANDMOCAP_PT_clean_up(SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_clean_up"
    bl_label = "Clean Up"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = split(self.layout)
        chosen = context.scene.handmocap
        layout.prop(chosen, "smoothing")
        layout.prop(chosen, "gaps")
        layout.prop(chosen, "longest_gap")
        layout.operator(HANDMOCAP_OT_polish_take.bl_idname, icon="SMOOTHCURVE")


class HANDMOCAP_PT_export(SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_export"
    bl_label = "Export"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.operator(HANDMOCAP_OT_export_take.bl_idname, icon="EXPORT")
