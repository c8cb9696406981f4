# SPDX-License-Identifier: GPL-3.0-or-later
"""Webcams by name: find them, choose one."""

from __future__ import annotations

from typing import Any, Final

import bpy

from ..bridge import example
from ..bridge.engine_job import JobState, Message
from .engine_modal import EngineModal
from .reporting import Result, properties

PURPOSE: Final = "cameras"
EXAMPLE: Final = "EXAMPLE"
_NUMBERS: Final = 4
"""cameras offered by number until their names are known"""

_found: list[tuple[str, str, str]] = []
"""enum items of the cameras that were found; Blender needs the texts to live on"""


def _items(_self: Any, _context: bpy.types.Context | None) -> list[tuple[str, str, str]]:
    return _found or _unnamed()


def _unnamed() -> list[tuple[str, str, str]]:
    remember([{"number": number, "name": f"Camera {number}"} for number in range(_NUMBERS)])
    return _found


def remember(cameras: list[dict[str, Any]]) -> None:
    """Offer these cameras (number, name), and the example clip for machines without one."""
    items = [(str(c["number"]), str(c["name"]), f"Camera number {c['number']} of this machine") for c in cameras]
    items.append((EXAMPLE, "Example Clip", "The clip that comes with HandMocap, played as if a camera saw it"))
    _found[:] = items


class HANDMOCAP_OT_find_cameras(EngineModal, bpy.types.Operator):
    bl_idname = "handmocap.find_cameras"
    bl_label = "Find Cameras"
    bl_description = "Ask this machine for its cameras and their names"

    purpose = PURPOSE
    escape_text = "Stop"

    def command(self, context: bpy.types.Context) -> Message:
        return {"type": "cameras"}

    def finished(self, context: bpy.types.Context, state: JobState) -> None:
        cameras = state.answer.get("cameras", [])
        if cameras:
            remember(cameras)
        chosen = properties(context)
        names = {str(camera["number"]): str(camera["name"]) for camera in cameras}
        if not chosen.camera_name and chosen.live_source in names:
            chosen.camera_name = names[chosen.live_source]
        self.report({"INFO"}, state.summary)


class HANDMOCAP_OT_choose_camera(bpy.types.Operator):
    bl_idname = "handmocap.choose_camera"
    bl_label = "Choose Camera"
    bl_description = "Which camera sees the hands"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    camera: bpy.props.EnumProperty(name="Camera", description="Cameras of this machine", items=_items)

    def execute(self, context: bpy.types.Context) -> Result:
        chosen = properties(context)
        chosen.live_source = str(example.clip()) if self.camera == EXAMPLE else self.camera
        chosen.camera_name = next(name for identifier, name, _ in _found if identifier == self.camera)
        return {"FINISHED"}
