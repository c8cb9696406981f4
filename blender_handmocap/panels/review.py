# SPDX-License-Identifier: GPL-3.0-or-later
"""Review and fix."""

from __future__ import annotations

from typing import Any, Final

import bpy

from ..bridge import drag_points, engine_job, hand_rig
from ..bridge.take_on_rig import CONFIDENCE
from ..operators.review import (
    PURPOSE,
    HANDMOCAP_OT_clear_points,
    HANDMOCAP_OT_next_weak_frame,
    HANDMOCAP_OT_resolve,
    HANDMOCAP_OT_show_points,
)
from .common import SidebarPanel, split

FIXES: Final = (
    ("SWAP", "Swap Left and Right", "ARROW_LEFTRIGHT"),
    ("HOLD", "Hold Pose", "PINNED"),
    ("HIDDEN", "Hand Is Hidden", "HIDE_ON"),
    ("ABSENT", "Delete Hand", "X"),
    ("CLEAR", "Forget Fixes", "LOOP_BACK"),
)


class HANDMOCAP_PT_review(SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_review"
    bl_label = "Review & Fix"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = split(self.layout)
        scene = context.scene
        for rig in hand_rig.find_hands(scene).values():
            if CONFIDENCE in rig.armature:
                sure = rig.armature[CONFIDENCE]
                layout.progress(factor=sure, type="BAR", text=f"{rig.side.capitalize()}: {sure:.0%} sure")
        layout.prop(scene.handmocap.review, "show_confidence", text="In Timeline")
        layout.prop(scene.handmocap.review, "changes")
        row = layout.row(align=True)
        row.operator(HANDMOCAP_OT_next_weak_frame.bl_idname, text="", icon="PREV_KEYFRAME").back = True
        row.operator(HANDMOCAP_OT_next_weak_frame.bl_idname, icon="NEXT_KEYFRAME").back = False
        self._draw_fixes(layout, context)
        row = layout.row(align=True)
        row.operator(HANDMOCAP_OT_show_points.bl_idname, icon="EMPTY_DATA")
        if drag_points.shown(scene):
            row.operator(HANDMOCAP_OT_clear_points.bl_idname, text="", icon="X")
        column = layout.column()
        column.scale_y = 1.4
        column.operator(HANDMOCAP_OT_resolve.bl_idname, text="Solve Around Changes", icon="FILE_REFRESH").fix = "POSE"
        if engine_job.running(PURPOSE):
            state = engine_job.current(PURPOSE).state
            layout.progress(factor=state.share, type="BAR", text=state.line)

    def _draw_fixes(self, layout: Any, context: bpy.types.Context) -> None:
        scene = context.scene
        side = hand_rig.side_of(context.object)
        column = layout.column(align=True)
        where = (
            f"Frames {scene.frame_preview_start} to {scene.frame_preview_end}"
            if scene.use_preview_range
            else f"Frame {scene.frame_current}"
        )
        column.label(text=f"{where}, {side or 'no'} hand selected")
        for fix, text, icon in FIXES:
            row = column.row(align=True)
            row.enabled = fix == "SWAP" or side is not None
            row.operator(HANDMOCAP_OT_resolve.bl_idname, text=text, icon=icon).fix = fix
