# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's picture of the current frame as an icon for the panel; loaded by the operator, only drawn by panels."""

from __future__ import annotations

from typing import Any

import bpy
import bpy.utils.previews

from ..bridge.engine_job import JobState

_collection: Any = None
_count = -1
_icon = 0


def show(state: JobState) -> None:
    """Load the newest picture, if there is a newer one."""
    global _collection, _count, _icon
    if bpy.app.background or state.preview is None or state.preview_count == _count:
        return
    if _collection is None:
        _collection = bpy.utils.previews.new()
    _collection.clear()
    # A picture is read when its size is first asked for; the file is replaced in one step, so it is always whole.
    picture = _collection.load(f"frame {state.preview_count}", str(state.preview), "IMAGE")
    _count, _icon = state.preview_count, picture.icon_id


def icon() -> int:
    """The icon to draw; 0 when there is none."""
    return _icon


def forget() -> None:
    """Drop the picture."""
    global _collection, _count, _icon
    if _collection is not None:
        bpy.utils.previews.remove(_collection)
    _collection, _count, _icon = None, -1, 0
