# SPDX-License-Identifier: GPL-3.0-or-later
"""File > Import > results of HaMeR, WiLoR and the like: they become a take whose depth is our fitter's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import bpy
from bpy_extras.io_utils import ImportHelper

from ..bridge import scene as take_scene, take_list, takes, timing
from ..engine.notes import summary
from ..engine.take import save_take
from ..properties import footage_of, to_settings
from .reporting import Result, told


class HANDMOCAP_OT_import_results(bpy.types.Operator, ImportHelper):
    bl_idname = "handmocap.import_results"
    bl_label = "Import Hand Results"
    bl_description = (
        "Read hands that HaMeR, WiLoR or a similar network found (.npz, .pkl, .json); their depth is solved again, "
        "with the lens chosen under Footage"
    )
    bl_options = {"REGISTER", "UNDO"}

    filename_ext = ".pkl"
    filter_glob: bpy.props.StringProperty(default="*.npz;*.pkl;*.pickle;*.json", options={"HIDDEN"})
    rate: bpy.props.FloatProperty(
        name="Frame Rate", description="Of the footage; 0: the scene's", default=0.0, min=0.0, max=1000.0
    )
    width: bpy.props.IntProperty(name="Width", description="Of the picture; 0: as the file says", min=0)
    height: bpy.props.IntProperty(name="Height", description="Of the picture; 0: as the file says", min=0)
    mirrored_left: bpy.props.BoolProperty(
        name="Left Hands Mirrored",
        description="Left hands are told as their mirror image, as HaMeR and WiLoR do; else as MANO_LEFT",
        default=True,
    )

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._import(context))

    def _import(self, context: bpy.types.Context) -> Iterable[str]:
        from .. import preferences
        from ..engine.imports.hand_results import import_results
        from ..engine.pipeline import solved

        scene = context.scene
        path = Path(bpy.path.abspath(self.filepath))
        settings = replace(to_settings(scene, preferences.get(context)), start="", end="", region=None)
        seen = import_results(
            path,
            settings,
            rate=self.rate or timing.scene_rate(scene),
            size=(self.width, self.height) if self.width and self.height else None,
            mirrored_left=self.mirrored_left,
            source=footage_of(scene),
        )
        take = solved(seen, settings)
        out = takes.new_path(takes.folder(preferences.user_folder("takes")), path.stem)
        save_take(take, out)
        take_list.add(scene, out, summary=summary(take))
        applied = take_scene.apply_take(scene, take, name=takes.display_name(out))
        return [f"{summary(take)} Their depth was solved again.", *applied.notes]


def draw_in_import_menu(menu: bpy.types.Menu, _context: bpy.types.Context) -> None:
    """The entry under File > Import."""
    menu.layout.operator(HANDMOCAP_OT_import_results.bl_idname, text="Hand Results: HaMeR, WiLoR (.pkl/.npz/.json)")
