# SPDX-License-Identifier: GPL-3.0-or-later
"""One click for the commonest reason to capture again."""

from __future__ import annotations

import bpy

from .capture import HANDMOCAP_OT_capture
from .reporting import Result, properties


class HANDMOCAP_OT_capture_mirrored(bpy.types.Operator):
    bl_idname = "handmocap.capture_mirrored"
    bl_label = "Capture as Mirror Image"
    bl_description = "Capture the same footage again, with its pictures turned back from a mirror image"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if properties(context).mirrored:
            cls.poll_message_set("The footage is captured as a mirror image already")
            return False
        return HANDMOCAP_OT_capture.poll(context)

    def execute(self, context: bpy.types.Context) -> Result:
        properties(context).mirrored = True
        return bpy.ops.handmocap.capture("INVOKE_DEFAULT", resume=False)
