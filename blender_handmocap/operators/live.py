# SPDX-License-Identifier: GPL-3.0-or-later
"""Live: a camera moves the hands in the viewport, without keys; recorded, it is a take like any other."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Final

import bpy

from ..bridge import engine_job, hand_rig, take_list, take_on_rig, takes
from ..bridge.engine_job import EngineJob, JobState, Message
from ..engine.hand.names import SIDES
from ..properties import to_settings
from .engine_modal import EngineModal
from .reporting import properties

PURPOSE: Final = "live"


class HANDMOCAP_OT_live(EngineModal, bpy.types.Operator):
    bl_idname = "handmocap.live"
    bl_label = "Start Live"
    bl_description = (
        "Move the scene's hands with a camera until Esc, without keys; pictures never leave this machine. "
        "With Record the motion becomes a take"
    )

    purpose = PURPOSE

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if engine_job.running(PURPOSE):
            cls.poll_message_set("Live is running; Esc stops it")
            return False
        return True

    def command(self, context: bpy.types.Context) -> Message:
        from .. import preferences

        chosen = properties(context)
        source = chosen.live_source.strip() or "0"
        if not source.isdigit():
            source = bpy.path.abspath(source)
        preview = preferences.user_folder("cache") / "live_preview.jpg"
        preview.parent.mkdir(parents=True, exist_ok=True)
        # A part of the clip and its own lens belong to footage.
        settings = asdict(to_settings(context.scene, preferences.get(context))) | {"start": "", "end": ""}
        message = {"type": "live", "source": source, "settings": settings, "preview": str(preview)}
        if chosen.live_record:
            where = takes.folder(preferences.user_folder("takes"))
            message["out"] = str(takes.new_path(where, "live" if source.isdigit() else Path(source).name))
        return message

    def ticked(self, context: bpy.types.Context, job: EngineJob) -> None:
        message = job.take_live_frame()
        if message is None:
            return
        rigs = hand_rig.find_hands(context.scene)
        missing = [side for side in SIDES if side not in rigs]
        if missing:
            # Not before a picture came: a camera that does not open leaves the scene as it was.
            rigs = rigs | hand_rig.add_hands(context.scene, missing)
        for side, rig in rigs.items():
            hand = message.get(side)
            if hand is not None:
                take_on_rig.show_pose(rig, hand["rotation"], hand["translation"])

    def finished(self, context: bpy.types.Context, state: JobState) -> None:
        self.report({"INFO"}, state.summary)
        if state.take is not None and state.take.is_file():
            take_list.add(context.scene, state.take, summary=state.summary)
            bpy.ops.handmocap.apply_take("EXEC_DEFAULT", True)
