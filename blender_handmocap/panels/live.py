# SPDX-License-Identifier: GPL-3.0-or-later
"""Live: what a camera moves, how late it is, and recording it."""

from __future__ import annotations

from typing import Any

import bpy

from ..bridge import engine_job
from ..operators import preview_picture
from ..operators.live import (
    PURPOSE,
    HANDMOCAP_OT_live,
    HANDMOCAP_OT_record,
    HANDMOCAP_OT_recover_recordings,
    HANDMOCAP_OT_stop_live,
)
from .common import SidebarPanel, draw_sentence, split
from .footage import draw_camera


class HANDMOCAP_PT_live(SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_live"
    bl_label = "Live"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = split(self.layout)
        if engine_job.running(PURPOSE):
            _draw_running(layout)
            return
        chosen = context.scene.handmocap
        draw_camera(layout, chosen)
        layout.prop(chosen, "live_target")
        if chosen.live_target == "CHARACTER" and chosen.character is None:
            draw_sentence(layout, "Choose the character under Character first.", "ERROR")
        layout.prop(chosen, "live_mirror")
        layout.prop(chosen, "live_countdown")
        column = layout.column(align=True)
        column.scale_y = 1.4
        column.operator(HANDMOCAP_OT_live.bl_idname, icon="OUTLINER_OB_CAMERA").record = False
        column.operator(HANDMOCAP_OT_live.bl_idname, text="Start and Record", icon="REC").record = True
        layout.operator(HANDMOCAP_OT_recover_recordings.bl_idname, icon="RECOVER_LAST")
        layout.label(text="Pictures never leave this machine.", icon="LOCKED")
        job = engine_job.current(PURPOSE)
        if job is not None and job.state.error:
            draw_sentence(layout, job.state.error, "ERROR")
        elif job is not None and job.state.summary:
            for sentence in (job.state.summary, *job.state.notes):
                draw_sentence(layout, sentence, "INFO")


def _draw_running(layout: Any) -> None:
    state = engine_job.current(PURPOSE).state
    draw_sentence(layout, state.line, "OUTLINER_OB_CAMERA")
    if preview_picture.icon():
        layout.template_icon(preview_picture.icon(), scale=10.0)
    row = layout.row()
    row.scale_y = 1.4
    if state.countdown is not None:
        row.label(text=f"Recording in {state.countdown:.0f}", icon="TIME")
    elif state.recording:
        row.label(text="Recording", icon="RADIOBUT_ON")
    else:
        row.operator(HANDMOCAP_OT_record.bl_idname, icon="REC")
    layout.operator(HANDMOCAP_OT_stop_live.bl_idname, icon="CANCEL")
