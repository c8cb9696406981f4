# SPDX-License-Identifier: GPL-3.0-or-later
"""One job in the engine's own process, polled without ever waiting. See docs/worker.md for what is said.

A job holds no Blender data, so undo and file load cannot reach it. What it finished is on disk whatever happens to it.
"""

from __future__ import annotations

import logging
import queue
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..engine.errors import HandMocapError
from .engine_child import EngineChild

log = logging.getLogger("handmocap.engine_job")

PROTOCOL: Final = 1
_CANCEL_SECONDS: Final = 20.0
"""A capture that is stopped still solves what it saw; when nothing is heard for so long, the engine is ended."""

Message = dict[str, Any]


@dataclass
class JobState:
    """What is known of a job; panels draw this and nothing else."""

    stage: str = "starting"
    done: int = 0
    total: int | None = None
    rate: float = 0.0
    left: float | None = None
    preview: Path | None = None
    preview_count: int = 0
    """grows with each new picture"""
    finished: bool = False
    cancelling: bool = False
    cancelled: bool = False
    take: Path | None = None
    summary: str = ""
    notes: tuple[str, ...] = ()
    """sentences about damage, doubts and guesses, to show beside the summary"""
    part: Path | None = None
    """the take of the first seconds, while the rest is still being seen"""
    error: str = ""
    """one sentence when it failed, with what to do next"""
    answer: Message = field(default_factory=dict)
    """the message that ended the job, for what only one command answers"""
    live_frame: Message | None = None
    """the newest live frame that nobody has taken yet"""
    recording: bool = False
    recording_to: Path | None = None
    """the take that a live capture is to record into"""
    countdown: float | None = None
    """seconds until a live capture begins to record"""
    live_line: str = ""
    """latency and dropped frames of a live capture"""

    @property
    def share(self) -> float:
        """0..1 of the present stage; 0 where the end is not known."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    @property
    def line(self) -> str:
        """Frames, rate and time left in a few words."""
        if self.cancelling and not self.finished:
            return "Stopping, keeping the finished frames"
        if self.live_line:
            return f"Live {self.done} · {self.live_line}"
        return " · ".join(part for part in (self.counted, self.pace) if part)

    @property
    def counted(self) -> str:
        """The stage and how far it is."""
        if self.stage == "solving" and self.total:
            # Hands of frames are counted here, and nobody knows of so many frames.
            return f"Solving {self.share:.0%}"
        return f"{self.stage.capitalize()} {self.done}" + (f" / {self.total}" if self.total else "")

    @property
    def pace(self) -> str:
        """Rate and time left, as far as they are known."""
        parts = [f"{self.rate:.1f} frames/s"] if self.rate and self.stage != "solving" else []
        if self.left is not None:
            minutes, seconds = divmod(round(self.left), 60)
            parts.append(f"{minutes}:{seconds:02d} left")
        return " · ".join(parts)


class EngineJob:
    """One command that a process of the engine works on."""

    def __init__(
        self,
        command: Message,
        log_file: Path,
        *,
        verbose: bool = False,
        child: EngineChild | None = None,
        keep_child: bool = False,
    ) -> None:
        """Start on `command` (without id); a process that cannot start is a state with an error.

        `verbose` lets the engine write every step into the log; `child` is one that stands ready; `keep_child` lets
        it stand ready once more when this job is done.
        """
        self.state = JobState(recording_to=Path(str(command["out"])) if command.get("out") else None)
        self.log_file = log_file
        self.child: EngineChild | None = child
        self._keep_child = keep_child
        self._number = 0
        self._stop_by: float | None = None
        try:
            self.child = child or EngineChild(log_file, verbose=verbose)
        except OSError as error:
            self._fail(f"The engine could not be started ({error.strerror or error}); install HandMocap again.")
            return
        self._number = self.child.begin(command)

    def poll(self) -> JobState:
        """Take in what the engine said since the last call; never waits."""
        while not self.state.finished and self.child is not None:
            try:
                message = self.child.messages.get_nowait()
            except queue.Empty:
                break
            if message is None:
                self._died()
            else:
                self._hear(message)
                if self._stop_by is not None:
                    # It is at work on what it is to keep; a busy machine only takes its time.
                    self._stop_by = time.monotonic() + _CANCEL_SECONDS
        if self._stop_by is not None and time.monotonic() > self._stop_by and not self.state.finished:
            self._stop_by = None
            self._end_process()
            self.state.cancelled = True
            self._fail(f"The engine did not stop by itself and was ended. {self._kept()}")
        return self.state

    def wait(self, seconds: float) -> JobState:
        """Poll until the job is finished or the time is over; for background runs and tests."""
        until = time.monotonic() + seconds
        while not self.poll().finished and time.monotonic() < until:
            time.sleep(0.02)
        return self.state

    def take_live_frame(self) -> Message | None:
        """The newest live frame since the last call; older ones nobody will see are gone."""
        taken, self.state.live_frame = self.state.live_frame, None
        return taken

    def cancel(self) -> None:
        """Ask the job to stop and keep what is finished; asking again does nothing more."""
        if self.state.finished or self.state.cancelling:
            return
        self.state.cancelling = True
        self._stop_by = time.monotonic() + _CANCEL_SECONDS
        self._send({"type": "cancel", "id": self._number})

    def record(self, out: Path, countdown: float) -> None:
        """Let a live capture record into the take at `out` after a countdown in seconds."""
        self.state.recording_to = out
        self._send({"type": "record", "id": self._number, "out": str(out), "countdown": countdown})

    def close(self) -> None:
        """Let the engine go; a running job is asked to keep its frames, and the engine ends without its parent."""
        if self.child is not None:
            self.child.leave(self._number)

    def _hear(self, message: Message) -> None:
        state, kind = self.state, message.get("type")
        if message.get("id", self._number) not in (self._number, None):
            # Of what this engine did before.
            return
        if kind == "hello" and message.get("protocol") != PROTOCOL:
            self._end_process()
            self._fail("The engine is of another version than the extension; install HandMocap again.")
        elif kind == "progress":
            state.stage, state.done = str(message.get("stage", "")), int(message.get("done", 0))
            state.total, state.rate = message.get("total"), float(message.get("rate") or 0.0)
            state.left = message.get("left")
        elif kind == "preview":
            state.preview, state.preview_count = Path(str(message["path"])), state.preview_count + 1
        elif kind == "part":
            state.part = Path(str(message["take"]))
        elif kind == "frame":
            state.live_frame, state.done = message, int(message.get("frame", 0)) + 1
            state.recording, state.countdown = bool(message.get("recording")), message.get("countdown")
            latency, dropped = float(message.get("latency") or 0.0), int(message.get("dropped") or 0)
            state.live_line = f"{latency * 1e3:.0f} ms · {dropped} dropped"
        elif kind == "done":
            state.take = Path(str(message["take"])) if message.get("take") else None
            state.summary = str(message.get("summary", ""))
            state.answer = message
            state.notes = tuple(str(note) for note in message.get("notes", ()))
            state.cancelled = bool(message.get("cancelled", False)) or state.cancelling
            self._finish()
        elif kind == "info":
            state.answer = message
            self._finish()
        elif kind == "error":
            self._fail(f"{message.get('message', '')} {message.get('hint', '')}".strip())

    def _died(self) -> None:
        code = self.child.process.wait() if self.child is not None else None
        if self.state.cancelling:
            self.state.cancelled = True
        self._fail(f"The engine stopped unexpectedly (code {code}). {self._kept()}")

    def _kept(self) -> str:
        return f"Finished frames are kept: capture again with Resume. The log is {self.log_file}."

    def _fail(self, sentence: str) -> None:
        self.state.error = sentence
        self._finish()

    def _finish(self) -> None:
        self.state.finished = True
        self._stop_by = None
        if self.state.error or not self._keep_child:
            self.close()

    def _end_process(self) -> None:
        if self.child is not None:
            self.child.kill()

    def _send(self, message: Message) -> None:
        if self.child is not None:
            self.child.send(message)


class JobFailedError(HandMocapError):
    """The engine could not do a job; the sentence is the engine's own."""


