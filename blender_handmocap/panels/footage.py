# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the pictures come from, and what is known of the camera."""

from __future__ import annotations

from typing import Any

import bpy

from ..operators.cameras import HANDMOCAP_OT_choose_camera, HANDMOCAP_OT_find_cameras
from ..operators.use_clip import HANDMOCAP_OT_use_clip
from .common import ClipPanel, SidebarPanel, draw_sentence, split


class _Footage:
    bl_label = "Footage"

    def draw(self, context: bpy.types.Context) -> None:
        layout = split(self.layout)
        chosen = context.scene.handmocap
        _draw_this_clip(layout, context)
        row = layout.row()
        row.use_property_split = False
        row.prop(chosen, "source", expand=True)
        if chosen.source == "CAMERA":
            draw_camera(layout, chosen)
        else:
            _draw_clip(layout, chosen)
        layout.prop(chosen, "hands")
        column = layout.column()
        column.prop(chosen, "mirrored")
        if chosen.mirrored:
            column.label(text="Text in the picture reads backwards.", icon="INFO")
        _draw_box(layout, chosen)
        _draw_lens(layout, context)


def _draw_this_clip(layout: Any, context: bpy.types.Context) -> None:
    """In the Clip Editor: one click takes the clip that is open there."""
    clip = getattr(context.space_data, "clip", None)
    chosen = context.scene.handmocap
    if clip is not None and not (chosen.source == "CLIP" and chosen.clip == clip):
        layout.operator(HANDMOCAP_OT_use_clip.bl_idname, icon="TRACKER")


def draw_camera(layout: Any, chosen: Any) -> None:
    """The choice of a webcam."""
    column = layout.column()
    name = chosen.camera_name or f"Camera {chosen.live_source or 0}"
    row = column.row(align=True)
    row.operator_menu_enum(HANDMOCAP_OT_choose_camera.bl_idname, "camera", text=name, icon="OUTLINER_OB_CAMERA")
    row.operator(HANDMOCAP_OT_find_cameras.bl_idname, text="", icon="FILE_REFRESH")
    column.prop(chosen, "camera_size")
    column.prop(chosen, "camera_rate")


def _draw_clip(layout: Any, chosen: Any) -> None:
    column = layout.column()
    if chosen.source == "CLIP":
        column.prop(chosen, "clip", text="Clip")
    else:
        column.prop(chosen, "footage", text="File")
    column = layout.column(heading="Range")
    column.prop(chosen, "use_range", text="Part")
    if chosen.use_range:
        pair = column.column(align=True)
        pair.prop(chosen, "range_start")
        pair.prop(chosen, "range_end")


def _draw_box(layout: Any, chosen: Any) -> None:
    column = layout.column(heading="Performer")
    column.prop(chosen, "use_region", text="Box")
    if chosen.use_region:
        pair = column.column(align=True)
        for index, name in enumerate(("Left", "Top", "Right", "Bottom")):
            pair.prop(chosen, "region", index=index, text=name, slider=True)


def _draw_lens(layout: Any, context: bpy.types.Context) -> None:
    chosen, camera = context.scene.handmocap, context.scene.camera
    column = layout.column()
    column.prop(chosen, "lens")
    if chosen.lens == "FOV":
        column.prop(chosen, "fov", text="View")
    elif chosen.lens == "FOCAL":
        column.prop(chosen, "focal", text="Focal")
    elif chosen.lens == "CAMERA" and camera is None:
        draw_sentence(column, "The scene has no camera: add one, or choose another lens.", "ERROR")
    elif chosen.lens == "CAMERA":
        column.label(text=camera.name, icon="CAMERA_DATA")


class HANDMOCAP_PT_footage(_Footage, SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_footage"


class HANDMOCAP_PT_clip_footage(_Footage, ClipPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_clip_footage"
