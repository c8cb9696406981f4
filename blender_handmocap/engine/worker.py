# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine as a child process: JSON lines in, JSON lines out, arrays by file. See docs/worker.md.

One job runs at a time, on the main thread; a reader thread listens for `cancel` and
`shutdown` meanwhile. When standard input closes, the parent is gone: the running job is
asked to stop, what is finished stays on disk, and the process ends.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from .errors import BadInputError, HandMocapError
from .progress import Pace, Progress
from .settings import Settings
from .version import VERSION

if TYPE_CHECKING:
    from .live import Recorder
    from .take import Take

log = logging.getLogger("handmocap.worker")

PROTOCOL: Final = 1
_GRACE_SECONDS: Final = 5.0
_PROGRESS_SECONDS: Final = 0.1
_PREVIEW_SECONDS: Final = 0.4

Message = dict[str, Any]


def serve() -> int:
    """Answer commands until `shutdown` or the end of standard input."""
    # Libraries may print; only messages may reach the parent.
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return _Server(channel, sys.stdin).run()


class _Server:
    def __init__(self, channel: TextIO, commands: TextIO) -> None:
        self._channel = channel
        self._commands = commands
        self._lock = threading.Lock()
        self._queue: queue.Queue[Message] = queue.Queue()
        self._stop_job = threading.Event()
        self._closing = threading.Event()
        self._job: object = None
        self._unwanted: set[object] = set()
        self._recorder: Recorder | None = None
        self._jobs: dict[str, Callable[[Message], None]] = {
            "capture": self._capture,
            "live": self._live,
            "resolve": self._resolve,
            "import_results": self._import_results,
            "polish": self._polish,
            "cameras": self._cameras,
            "snapshot": self._snapshot,
            "warm_up": self._warm_up,
            "calibrate_photo": self._calibrate_photo,
            "info": self._info,
        }

    def run(self) -> int:
        self.send(type="hello", protocol=PROTOCOL, version=VERSION, pid=os.getpid())
        threading.Thread(target=self._listen, name="commands", daemon=True).start()
        while not self._closing.is_set():
            message = self._queue.get()
            if message.get("type") == "shutdown":
                break
            self._answer(message)
        return 0

    def send(self, **message: Any) -> None:
        """One line to the parent; a parent that is gone ends the work."""
        line = json.dumps(message, allow_nan=False)
        try:
            with self._lock:
                self._channel.write(line + "\n")
        except (BrokenPipeError, OSError, ValueError):
            self._stop_job.set()
            self._closing.set()

    def _listen(self) -> None:
        for line in self._commands:
            if not line.strip():
                continue
            try:
                message = json.loads(line)
                if not isinstance(message, dict):
                    raise ValueError("a message is an object")
            except ValueError as error:
                self.send(type="error", id=None, message=f"A message could not be read ({error}).", hint="")
                continue
            self._route(message)
        # Standard input closed: the parent is gone.
        self._closing.set()
        self._stop_job.set()
        self._queue.put({"type": "shutdown"})
        time.sleep(_GRACE_SECONDS)
        os._exit(1)

    def _route(self, message: Message) -> None:
        kind = message.get("type")
        if kind == "cancel":
            if message.get("id", self._job) == self._job:
                self._stop_job.set()
            else:
                # Cancelled while it still waits in the queue.
                self._unwanted.add(message["id"])
            return
        if kind == "record":
            self._record(message)
            return
        if kind == "shutdown":
            self._closing.set()
            self._stop_job.set()
        self._queue.put(message)

    def _answer(self, message: Message) -> None:
        job = self._jobs.get(str(message.get("type")))
        identity = message.get("id")
        if job is None:
            known = ", ".join([*self._jobs, "cancel", "shutdown"])
            self.send(
                type="error",
                id=identity,
                message=f"There is no command {message.get('type')!r}; there are {known}.",
                hint="",
            )
            return
        self._stop_job.clear()
        if self._closing.is_set():
            return
        self._job = identity if identity is not None else object()
        if identity in self._unwanted:
            self._stop_job.set()
        try:
            job(message)
        except HandMocapError as error:
            log.info("job failed", exc_info=True)
            self.send(type="error", id=identity, message=str(error), hint=error.hint)
        except Exception as error:
            log.exception("job failed")
            self.send(
                type="error",
                id=identity,
                message=f"The engine failed unexpectedly ({type(error).__name__}: {error}); the log has the details.",
                hint="Report it with the log.",
            )
        finally:
            self._job = None

    def _progress(self, identity: object) -> Callable[[Progress], None]:
        pace = Pace()
        last = [-1e9]

        def tell(progress: Progress) -> None:
            now = time.monotonic()
            changed = progress.stage != pace.stage
            rate, left = pace.rate(progress, now=now)
            if now - last[0] < _PROGRESS_SECONDS and not changed and progress.done != progress.total:
                return
            last[0] = now
            self.send(
                type="progress",
                id=identity,
                stage=progress.stage,
                done=progress.done,
                total=progress.total,
                rate=round(rate, 2),
                left=None if left is None else round(left, 1),
            )

        return tell

    def _capture(self, message: Message) -> None:
        from . import pipeline

        identity, out = message.get("id"), Path(_text(message, "out"))
        resume = bool(message.get("resume", False))
        resuming = resume and pipeline.partial_folder(out).is_dir()
        if out.exists() and not resuming and not message.get("force", False):
            raise BadInputError(f"{out.name} is already there; choose another name for the take.")
        preview = pipeline.PreviewFile(Path(message["preview"]), _PREVIEW_SECONDS) if message.get("preview") else None

        def on_preview(image: Any, number: int) -> None:
            if preview is not None and preview.write(image):
                self.send(type="preview", id=identity, path=str(preview.path), frame=number)

        take = pipeline.capture(
            _text(message, "source"),
            settings_from_message(message.get("settings", {})),
            out=out,
            resume=resume,
            on_progress=self._progress(identity),
            on_preview=on_preview if preview is not None else None,
            on_part=self._part(identity, message.get("part")),
            cancelled=self._stop_job.is_set,
        )
        self._done(identity, take, out)

    def _part(self, identity: object, path: str | None) -> Callable[[Take], None] | None:
        """Keeps the take of a capture's first seconds at `path` and tells of it; None where nobody asked."""
        if not path:
            return None
        from .take import save_take

        def keep(take: Take) -> None:
            save_take(take, Path(path))
            self.send(type="part", id=identity, take=path, frames=len(take))

        return keep

    def _live(self, message: Message) -> None:
        from . import pipeline
        from .live import Recorder, live

        identity = message.get("id")
        mirrored = bool(message.get("mirror_preview", False))
        self._recorder = recorder = Recorder()
        if message.get("out"):
            self._record(message)
        preview = pipeline.PreviewFile(Path(message["preview"]), 1 / 15) if message.get("preview") else None

        def on_preview(image: Any, number: int) -> None:
            if preview is not None and preview.write(image[:, ::-1] if mirrored else image):
                self.send(type="preview", id=identity, path=str(preview.path), frame=number)

        report = live(
            str(message.get("source", "0")),
            settings_from_message({**message.get("settings", {}), "mode": "live"}),
            recorder=recorder,
            seconds=message.get("seconds"),
            on_frame=lambda frame: self.send(type="frame", id=identity, **frame.as_json()),
            on_preview=on_preview if preview is not None else None,
            cancelled=self._stop_job.is_set,
        )
        self.send(
            type="done",
            id=identity,
            take=str(recorder.out) if report.recorded else None,
            summary=report.sentence(),
            notes=list(report.notes),
            cancelled=False,
        )

    def _record(self, message: Message) -> None:
        """Let the live capture that runs record from now on; without one there is nothing to record."""
        recorder = self._recorder
        if recorder is not None:
            recorder.start(Path(_text(message, "out")), countdown=float(message.get("countdown") or 0.0))

    def _resolve(self, message: Message) -> None:
        from . import pipeline
        from .around import resolve_around
        from .take import load_take, save_take

        identity, source, out = message.get("id"), Path(_text(message, "take")), Path(_text(message, "out"))
        take = load_take(source)
        settings = settings_from_message(
            {**pipeline.settings_as_dict(pipeline.settings_of(take)), **message.get("settings", {})}
        )
        around = [int(index) for index in message.get("around", ())]
        solved = resolve_around(
            take, around, settings, parent=source, on_progress=self._progress(identity), cancelled=self._stop_job.is_set
        )
        save_take(solved, out)
        shape = solved.meta.get("shape", {})
        if message.get("picture") and shape.get("measured"):
            from .calibrate.proportions import draw_proportions

            picture = draw_proportions(shape["measured"], shape["fitted"])
            pipeline.PreviewFile(Path(message["picture"]), 0.0).write(picture)
        self._done(identity, solved, out)

    def _import_results(self, message: Message) -> None:
        """Hands that another network found become a take; their depth is solved again."""
        from .imports.hand_results import import_results
        from .pipeline import solved
        from .take import save_take

        identity, source, out = message.get("id"), Path(_text(message, "source")), Path(_text(message, "out"))
        settings = settings_from_message(message.get("settings", {}))
        size = message.get("size")
        seen = import_results(
            source,
            settings,
            rate=float(message.get("rate") or 30.0),
            size=(int(size[0]), int(size[1])) if size else None,
            mirrored_left=bool(message.get("mirrored_left", True)),
            source=str(message.get("footage", "")),
        )
        take = solved(seen, settings, on_progress=self._progress(identity), cancelled=self._stop_job.is_set)
        save_take(take, out)
        self._done(identity, take, out)

    def _polish(self, message: Message) -> None:
        from . import pipeline
        from .polish import PolishSettings
        from .take import load_take, save_take

        identity, source, out = message.get("id"), Path(_text(message, "take")), Path(_text(message, "out"))
        known = {f.name for f in fields(PolishSettings)}
        choices = PolishSettings(**_only(message.get("polish", {}), known))
        polished = pipeline.repolish(load_take(source), choices, parent=source)
        save_take(polished, out)
        self._done(identity, polished, out)

    def _cameras(self, message: Message) -> None:
        from .cameras import list_cameras

        found = [camera.as_json() for camera in list_cameras()]
        summary = f"{len(found)} camera{'s' * (len(found) != 1)} found."
        self.send(type="done", id=message.get("id"), take=None, summary=summary, cameras=found, cancelled=False)

    def _snapshot(self, message: Message) -> None:
        """One picture, of a camera or a file, into a take of one frame: what poses a hand."""
        from .snapshot import capture_snapshot
        from .take import save_take

        identity, out = message.get("id"), Path(_text(message, "out"))
        picture = Path(message["preview"]) if message.get("preview") else None
        settings = settings_from_message({**message.get("settings", {}), "mode": "stills"})
        take = capture_snapshot(_text(message, "source"), settings, frame=message.get("frame"), picture=picture)
        save_take(take, out)
        self._done(identity, take, out)

    def _warm_up(self, message: Message) -> None:
        """Load what a picture needs, so that the next snapshot is answered at once."""
        from .snapshot import warm_up

        warm_up()
        self.send(type="done", id=message.get("id"), take=None, summary="Ready.", cancelled=False)

    def _calibrate_photo(self, message: Message) -> None:
        from .calibrate.photo import measure_photo
        from .pipeline import PreviewFile

        found = measure_photo(_text(message, "source"), str(message.get("reference", "a4")))
        if message.get("picture"):
            PreviewFile(Path(message["picture"]), 0.0).write(found.picture)
        self.send(
            type="done",
            id=message.get("id"),
            take=None,
            summary=found.sentence(),
            performer=found.as_json(),
            picture=message.get("picture"),
            cancelled=False,
        )

    def _info(self, message: Message) -> None:
        from .info import collect

        self.send(type="info", id=message.get("id"), facts=collect(self_test=bool(message.get("self_test", False))))

    def _done(self, identity: object, take: Take, out: Path) -> None:
        from .notes import notes, summary

        stopped = bool(take.meta.get("cancelled", False))
        self.send(type="done", id=identity, take=str(out), summary=summary(take), notes=notes(take), cancelled=stopped)


def _text(message: Message, key: str) -> str:
    value = message.get(key)
    if not isinstance(value, str) or not value:
        raise BadInputError(f"The command {message.get('type')!r} needs {key!r}; send it as text.")
    return value


def _only(values: dict[str, Any], known: set[str]) -> dict[str, Any]:
    unknown = sorted(set(values) - known)
    if unknown:
        raise BadInputError(f"There is no setting {unknown[0]!r}; there are {', '.join(sorted(known))}.")
    return values


def settings_from_message(values: dict[str, Any]) -> Settings:
    """Settings from JSON: lists become tuples; unknown names are refused with the known ones."""
    known = {f.name for f in fields(Settings)}
    plain = dict(_only(values, known))
    if plain.get("region") is not None:
        plain["region"] = tuple(plain["region"])
    if "ignore" in plain:
        plain["ignore"] = tuple(tuple(box) for box in plain["ignore"])
    if "betas" in plain:
        plain["betas"] = tuple(plain["betas"])
    if "distortion" in plain:
        plain["distortion"] = tuple(plain["distortion"])
    return Settings(**plain)
