# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators over the engine's process share: they start a job, poll it, and never hold up the window."""

from __future__ import annotations

import time
from abc import ABCMeta, abstractmethod
from pathlib import Path
from typing import Any, Final

import bpy

from ..bridge import engine_job, windows
from ..bridge.engine_job import EngineJob, JobState
from ..engine.errors import HandMocapError
from . import preview_picture
from .reporting import Result

TICK_SECONDS: Final = 0.1
BACKGROUND_SECONDS: Final = 24 * 3600.0


class _OperatorMeta(ABCMeta, type(bpy.types.Operator)):
    """Lets an operator be an abstract class."""


class EngineModal(metaclass=_OperatorMeta):
    """Mix in before `bpy.types.Operator`; say `purpose`, `command` and `finished`.

    No UNDO: the job writes no Blender data. `finished` calls an operator that does, in one undo step of its own.
    """

    purpose: str
    keeps_engine = False
    """whether the engine stands ready for the next job of this purpose; see warm_up.py for how long"""
    escape_text = "Stop and keep the finished frames"
    _timer: Any = None
    _shown = ""

    @classmethod
    def register(cls) -> None:
        """Blender calls this of a class it registers; without it, it would find the one of ABCMeta."""

    @abstractmethod
    def command(self, context: bpy.types.Context) -> engine_job.Message:
        """The command for the engine; a HandMocapError when something is missing."""

    @abstractmethod
    def finished(self, context: bpy.types.Context, state: JobState) -> None:
        """Take over what the job left."""

    def failed(self, context: bpy.types.Context, state: JobState) -> None:
        """Save what can be saved of a job that ended with an error."""

    def ticked(self, context: bpy.types.Context, job: EngineJob) -> None:
        """Called after each poll while the job runs."""

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Result:
        if bpy.app.background or context.window is None:
            return self.execute(context)
        if not self._start(context):
            return {"CANCELLED"}
        manager = context.window_manager
        self._timer = manager.event_timer_add(TICK_SECONDS, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> Result:
        if not self._start(context):
            return {"CANCELLED"}
        job = engine_job.current(self.purpose)
        try:
            while not job.poll().finished:
                self.ticked(context, job)
                time.sleep(TICK_SECONDS / 4)
        except KeyboardInterrupt:
            job.cancel()
            job.wait(BACKGROUND_SECONDS)
        return self._finish(context, job)

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        job = engine_job.current(self.purpose)
        if job is None:
            return self._finish(context, None)
        if event.type == "ESC" and event.value == "PRESS" and not job.state.finished:
            job.cancel()
            return {"RUNNING_MODAL"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        state = job.poll()
        # While the user drags something, Blender's data is in between: what is to be changed waits.
        if not windows.others_busy(context):
            self.ticked(context, job)
            if state.finished:
                return self._finish(context, job)
        preview_picture.show(state)
        self._tell(context, state)
        return {"PASS_THROUGH"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender ends the operator (another file is opened, the window closes): frames are kept on disk."""
        job = engine_job.current(self.purpose)
        if job is not None:
            job.cancel()
            bpy.app.timers.register(lambda: None if job.poll().finished else 0.5, persistent=True)
        self._leave(context)

    def _start(self, context: bpy.types.Context) -> bool:
        if engine_job.running(self.purpose):
            self.report({"WARNING"}, "One is already under way; stop it first.")
            return False
        try:
            command = self.command(context)
        except HandMocapError as error:
            self.report({"ERROR"}, f"{error} {error.hint}".strip())
            return False
        from .. import preferences

        engine_job.start(
            self.purpose,
            command,
            log_file(self.purpose),
            verbose=preferences.wants_details(context),
            keep_engine=self.keeps_engine,
        )
        return True

    def _finish(self, context: bpy.types.Context, job: EngineJob | None) -> Result:
        self._leave(context)
        if job is None:
            return {"CANCELLED"}
        state = job.state
        if state.error:
            self.failed(context, state)
            self.report({"WARNING" if state.cancelled else "ERROR"}, state.error)
            return {"CANCELLED"}
        self.finished(context, state)
        return {"FINISHED"}

    def _leave(self, context: bpy.types.Context) -> None:
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
        if context.workspace is not None:
            context.workspace.status_text_set(None)
        preview_picture.forget()
        windows.redraw_sidebars(context)

    def _tell(self, context: bpy.types.Context, state: JobState) -> None:
        line = state.line
        if line != self._shown:
            self._shown = line
            context.workspace.status_text_set(f"HandMocap: {line}   [Esc] {self.escape_text}")
            windows.redraw_sidebars(context)


def log_file(purpose: str) -> Path:
    """Where the engine writes its log."""
    from .. import preferences

    return preferences.user_folder("logs") / f"{purpose}.log"
