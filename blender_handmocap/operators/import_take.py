# SPDX-License-Identifier: GPL-3.0-or-later
"""File > Import > HandMocap take."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import bpy
from bpy_extras.io_utils import ImportHelper

from ..bridge import scene as take_scene
from ..bridge.timing import Timing
from ..engine.take import load_take
from ..property_items import TIMINGS
from .reporting import Result, told


class HANDMOCAP_OT_import_take(bpy.types.Operator, ImportHelper):
    bl_idname = "handmocap.import_take"
    bl_label = "Import HandMocap Take"
    bl_description = "Put a take on the scene's hands, with the camera and the footage it was captured from"
    bl_options = {"REGISTER", "UNDO"}

    filename_ext = ".npz"
    filter_glob: bpy.props.StringProperty(default="*.npz", options={"HIDDEN"})
    timing: bpy.props.EnumProperty(name="Timing", description="How clip frames become scene frames", items=TIMINGS)
    at_current_frame: bpy.props.BoolProperty(
        name="At Current Frame", description="Start there instead of at the scene's first frame"
    )
    with_camera: bpy.props.BoolProperty(
        name="Camera and Footage",
        description="Set up a camera with the take's lens and the footage behind the hands",
        default=True,
    )
    push_down: bpy.props.BoolProperty(
        name="Push Down Present Action", description="Keep what the hands do now as an NLA strip under the take"
    )

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._apply(context))

    def _apply(self, context: bpy.types.Context) -> Iterable[str]:
        path = Path(bpy.path.abspath(self.filepath))
        applied = take_scene.apply_take(
            context.scene,
            load_take(path),
            name=path.name.removesuffix(".npz").removesuffix(".take"),
            how=None if self.timing == "AUTO" else Timing(self.timing),
            start=context.scene.frame_current if self.at_current_frame else None,
            with_camera=self.with_camera,
            push_down=self.push_down,
        )
        hands = " and ".join(applied.rigs)
        frames = f"{applied.first_frame} to {applied.last_frame}"
        return [f"The take moves the {hands} hand{'s' * (len(applied.rigs) > 1)} from frame {frames}.", *applied.notes]


def draw_in_import_menu(menu: bpy.types.Menu, _context: bpy.types.Context) -> None:
    """The entry under File > Import."""
    menu.layout.operator(HANDMOCAP_OT_import_take.bl_idname, text="HandMocap Take (.take.npz)")
