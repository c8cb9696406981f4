# SPDX-License-Identifier: GPL-3.0-or-later
"""Try the example: the bundled clip is captured and its hands are played over it."""

from __future__ import annotations

from collections.abc import Iterable

import bpy

from ..bridge import engine_job, example
from .capture import PURPOSE
from .reporting import Result, told


class HANDMOCAP_OT_try_example(bpy.types.Operator):
    bl_idname = "handmocap.try_example"
    bl_label = "Try the Example"
    bl_description = (
        "Capture the short clip that comes with HandMocap and play the hands over it; "
        "in a scene of its own when this one is not empty"
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if engine_job.running(PURPOSE):
            cls.poll_message_set("A capture is under way")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._capture(context))

    def _capture(self, context: bpy.types.Context) -> Iterable[str]:
        clip = example.clip()
        scene = example.scene_for_it(context)
        chosen = scene.handmocap
        chosen.source, chosen.footage = "FILE", str(clip)
        chosen.use_range = chosen.use_region = chosen.mirrored = chosen.use_performer = False
        chosen.hands, chosen.lens, chosen.timing = "both", "FOV", "AUTO"
        chosen.fov = example.FIELD_OF_VIEW
        chosen.apply_when_done = chosen.look_through = True
        with context.temp_override(scene=scene):
            bpy.ops.handmocap.capture("INVOKE_DEFAULT", resume=False, play=True)
        return ()
