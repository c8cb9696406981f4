# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a take, or the rigs that show it, for other programs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import bpy
from bpy_extras.io_utils import ExportHelper

from ..bridge import export_scene, hand_rig, take_list
from ..engine.errors import BadInputError
from ..engine.export import export_take
from ..engine.hand.names import SIDES
from ..engine.take import load_take
from .reporting import Result, properties, told

FORMATS: Final = (
    ("bvh", "BVH", "Skeleton and motion, for most animation programs"),
    ("fbx", "FBX", "The hands in the scene, or the character, with their motion"),
    ("glb", "glTF (.glb)", "The hands in the scene, or the character, with their motion"),
    ("npz", "MANO Parameters (.npz)", "Rotations, translation and shape for research code"),
    ("json", "MANO Parameters (.json)", "The same as text"),
    ("csv", "Table (.csv)", "Joint positions and rotations, a row a frame"),
)
WHAT: Final = (
    ("HANDS", "Hands", "HandMocap's own hands"),
    ("CHARACTER", "Character", "The chosen character with its present action"),
)
BVH_SIDES: Final = (
    ("both", "Both", "Both hands under one root"),
    ("left", "Left", "The left hand alone"),
    ("right", "Right", "The right hand alone"),
)


class HANDMOCAP_OT_export_take(bpy.types.Operator, ExportHelper):
    bl_idname = "handmocap.export_take"
    bl_label = "Export"
    bl_description = "Write the selected take as BVH, MANO parameters or a table, or what it moves as FBX or glTF"

    filename_ext = ""
    check_extension = False
    format: bpy.props.EnumProperty(name="Format", description="What to write", items=FORMATS)
    what: bpy.props.EnumProperty(name="Export", description="What goes into an FBX or glTF file", items=WHAT)
    sides: bpy.props.EnumProperty(name="Hands", description="Which hands go into a BVH file", items=BVH_SIDES)

    def draw(self, _context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "format")
        if self.format in export_scene.FORMATS:
            layout.prop(self, "what")
        elif self.format == "bvh":
            layout.prop(self, "sides")

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._export(context))

    def _export(self, context: bpy.types.Context) -> Iterable[str]:
        from ..engine.pipeline import hand_models

        path = Path(bpy.path.abspath(self.filepath))
        if path.suffix.lower() != f".{self.format}":
            path = path.with_name(f"{path.name}.{self.format}")
        if self.format in export_scene.FORMATS:
            export_scene.export_rigs(context.scene, self._rigs(context), path, format=self.format)
        else:
            take = load_take(take_list.selected_path(context.scene))
            sides = SIDES if self.sides == "both" else (self.sides,)
            export_take(take, path, format=self.format, models=hand_models(take), sides=sides)
        return [f"Written to {path}."]

    def _rigs(self, context: bpy.types.Context) -> list[bpy.types.Object]:
        if self.what == "HANDS":
            return [rig.armature for rig in hand_rig.find_hands(context.scene).values()]
        character = properties(context).character
        if character is None:
            raise BadInputError("No character is chosen; choose its armature under Character.")
        return [character]
