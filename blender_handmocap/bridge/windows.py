# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's windows and 3D Views: what is drawn again, what the user is doing, what he looks through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy

_HOLDING = (
    "ACTION_",
    "ANIM_",
    "ARMATURE_",
    "CLIP_",
    "CURVE_",
    "GPENCIL_",
    "GRAPH_",
    "GREASE_PENCIL_",
    "MESH_",
    "NLA_",
    "NODE_",
    "OBJECT_",
    "PAINT_",
    "POSE_",
    "SCULPT_",
    "TRANSFORM_",
    "UV_",
    "VIEW3D_",
)
"""Beginnings of the names of operators that hold data in the hand while they run. Others may run for ever: players, and
add-ons that show the keys one presses."""


def redraw_sidebars(context: bpy.types.Context) -> None:
    """Redraw the sidebars and nothing else: a whole 3D View costs a hundred times as much."""
    for _, area in _areas(context, "VIEW_3D", "CLIP_EDITOR"):
        for region in area.regions:
            if region.type == "UI":
                region.tag_redraw()


def others_busy(context: bpy.types.Context) -> bool:
    """Whether the user is in the middle of something: dragging, typing in a transform, turning the view."""
    return any(
        operator.bl_idname.startswith(_HOLDING)
        for window in context.window_manager.windows
        for operator in window.modal_operators
    )


def look_through_camera(context: bpy.types.Context) -> None:
    """Turn every 3D View of the current window to the scene's camera, the whole picture in sight."""
    for window, area in _areas(context, "VIEW_3D"):
        if window != context.window:
            continue
        area.spaces.active.region_3d.view_perspective = "CAMERA"
        region = next(region for region in area.regions if region.type == "WINDOW")
        with context.temp_override(window=window, area=area, region=region):
            bpy.ops.view3d.view_center_camera()
        area.tag_redraw()


def play(context: bpy.types.Context) -> None:
    """Start the animation where it does not run already."""
    if context.window is not None and not context.screen.is_animation_playing:
        bpy.ops.screen.animation_play()


def _areas(context: bpy.types.Context, *kinds: str) -> Iterator[tuple[bpy.types.Window, Any]]:
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in kinds:
                yield window, area
