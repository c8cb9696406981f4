# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the engine, in its own process, whether it can work here, and say so in plain words."""

from __future__ import annotations

from typing import Any, Final

import bpy

from ..bridge.engine_job import JobState, Message
from .engine_modal import EngineModal
from .reporting import Result

PURPOSE: Final = "self_test"
DEVICE_NAMES: Final = {"cpu": "the processor", "cuda": "the NVIDIA graphics card"}


class HANDMOCAP_OT_self_test(EngineModal, bpy.types.Operator):
    bl_idname = "handmocap.self_test"
    bl_label = "Test the Engine"
    bl_description = "Start the engine in its own process and let it look at a picture; what it found is shown below"

    purpose = PURPOSE
    escape_text = "Stop"
    _passed = False

    def command(self, context: bpy.types.Context) -> Message:
        return {"type": "info", "self_test": True}

    def finished(self, context: bpy.types.Context, state: JobState) -> None:
        from .. import preferences

        facts = state.answer.get("facts", {})
        lines = plain_lines(facts)
        preferences.remember_test(lines)
        self._passed = bool(facts.get("ready"))
        if self._passed:
            self.report({"INFO"}, "The engine works.")
        else:
            problem = next((text for text, good in lines if not good), "it did not say why")
            self.report({"ERROR"}, f"The engine is not ready: {problem}")

    def _finish(self, context: bpy.types.Context, job: Any) -> Result:
        from .. import preferences

        result = super()._finish(context, job)
        if job is not None and job.state.error:
            preferences.remember_test([(job.state.error, False)])
        return result if self._passed else {"CANCELLED"}


def plain_lines(facts: dict[str, Any]) -> list[tuple[str, bool]]:
    """What `engine.info.collect` found as sentences, each with whether it is good."""
    lines = []
    for name, library in facts.get("libraries", {}).items():
        good = bool(library.get("found"))
        lines.append((f"{name} {library['version']}" if good else f"{name} is missing: {library['problem']}", good))
    models = facts.get("models", [])
    broken = [f"{model['name']}: {model['problem']}" for model in models if not model["ok"]]
    lines += [(text, False) for text in broken]
    if models and not broken:
        lines.append((f"All {len(models)} model files are whole.", True))
    devices = " and ".join(DEVICE_NAMES.get(device, device) for device in facts.get("devices", []))
    lines.append((f"It can run on {devices}.", True) if devices else ("Nothing to run on was found.", False))
    test = facts.get("self_test")
    if test is not None:
        lines.append((f"Self-test: {test['sentence']}.", bool(test["passed"])))
    lines.append(("Ready to capture.", True) if facts.get("ready") else ("Not ready: install HandMocap again.", False))
    return lines
