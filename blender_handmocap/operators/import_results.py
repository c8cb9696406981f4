# SPDX-License-Identifier: GPL-3.0-or-later
"""File > Import > results of HaMeR, WiLoR and the like: they become a take whose depth is our fitter's."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import bpy
from bpy_extras.io_utils import ImportHelper

from ..bridge import engine_job, take_list, takes, timing
from ..bridge.engine_job import JobState, Message
from ..engine.errors import BadInputError
from ..properties import footage_of, to_settings
from .engine_modal import EngineModal
from .reporting import Result

PURPOSE: Final = "import_results"


class HANDMOCAP_OT_import_results(EngineModal, bpy.types.Operator, ImportHelper):
    bl_idname = "handmocap.import_results"
    bl_label = "Import Hand Results"
    bl_description = (
        "Read hands that HaMeR, WiLoR or a similar network found (.npz, .pkl, .json); their depth is solved again, "
        "with the lens chosen under Footage"
    )

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

    purpose = PURPOSE
    escape_text = "Stop"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if engine_job.running(PURPOSE):
            cls.poll_message_set("Results are being imported")
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        if not self.filepath:
            context.window_manager.fileselect_add(self)
            return {"RUNNING_MODAL"}
        return EngineModal.invoke(self, context, event)

    def execute(self, context: bpy.types.Context) -> Result:
        if bpy.app.background or context.window is None:
            return EngineModal.execute(self, context)
        # The file was just chosen: now the work begins, beside the window.
        return bpy.ops.handmocap.import_results(
            "INVOKE_DEFAULT",
            filepath=self.filepath,
            rate=self.rate,
            width=self.width,
            height=self.height,
            mirrored_left=self.mirrored_left,
        )

    def command(self, context: bpy.types.Context) -> Message:
        from .. import preferences

        path = Path(bpy.path.abspath(self.filepath))
        if not path.is_file():
            raise BadInputError(f"There is no file at {path}; choose another one.")
        settings = replace(to_settings(context.scene, preferences.get(context)), start="", end="", region=None)
        return {
            "type": "import_results",
            "source": str(path),
            "out": str(takes.new_path(takes.folder(preferences.user_folder("takes")), path.stem)),
            "footage": footage_of(context.scene),
            "rate": self.rate or timing.scene_rate(context.scene),
            "size": [self.width, self.height] if self.width and self.height else None,
            "mirrored_left": self.mirrored_left,
            "settings": asdict(settings),
        }

    def finished(self, context: bpy.types.Context, state: JobState) -> None:
        take_list.add(context.scene, state.take, summary=state.summary, notes=state.notes)
        self.report({"INFO"}, f"{state.summary} Their depth was solved again.")
        bpy.ops.handmocap.apply_take("EXEC_DEFAULT", True)


def draw_in_import_menu(menu: bpy.types.Menu, _context: bpy.types.Context) -> None:
    """The entry under File > Import."""
    menu.layout.operator(HANDMOCAP_OT_import_results.bl_idname, text="Hand Results: HaMeR, WiLoR (.pkl/.npz/.json)")
