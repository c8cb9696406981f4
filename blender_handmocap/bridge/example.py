# SPDX-License-Identifier: GPL-3.0-or-later
"""The short clip that comes with HandMocap, and a scene to show it in."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import bpy

from ..engine.errors import BadInputError
from .engine_process import PACKAGE_FOLDER

FILE_NAME: Final = "two_hands.mp4"
FIELD_OF_VIEW: Final = 2.0 * math.atan(320.0 / 560.0)
"""radians, across the picture: the lens it was filmed with"""
SCENE_NAME: Final = "HandMocap Example"


def clip() -> Path:
    """The example clip: in the installed extension, or beside its sources."""
    for folder in (PACKAGE_FOLDER, PACKAGE_FOLDER.parent):
        path = folder / "examples" / FILE_NAME
        if path.is_file():
            return path
    raise BadInputError("The example clip is missing; install HandMocap again, or choose footage of your own.")


def scene_for_it(context: bpy.types.Context) -> bpy.types.Scene:
    """The current scene when it is empty, else one of the example's own, made the current one."""
    if not context.scene.objects:
        return context.scene
    scene = bpy.data.scenes.get(SCENE_NAME) or bpy.data.scenes.new(SCENE_NAME)
    if context.window is not None:
        context.window.scene = scene
    return scene
