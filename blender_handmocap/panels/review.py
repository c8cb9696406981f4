# SPDX-License-Identifier: GPL-3.0-or-later
"""Review and fix."""

from __future__ import annotations

import bpy

from ..bridge import engine_job, hand_rig
from ..bridge.take_on_rig import CONFIDENCE
from ..operators.review import PURPOSE, HANDMOCAP_OT_next_weak_frame, HANDMOCAP_OT_resolve
from .common import SidebarPanel, split


class HANDMOCAP_PT_review(SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_review"
    bl_label = "Review & Fix"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = split(self.layout)
        hand = context.object
        if hand_rig.side_of(hand) is not None and CONFIDENCE in hand:
            layout.progress(factor=hand[CONFIDENCE], type="BAR", text=f"{hand.name}: {hand[CONFIDENCE]:.0%} sure")
        layout.operator(HANDMOCAP_OT_next_weak_frame.bl_idname, icon="NEXT_KEYFRAME")
        column = layout.column(align=True)
        column.operator(HANDMOCAP_OT_resolve.bl_idname, text="Swap Left and Right", icon="ARROW_LEFTRIGHT").fix = "SWAP"
        column.operator(HANDMOCAP_OT_resolve.bl_idname, text="Hand Is Hidden", icon="HIDE_ON").fix = "HIDDEN"
        column.operator(HANDMOCAP_OT_resolve.bl_idname, text="Hand Is Not There", icon="X").fix = "ABSENT"
        column = layout.column()
        column.scale_y = 1.4
        column.operator(HANDMOCAP_OT_resolve.bl_idname, text="Solve Around Pose", icon="FILE_REFRESH").fix = "POSE"
        if engine_job.running(PURPOSE):
            state = engine_job.current(PURPOSE).state
            layout.progress(factor=state.share, type="BAR", text=state.line)
