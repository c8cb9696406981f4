# SPDX-License-Identifier: GPL-3.0-or-later
"""Live: a camera moves the hands or the character in the viewport, without keys; recorded, it is a take like others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import bpy

from ..bridge import engine_job, take_list, takes
from ..bridge.engine_job import EngineJob, JobState, Message
from ..bridge.live import LiveTarget
from ..engine import live_recording
from ..engine.errors import BadInputError
from ..properties import camera_of, to_settings
from .character import maps_of
from .engine_modal import EngineModal
from .reporting import Result, properties, told

PURPOSE: Final = "live"


class HANDMOCAP_OT_live(EngineModal, bpy.types.Operator):
    bl_idname = "handmocap.live"
    bl_label = "Start Live"
    bl_description = (
        "Move the scene's hands or the character with a camera until Esc, without keys; pictures never leave this "
        "machine. Recorded, the motion becomes a take"
    )

    record: bpy.props.BoolProperty(
        name="Record", description="Record a take from the start, after the countdown", options={"SKIP_SAVE"}
    )

    purpose = PURPOSE
    escape_text = "Stop"
    _target: LiveTarget | None = None

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if engine_job.running(PURPOSE):
            cls.poll_message_set("Live is running; Esc stops it")
            return False
        return True

    def command(self, context: bpy.types.Context) -> Message:
        from .. import preferences

        chosen = properties(context)
        if chosen.live_target == "CHARACTER" and chosen.character is None:
            raise BadInputError("No character is chosen; choose its armature under Character, or move the hands.")
        self._target = _target_of(chosen)
        cache = preferences.get(context).cache_path
        cache.mkdir(parents=True, exist_ok=True)
        # A part of the clip and its own lens belong to footage.
        settings = asdict(to_settings(context.scene, preferences.get(context))) | {"start": "", "end": ""}
        message = {
            "type": "live",
            "source": camera_of(context.scene),
            "settings": settings,
            "preview": str(cache / "live_preview.jpg"),
            "mirror_preview": chosen.live_mirror,
        }
        if self.record:
            message |= {"out": str(_new_take(context)), "countdown": chosen.live_countdown}
        return message

    def ticked(self, context: bpy.types.Context, job: EngineJob) -> None:
        message = job.take_live_frame()
        if message is not None and self._target is not None:
            self._target.show(context.scene, message)

    def finished(self, context: bpy.types.Context, state: JobState) -> None:
        for sentence in (state.summary, *state.notes):
            self.report({"INFO"}, sentence)
        if state.take is None:
            return
        if not state.take.is_file():
            self.report({"WARNING"}, "Nothing was recorded: live ended before the countdown did.")
            return
        take_list.add(context.scene, state.take, summary=state.summary, notes=state.notes)
        self._apply(context)

    def failed(self, context: bpy.types.Context, state: JobState) -> None:
        out = state.recording_to
        if out is not None and live_recording.is_left(out):
            take = live_recording.recover(out)
            take_list.add(context.scene, out, summary=f"{len(take)} frames, cut off when the engine stopped.")
            state.error = f"The engine stopped unexpectedly; the {len(take)} frames recorded so far are a take."
            self._apply(context)

    @staticmethod
    def _apply(context: bpy.types.Context) -> None:
        if properties(context).live_target == "CHARACTER":
            bpy.ops.handmocap.bake_character("EXEC_DEFAULT", True)
        else:
            bpy.ops.handmocap.apply_take("EXEC_DEFAULT", True)


class HANDMOCAP_OT_record(bpy.types.Operator):
    bl_idname = "handmocap.record"
    bl_label = "Record"
    bl_description = "Record what the camera moves into a take, after the countdown and until live is stopped"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        job = engine_job.current(PURPOSE)
        if job is None or job.state.finished:
            cls.poll_message_set("Start live first")
            return False
        return not job.state.recording and job.state.countdown is None

    def execute(self, context: bpy.types.Context) -> Result:
        engine_job.current(PURPOSE).record(_new_take(context), properties(context).live_countdown)
        return {"FINISHED"}


class HANDMOCAP_OT_stop_live(bpy.types.Operator):
    bl_idname = "handmocap.stop_live"
    bl_label = "Stop"
    bl_description = "Stop live; what was recorded becomes a take"

    def execute(self, context: bpy.types.Context) -> Result:
        job = engine_job.current(PURPOSE)
        if job is None or job.state.finished:
            self.report({"INFO"}, "Live is not running.")
            return {"CANCELLED"}
        job.cancel()
        return {"FINISHED"}


class HANDMOCAP_OT_recover_recordings(bpy.types.Operator):
    bl_idname = "handmocap.recover_recordings"
    bl_label = "Recover Recordings"
    bl_description = "Make takes of recordings that were cut off, as when Blender or the machine stopped"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._recover(context))

    def _recover(self, context: bpy.types.Context) -> Iterable[str]:
        from .. import preferences

        where = takes.folder(preferences.user_folder("takes"))
        found = [out for out in live_recording.left_in(where) if not live_recording.is_growing(out)]
        for out in found:
            take = live_recording.recover(out)
            take_list.add(context.scene, out, summary=f"{len(take)} frames, recovered.")
            yield f"{len(take)} frames were recovered as {takes.display_name(out)}."
        if not found:
            yield "No recording was cut off here."


def _new_take(context: bpy.types.Context) -> Path:
    from .. import preferences

    source = camera_of(context.scene)
    where = takes.folder(preferences.user_folder("takes"))
    return takes.new_path(where, Path(source).name if Path(source).suffix else "live")


def _target_of(chosen: Any) -> LiveTarget:
    if chosen.live_target == "CHARACTER":
        return LiveTarget(chosen.character.name, maps_of(chosen), with_wrist=chosen.character_reach != "FINGERS")
    return LiveTarget()
