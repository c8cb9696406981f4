# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a take for other programs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import bpy
from bpy_extras.io_utils import ExportHelper

from ..bridge import take_list
from ..engine.export import export_take
from ..engine.hand.free import free_hand
from ..engine.hand.names import SIDES
from ..engine.take import load_take
from .reporting import Result, told
from .take_list import has_take

FORMATS = (
    ("bvh", "BVH", "Skeleton and motion, for most animation programs"),
    ("npz", "MANO Parameters (.npz)", "Rotations, translation and shape for research code"),
    ("json", "MANO Parameters (.json)", "The same as text"),
    ("csv", "Table (.csv)", "Joint positions, a row a frame"),
)


class HANDMOCAP_OT_export_take(bpy.types.Operator, ExportHelper):
    bl_idname = "handmocap.export_take"
    bl_label = "Export Take"
    bl_description = "Write the selected take as BVH, MANO parameters or a table"

    filename_ext = ""
    check_extension = False
    format: bpy.props.EnumProperty(name="Format", description="What to write", items=FORMATS)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_take(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._export(context))

    def _export(self, context: bpy.types.Context) -> Iterable[str]:
        take = load_take(take_list.selected_path(context.scene))
        path = Path(bpy.path.abspath(self.filepath))
        if path.suffix.lower() != f".{self.format}":
            path = path.with_name(f"{path.name}.{self.format}")
        export_take(take, path, format=self.format, models={side: free_hand(side) for side in SIDES})
        return [f"Written to {path}."]
