# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the tab begins: the example for who comes first, the hands themselves, a pose from a picture."""

from __future__ import annotations

from typing import Any

import bpy

from ..bridge import engine_job
from ..operators import preview_picture, warm_up
from ..operators.add_hands import HANDMOCAP_OT_add_hands
from ..operators.capture import PURPOSE as CAPTURE
from ..operators.example import HANDMOCAP_OT_try_example
from ..operators.import_take import HANDMOCAP_OT_import_take
from ..operators.pose_hand import (
    PURPOSE as POSE,
    HANDMOCAP_OT_pose_from_picture,
    HANDMOCAP_OT_pose_hand,
    HANDMOCAP_OT_save_pose,
)
from .common import SidebarPanel, draw_sentence


def is_empty(context: bpy.types.Context) -> bool:
    """Whether nothing was done with HandMocap in this scene yet; read from what is at hand, nothing is searched."""
    chosen = context.scene.handmocap
    return not (chosen.takes or chosen.footage or chosen.clip or engine_job.running(CAPTURE))


class HANDMOCAP_PT_hands(SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_hands"
    bl_label = "Hands"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        if is_empty(context):
            column = layout.column()
            column.scale_y = 2.0
            column.operator(HANDMOCAP_OT_try_example.bl_idname, icon="PLAY")
            draw_sentence(layout, "Or choose a clip of your own under Footage, then press Capture.", "INFO")
        column = layout.column(align=True)
        column.operator(HANDMOCAP_OT_add_hands.bl_idname, icon="VIEW_PAN")
        column.operator(HANDMOCAP_OT_import_take.bl_idname, text="Import Take", icon="IMPORT")


class HANDMOCAP_PT_pose(SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_pose"
    bl_label = "Pose from a Picture"
    bl_parent_id = "HANDMOCAP_PT_hands"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        # Who opens this panel will soon choose a picture.
        warm_up.soon()
        layout = self.layout
        column = layout.column(align=True)
        _draw_origin(column, "CAMERA", "Webcam Now", "OUTLINER_OB_CAMERA")
        _draw_origin(column, "CLIP", "Clip's Current Frame", "SEQUENCE")
        column.operator(HANDMOCAP_OT_pose_from_picture.bl_idname, text="Picture File", icon="FILE_IMAGE")
        job = engine_job.current(POSE)
        if engine_job.running(POSE):
            layout.label(text="Looking at the picture", icon="TIME")
        elif job is not None and job.state.error:
            draw_sentence(layout, job.state.error, "ERROR")
        if engine_job.running(POSE) and preview_picture.icon():
            layout.template_icon(preview_picture.icon(), scale=8.0)
        layout.operator(HANDMOCAP_OT_save_pose.bl_idname, icon="ASSET_MANAGER")


def _draw_origin(layout: Any, origin: str, text: str, icon: str) -> None:
    layout.operator(HANDMOCAP_OT_pose_hand.bl_idname, text=text, icon=icon).origin = origin
