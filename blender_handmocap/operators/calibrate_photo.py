# SPDX-License-Identifier: GPL-3.0-or-later
"""Calibrate from one photo: the flat hand on a sheet of paper, or beside a bank card, gives the performer's hand."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import bpy
from bpy_extras.io_utils import ImportHelper

from ..bridge import engine_job, performers
from ..bridge.engine_job import JobState, Message
from ..engine.calibrate.references import REFERENCES
from ..engine.performer import Performer
from .engine_modal import EngineModal
from .performer import show_measured, unlocked
from .pose_hand import PICTURES
from .reporting import Result, properties

PURPOSE: Final = "calibrate_photo"


class HANDMOCAP_OT_calibrate_photo(EngineModal, bpy.types.Operator, ImportHelper):
    bl_idname = "handmocap.calibrate_photo"
    bl_label = "Calibrate from Photo"
    bl_description = (
        "Measure the performer's hand in millimetres from one photo: the flat hand with spread fingers "
        "on a sheet of A4 or letter paper, or beside a bank card, seen from above"
    )

    filter_glob: bpy.props.StringProperty(default=PICTURES, options={"HIDDEN"})
    reference: bpy.props.EnumProperty(
        name="Beside the Hand",
        description="What is in the picture whose size is known",
        items=tuple((name, reference.title, reference.description) for name, reference in REFERENCES.items()),
    )

    purpose = PURPOSE
    escape_text = "Stop"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if engine_job.running(PURPOSE):
            cls.poll_message_set("A photo is being measured")
            return False
        return unlocked(cls, context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        if not self.filepath:
            context.window_manager.fileselect_add(self)
            return {"RUNNING_MODAL"}
        return EngineModal.invoke(self, context, event)

    def execute(self, context: bpy.types.Context) -> Result:
        if bpy.app.background or context.window is None:
            return EngineModal.execute(self, context)
        # The file was just chosen: now the work begins, beside the window.
        return bpy.ops.handmocap.calibrate_photo("INVOKE_DEFAULT", filepath=self.filepath, reference=self.reference)

    def command(self, context: bpy.types.Context) -> Message:
        from .. import preferences

        cache = preferences.get(context).cache_path
        cache.mkdir(parents=True, exist_ok=True)
        return {
            "type": "calibrate_photo",
            "source": bpy.path.abspath(self.filepath),
            "reference": self.reference,
            "picture": str(cache / "calibration.jpg"),
        }

    def finished(self, context: bpy.types.Context, state: JobState) -> None:
        found = state.answer["performer"]
        name = properties(context).performer or "Performer"
        performer = Performer(name, float(found["palm_mm"]), tuple(found["betas"]))
        performers.take_over(context.scene, performer)
        bpy.ops.ed.undo_push(message="Calibrate from Photo")
        show_measured(Path(state.answer["picture"]))
        self.report({"INFO"}, state.summary)
