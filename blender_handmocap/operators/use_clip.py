# SPDX-License-Identifier: GPL-3.0-or-later
"""Take the clip that is open in the Clip Editor as footage."""

from __future__ import annotations

import bpy

from .reporting import Result, properties


class HANDMOCAP_OT_use_clip(bpy.types.Operator):
    bl_idname = "handmocap.use_clip"
    bl_label = "Use This Clip"
    bl_description = "Capture hands from the clip that is open in this Clip Editor"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if getattr(context.space_data, "clip", None) is None:
            cls.poll_message_set("Open a clip in the Clip Editor first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Result:
        chosen = properties(context)
        chosen.source, chosen.clip = "CLIP", context.space_data.clip
        return {"FINISHED"}
