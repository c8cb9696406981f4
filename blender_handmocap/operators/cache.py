# SPDX-License-Identifier: GPL-3.0-or-later
"""What HandMocap keeps on the disk for a while, and its logs."""

from __future__ import annotations

import shutil

import bpy

from ..bridge import engine_job
from .reporting import Result


class HANDMOCAP_OT_clear_cache(bpy.types.Operator):
    bl_idname = "handmocap.clear_cache"
    bl_label = "Clear Cache"
    bl_description = "Delete preview pictures and other files HandMocap can make again; takes are not touched"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if engine_job.any_running():
            cls.poll_message_set("The engine is at work; wait for it or stop it first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Result:
        from .. import preferences

        shutil.rmtree(preferences.get(context).cache_path, ignore_errors=True)
        preferences.forget_cache_size()
        self.report({"INFO"}, "The cache is empty.")
        return {"FINISHED"}


class HANDMOCAP_OT_open_logs(bpy.types.Operator):
    bl_idname = "handmocap.open_logs"
    bl_label = "Open Log Folder"
    bl_description = "Show the folder of the engine's logs, one for each kind of work, for bug reports"

    def execute(self, context: bpy.types.Context) -> Result:
        from .. import preferences

        folder = preferences.user_folder("logs")
        folder.mkdir(parents=True, exist_ok=True)
        return bpy.ops.wm.path_open(filepath=str(folder))
