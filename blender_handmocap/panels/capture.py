# SPDX-License-Identifier: GPL-3.0-or-later
"""Capturing: what will be done, how far it is, what came of it."""

from __future__ import annotations

from typing import Any

import bpy

from .. import preferences
from ..bridge import engine_job
from ..operators import preview_picture
from ..operators.capture import PURPOSE, HANDMOCAP_OT_cancel_capture, HANDMOCAP_OT_capture
from ..operators.capture_again import HANDMOCAP_OT_capture_mirrored
from ..operators.live import HANDMOCAP_OT_live
from ..operators.resume import HANDMOCAP_OT_resume_capture
from .common import ClipPanel, SidebarPanel, draw_sentence, split


class _Capture:
    bl_label = "Capture"

    def draw(self, context: bpy.types.Context) -> None:
        layout = split(self.layout)
        if engine_job.running(PURPOSE):
            _draw_progress(layout)
            return
        chosen = context.scene.handmocap
        column = layout.column(heading="Performer")
        row = column.row()
        row.prop(chosen, "use_performer", text=chosen.performer or f"{chosen.palm:.1f} mm Palm")
        row = column.row()
        row.active = not chosen.use_performer
        row.prop(chosen, "calibrate", text="Shape from Footage")
        if preferences.has_mano(context):
            column.prop(chosen, "use_mano")
        column = layout.column(heading="When Done")
        column.prop(chosen, "apply_when_done", text="Apply to Hands")
        if chosen.apply_when_done:
            column.prop(chosen, "show_part")
            column.prop(chosen, "look_through", text="Camera View")
        column = layout.column()
        column.scale_y = 1.4
        if chosen.source == "CAMERA":
            column.operator(HANDMOCAP_OT_live.bl_idname, text="Record", icon="REC").record = True
            return
        column.operator(HANDMOCAP_OT_capture.bl_idname, icon="REC").resume = False
        layout.operator(HANDMOCAP_OT_resume_capture.bl_idname, icon="PLAY")
        _draw_result(layout)


def _draw_progress(layout: Any) -> None:
    state = engine_job.current(PURPOSE).state
    layout.progress(factor=state.share, type="BAR", text=state.counted)
    # The same rows all the time: a layout that jumps is hard to hit.
    draw_sentence(layout, state.line if state.cancelling else state.pace or "Getting ready", "TIME")
    layout.operator(HANDMOCAP_OT_cancel_capture.bl_idname, icon="CANCEL")
    if preview_picture.icon():
        layout.template_icon(preview_picture.icon(), scale=10.0)


def _draw_result(layout: Any) -> None:
    job = engine_job.current(PURPOSE)
    if job is None:
        return
    if job.state.error:
        draw_sentence(layout, job.state.error, "ERROR")
    for note in job.state.notes:
        draw_sentence(layout, note, "INFO")
        if "mirror" in note:
            layout.operator(HANDMOCAP_OT_capture_mirrored.bl_idname, icon="MOD_MIRROR")


class HANDMOCAP_PT_capture(_Capture, SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_capture"


class HANDMOCAP_PT_clip_capture(_Capture, ClipPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_clip_capture"
