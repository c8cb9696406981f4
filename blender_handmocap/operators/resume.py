# SPDX-License-Identifier: GPL-3.0-or-later
"""Go on with a capture that was stopped; greyed while there is none of the chosen footage."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import bpy

from ..bridge import takes
from ..properties import footage_of
from .capture import HANDMOCAP_OT_capture, unfinished_take
from .reporting import Result


@lru_cache(maxsize=8)
def _has_unfinished(where: Path, source: str, _changed: int) -> bool:
    return unfinished_take(where, source) is not None


def has_unfinished(where: Path, source: str) -> bool:
    """Whether a stopped capture of the footage lies in a folder; looked up again only when the folder has changed."""
    try:
        changed = where.stat().st_mtime_ns
    except OSError:
        return False
    return _has_unfinished(where, source, changed)


class HANDMOCAP_OT_resume_capture(bpy.types.Operator):
    bl_idname = "handmocap.resume_capture"
    bl_label = "Resume"
    bl_description = "Go on with the capture of this footage that was stopped, with the settings it was begun with"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        from .. import preferences

        if not HANDMOCAP_OT_capture.poll(context):
            return False
        if not has_unfinished(takes.folder(preferences.user_folder("takes")), footage_of(context.scene)):
            cls.poll_message_set("No capture of this footage was stopped")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Result:
        return bpy.ops.handmocap.capture("INVOKE_DEFAULT", resume=True)
