# SPDX-License-Identifier: GPL-3.0-or-later
"""Clean up."""

from __future__ import annotations

import bpy

from ..operators.clean_up import HANDMOCAP_OT_polish_take, HANDMOCAP_OT_thin_keys
from .common import SidebarPanel, split


class HANDMOCAP_PT_clean_up(SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_clean_up"
    bl_label = "Clean Up"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = split(self.layout)
        chosen = context.scene.handmocap
        clean = chosen.clean_up
        layout.prop(chosen, "smoothing")
        row = layout.row(heading="Place")
        row.prop(clean, "place_apart", text="")
        place = row.row()
        place.enabled = clean.place_apart
        place.prop(clean, "place_smoothing", text="")
        layout.prop(clean, "limits")
        layout.prop(chosen, "gaps")
        if chosen.gaps != "none":
            layout.prop(chosen, "longest_gap")
        layout.operator(HANDMOCAP_OT_polish_take.bl_idname, icon="SMOOTHCURVE")
        layout.separator()
        layout.prop(clean, "thinning", text="Keys")
        if clean.thinning != "POSES":
            layout.prop(clean, "error")
        row = layout.row(align=True)
        row.operator(HANDMOCAP_OT_thin_keys.bl_idname, text="Thin Hands", icon="KEYFRAME_HLT").character = False
        row.operator(HANDMOCAP_OT_thin_keys.bl_idname, text="Thin Character").character = True
