# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's windows and 3D Views: what is drawn again, what the user is doing, what he looks through."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

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

_OVER: Final = ("UI", "TOOLS", "HEADER", "TOOL_HEADER")
"""regions that lie over a view"""
_SMALLEST: Final = 0.3


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
        _keep_clear_of_the_sidebar(context, area, region)
        area.tag_redraw()


def _keep_clear_of_the_sidebar(context: bpy.types.Context, area: Any, region: Any) -> None:
    """Zoom out from a picture that fills the region until nothing of it lies under sidebar or header."""
    if not context.preferences.system.use_region_overlap or not region.width * region.height:
        return
    over = {
        kind: sum(r.height if "HEADER" in kind else r.width for r in area.regions if r.type == kind) for kind in _OVER
    }
    render = context.scene.render
    aspect = render.resolution_x * render.pixel_aspect_x / (render.resolution_y * render.pixel_aspect_y)
    picture = min(float(region.width), region.height * aspect), min(float(region.height), region.width / aspect)
    # It stays in the middle, so what is covered on one side is left free on the other.
    sides, ends = 2 * max(over["UI"], over["TOOLS"]), 2 * (over["HEADER"] + over["TOOL_HEADER"])
    share = min(1.0, (region.width - sides) / picture[0], (region.height - ends) / picture[1])
    view = area.spaces.active.region_3d
    # Blender's zoom z shows the picture ((sqrt 2 + z / 50) / 2) squared times as large.
    size = 0.5 * (math.sqrt(2.0) + view.view_camera_zoom / 50.0) * math.sqrt(max(share, _SMALLEST))
    view.view_camera_zoom = (2.0 * size - math.sqrt(2.0)) * 50.0


def play(context: bpy.types.Context) -> None:
    """Start the animation where it does not run already."""
    if context.window is not None and not context.screen.is_animation_playing:
        bpy.ops.screen.animation_play()


def _areas(context: bpy.types.Context, *kinds: str) -> Iterator[tuple[bpy.types.Window, Any]]:
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in kinds:
                yield window, area
