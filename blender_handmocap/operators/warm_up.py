# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that stands ready before a picture is chosen, so that the pose comes at once; it leaves when not needed."""

from __future__ import annotations

from typing import Final

import bpy

from ..bridge import engine_job
from .engine_modal import log_file

PURPOSE: Final = "pose"
_MINUTES: Final = 5.0
"""for which an engine waits for a picture"""
_was_asked = False


def soon() -> None:
    """Get an engine ready when there is time; asked by a panel that is being drawn, the first time it is."""
    global _was_asked
    if not _was_asked and not bpy.app.background:
        _was_asked = True
        bpy.app.timers.register(now)


def now() -> None:
    """Get an engine ready, unless one is."""
    if bpy.app.background:
        return
    from .. import preferences

    engine_job.make_ready(PURPOSE, {"type": "warm_up"}, log_file(PURPOSE), verbose=preferences.wants_details())
    stay()


def stay() -> None:
    """Let the engine that stands ready wait anew."""
    if bpy.app.timers.is_registered(_leave):
        bpy.app.timers.unregister(_leave)
    bpy.app.timers.register(_leave, first_interval=60.0 * _MINUTES, persistent=True)


def forget() -> None:
    """HandMocap is being disabled."""
    global _was_asked
    _was_asked = False
    for function in (now, _leave):
        if bpy.app.timers.is_registered(function):
            bpy.app.timers.unregister(function)


def _leave() -> float | None:
    if engine_job.running(PURPOSE):
        return 60.0
    engine_job.dismiss(PURPOSE)
    return None
