# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of the engine as icons for panels; loaded by operators, only drawn by panels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import bpy.utils.previews

from ..bridge.engine_job import JobState


class StillPicture:
    """One picture file as an icon; showing another replaces it."""

    def __init__(self) -> None:
        self._collection: Any = None
        self._count = 0
        self.icon = 0
        """the icon to draw; 0 when there is none"""

    def show(self, path: Path) -> None:
        """Load the file as it is now; without a window there is nobody to draw for."""
        if bpy.app.background:
            return
        if self._collection is None:
            self._collection = bpy.utils.previews.new()
            _stills.append(self)
        self._collection.clear()
        self._count += 1
        picture = self._collection.load(f"picture {self._count}", str(path), "IMAGE")
        # Asking for its size reads it, now: on a busy machine the next one would come before Blender reads this one
        # by itself, and none would ever be seen. The file is replaced in one step, so it is always whole.
        if picture.image_size[0]:
            self.icon = picture.icon_id

    def forget(self) -> None:
        """Drop the picture."""
        if self._collection is not None:
            bpy.utils.previews.remove(self._collection)
            _stills.remove(self)
        self._collection, self.icon = None, 0


_stills: list[StillPicture] = []
"""pictures that are loaded, to be dropped when HandMocap is disabled"""
_current = StillPicture()
_count = -1


def show(state: JobState) -> None:
    """Load the newest picture of a running job, if there is a newer one."""
    global _count
    if state.preview is not None and state.preview_count != _count:
        _current.show(state.preview)
        _count = state.preview_count


def icon() -> int:
    """The icon of the running job's picture; 0 when there is none."""
    return _current.icon


def forget() -> None:
    """Drop the running job's picture."""
    global _count
    _current.forget()
    _count = -1


def forget_all() -> None:
    """Drop every picture: HandMocap is being disabled."""
    while _stills:
        _stills[-1].forget()
