# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture the chosen footage into a take; show its first seconds meanwhile; stop a capture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import bpy

from ..bridge import camera_path, engine_job, scene as take_scene, take_list, takes, windows
from ..bridge.engine_job import EngineJob, JobState, Message
from ..bridge.timing import Timing
from ..engine.errors import BadInputError
from ..engine.take import load_take
from ..properties import footage_of, to_settings
from .engine_modal import EngineModal
from .reporting import Result, properties, told

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
    play: bpy.props.BoolProperty(
        name="Play", description="Play the motion when it is done", options={"SKIP_SAVE", "HIDDEN"}
    )

    purpose = PURPOSE
    _shown_part: Path | None = None

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
        cache = preferences.get(context).cache_path
        cache.mkdir(parents=True, exist_ok=True)
        settings = to_settings(context.scene, preferences.get(context), own_hands=True)
        if properties(context).lens == "CAMERA":
            path = camera_path.write(context.scene, Path(source), cache / f"{out.name}.camera.npz")
            settings = replace(settings, camera_path=str(path))
        return {
            "type": "capture",
            "source": source,
            "out": str(out),
            # What was stopped has left a take of its finished frames, which the whole one replaces.
            "resume": self.resume,
            "force": self.resume,
            "preview": str(cache / "capture_preview.jpg"),
            "part": str(cache / f"{out.name.removesuffix(takes.ENDING)}_first_seconds{takes.ENDING}"),
            "settings": asdict(settings),
        }

    def ticked(self, context: bpy.types.Context, job: EngineJob) -> None:
        chosen, part = properties(context), job.state.part
        if part is None or part == self._shown_part or job.state.finished:
            return
        self._shown_part = part
        if chosen.apply_when_done and chosen.show_part:
            bpy.ops.handmocap.show_part("EXEC_DEFAULT", True, filepath=str(part))

    def finished(self, context: bpy.types.Context, state: JobState) -> None:
        take_list.add(context.scene, state.take, summary=state.summary, notes=state.notes)
        self.report({"INFO"}, state.summary)
        for note in state.notes:
            self.report({"INFO"}, note)
        if properties(context).apply_when_done:
            bpy.ops.handmocap.apply_take("EXEC_DEFAULT", True)
            if self.play:
                windows.play(context)

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


class HANDMOCAP_OT_show_part(bpy.types.Operator):
    bl_idname = "handmocap.show_part"
    bl_label = "Show First Seconds"
    bl_description = "Put the first seconds of a running capture on the hands; the whole take replaces them"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    filepath: bpy.props.StringProperty(
        name="File", description="The take of the first seconds", subtype="FILE_PATH", options={"HIDDEN", "SKIP_SAVE"}
    )

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._apply(context))

    def _apply(self, context: bpy.types.Context) -> Iterable[str]:
        chosen: Any = properties(context)
        path = Path(self.filepath)
        applied = take_scene.apply_take(
            context.scene,
            load_take(path),
            name=takes.display_name(path),
            how=None if chosen.timing == "AUTO" else Timing(chosen.timing),
            push_down=chosen.push_down,
            keep_shape=chosen.lock_shape,
            passing=True,
        )
        if chosen.look_through and applied.camera is not None:
            windows.look_through_camera(context)
        return ()
