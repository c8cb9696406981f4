# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the engine, in its own process, whether it can work here."""

from __future__ import annotations

import subprocess

import bpy

from ..bridge import engine_process


class HANDMOCAP_OT_self_test(bpy.types.Operator):
    bl_idname = "handmocap.self_test"
    bl_label = "Test the Engine"
    bl_description = "Start the engine in its own process and show what it found: versions, devices, models"

    def execute(self, context: bpy.types.Context) -> set[str]:
        from .. import preferences

        chosen = preferences.get(context)
        try:
            answer = engine_process.run("info", "--report")
        except subprocess.TimeoutExpired as error:
            chosen.remember_test(f"No answer within {error.timeout:.0f} seconds; close other programs and test again.")
            self.report({"ERROR"}, chosen.test_lines[-1])
            return {"CANCELLED"}
        except OSError as error:
            chosen.remember_test(f"The engine could not be started ({error.strerror}); install HandMocap again.")
            self.report({"ERROR"}, chosen.test_lines[-1])
            return {"CANCELLED"}
        chosen.remember_test(answer.stdout if answer.returncode == 0 else answer.stdout + answer.stderr)
        if answer.returncode != 0:
            self.report({"ERROR"}, f"The engine is not ready: {chosen.test_lines[-1]}")
            return {"CANCELLED"}
        self.report({"INFO"}, "The engine works.")
        return {"FINISHED"}