_current: dict[str, EngineJob] = {}
"""Running jobs by what they are for; they outlive operators, scenes and files."""
_ready: dict[str, EngineChild] = {}
"""Engines that were started before they are needed, by what they will be for."""


def start(
    purpose: str, command: Message, log_file: Path, *, verbose: bool = False, keep_engine: bool = False
) -> EngineJob:
    """Start a job; the one before for the same purpose is let go. An engine that stands ready takes it on.

    `keep_engine` lets the engine stand ready for the next job once this one is done, until it is dismissed.
    """
    child = _taken_ready(purpose)
    if child is not None and not (child.is_alive and child.verbose == verbose):
        child.leave(0)
        child = None
    stop(purpose)
    job = _current[purpose] = EngineJob(command, log_file, verbose=verbose, child=child, keep_child=keep_engine)
    return job


def make_ready(purpose: str, warm_up: Message, log_file: Path, *, verbose: bool = False) -> None:
    """Start an engine for the next job of a purpose and let it load what that will need, unless one stands ready."""
    if running(purpose) or is_ready(purpose):
        return
    dismiss(purpose)
    try:
        _ready[purpose] = EngineChild(log_file, verbose=verbose)
    except OSError:
        # The job itself will say so, when somebody asks for one.
        log.info("No engine could be started in advance.", exc_info=True)
        return
    _ready[purpose].begin(warm_up)


def is_ready(purpose: str) -> bool:
    """Whether an engine stands ready for a purpose."""
    child, job = _ready.get(purpose), _current.get(purpose)
    if child is None and job is not None and job.state.finished:
        child = job.child
    return child is not None and child.is_alive


def dismiss(purpose: str) -> None:
    """Let go of an engine that stands ready for a purpose, if any."""
    child = _taken_ready(purpose)
    if child is not None:
        child.leave(0)


def _taken_ready(purpose: str) -> EngineChild | None:
    """The engine started in advance, else the one that the last job has kept; nobody else has it then."""
    child, job = _ready.pop(purpose, None), _current.get(purpose)
    if child is None and job is not None and job.state.finished:
        child, job.child = job.child, None
    return child


def current(purpose: str) -> EngineJob | None:
    """The job that runs or ran last for a purpose."""
    return _current.get(purpose)


def running(purpose: str) -> bool:
    """Whether a job for this purpose is under way; asks nobody."""
    job = _current.get(purpose)
    return job is not None and not job.state.finished


def any_running() -> bool:
    """Whether any job is under way; asks nobody."""
    return any(not job.state.finished for job in _current.values())


def stop(purpose: str) -> None:
    """Let the job for a purpose go, if any."""
    job = _current.pop(purpose, None)
    if job is not None:
        job.close()


def stop_all() -> None:
    """Let every job go: HandMocap is being disabled or Blender is leaving."""
    for purpose in [*_current, *_ready]:
        stop(purpose)
        dismiss(purpose)
