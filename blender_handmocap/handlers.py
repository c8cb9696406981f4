# SPDX-License-Identifier: GPL-3.0-or-later
"""What HandMocap does when Blender saves a file, and when it is disabled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from .bridge import engine_job, takes
from .operators import preview_picture, warm_up


@bpy.app.handlers.persistent
def before_saving(filepath: str, *_: Any) -> None:
    """Takes that were made before the file had a place go along to where it is saved first."""
    if not filepath or bpy.data.filepath:
        return
    from . import preferences

    for scene in bpy.data.scenes:
        takes.bring_along(scene.handmocap.takes, Path(filepath), preferences.user_folder("takes"))


def leave() -> None:
    """End what runs beside Blender."""
    warm_up.forget()
    engine_job.stop_all()
    preview_picture.forget_all()
