# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture the chosen footage into a take; stop a capture."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Final

import bpy

from ..bridge import engine_job, take_list, takes
from ..bridge.engine_job import JobState, Message
from ..engine.errors import BadInputError
from ..properties import footage_of, to_settings
from .engine_modal import EngineModal
from .reporting import Result, properties

PURPOSE: Final = "capture"


class HANDMOCAP_OT_capture(EngineModal, bpy.types.Operator):
    bl_idname = "handmocap.capture"
    bl_label = "Capture"
    bl_description = "Find both hands in the footage and make a take of them; Esc stops and keeps the finished frames"

    resume: bpy.props.BoolProperty(
        name="Resume",
        description="Go on with the capture of this footage that was stopped, with the settings it was begun with",
        options={"SKIP_SAVE"},
    )

    purpose = PURPOSE

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if engine_job.running(PURPOSE):
            cls.poll_message_set("A capture is under way")
            return False
        if not footage_of(context.scene):
            cls.poll_message_set("Choose footage first")
            return False
        return True

    def command(self, context: bpy.types.Context) -> Message:
        from .. import preferences

        source = footage_of(context.scene)
        if not Path(source).exists():
            raise BadInputError(f"There is no footage at {source}; choose it again.")
        where = takes.folder(preferences.user_folder("takes"))
        out = self._unfinished(where, source) if self.resume else takes.new_path(where, source)
        preview = preferences.user_folder("cache") / "capture_preview.jpg"
        preview.parent.mkdir(parents=True, exist_ok=True)
        return {
            "type": "capture",
            "source": source,
            "out": str(out),
            # What was stopped has left a take of its finished frames, which the whole one replaces.
            "resume": self.resume,
            "force": self.resume,
            "preview": str(preview),
            "settings": asdict(to_settings(context.scene, preferences.get(context))),
        }

    def finished(self, context: bpy.types.Context, state: JobState) -> None:
        take_list.add(context.scene, state.take, summary=state.summary)
        self.report({"INFO"}, state.summary)
        if properties(context).apply_when_done:
            bpy.ops.handmocap.apply_take("EXEC_DEFAULT", True)

    @staticmethod
    def _unfinished(where: Path, source: str) -> Path:
        found = unfinished_take(where, source)
        if found is None:
            raise BadInputError(f"There is no stopped capture of {Path(source).name} to go on with; capture it anew.")
        return found


def unfinished_take(where: Path, source: str) -> Path | None:
    """The take of the latest stopped capture of this footage in the folder; None when there is none."""
    stem = takes.new_path(where, source).name.removesuffix(takes.ENDING).rpartition("_")[0]
    folders = sorted(where.glob(f"{stem}_[0-9][0-9][0-9]{takes.ENDING}.partial"))
    return folders[-1].with_name(folders[-1].name.removesuffix(".partial")) if folders else None


class HANDMOCAP_OT_cancel_capture(bpy.types.Operator):
    bl_idname = "handmocap.cancel_capture"
    bl_label = "Stop"
    bl_description = "Stop the capture and keep the finished frames"

    def execute(self, context: bpy.types.Context) -> Result:
        job = engine_job.current(PURPOSE)
        if job is None or job.state.finished:
            self.report({"INFO"}, "No capture is under way.")
            return {"CANCELLED"}
        job.cancel()
        return {"FINISHED"}
