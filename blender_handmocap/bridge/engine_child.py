# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's own process: it is spoken to, a thread hears what it says, and nobody ever waits for it."""

from __future__ import annotations

import json
import logging
import queue
import subprocess
import threading
from pathlib import Path
from typing import IO, Any

from . import engine_process

log = logging.getLogger("handmocap.engine_child")

Message = dict[str, Any]


class EngineChild:
    """One process of the engine and its log; it can do one job after another."""

    def __init__(self, log_file: Path, *, verbose: bool = False) -> None:
        """Start it; an OSError when that cannot be done. `verbose` lets it write every step into the log."""
        log_file.parent.mkdir(parents=True, exist_ok=True)
        self._log: IO[str] | None = log_file.open("w", encoding="utf-8")
        self.verbose = verbose
        self.messages: queue.Queue[Message | None] = queue.Queue()
        """what it said; None when it has ended"""
        self._jobs = 0
        options = ("--verbose",) if verbose else ()
        self.process = subprocess.Popen(
            engine_process.command(*options, "worker"),
            env=engine_process.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
            errors="replace",
            bufsize=1,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        threading.Thread(target=self._read, name="handmocap engine", daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                log.warning("The engine said something that is not a message: %.200s", line)
                continue
            if isinstance(message, dict):
                self.messages.put(message)
        # This thread sees the process to its end, so that neither pipes nor a zombie are left when the job is let go.
        self.process.stdout.close()
        self.process.wait()
        self.messages.put(None)

    @property
    def is_alive(self) -> bool:
        """Whether it can still be spoken to."""
        return self.process.poll() is None and self.process.stdin is not None and not self.process.stdin.closed

    def begin(self, command: Message) -> int:
        """Let it work on a command (without id), after those it was given before; the number of the job."""
        self._jobs += 1
        self.send({**command, "id": self._jobs})
        return self._jobs

    def send(self, message: Message) -> None:
        """Say something; an engine that is gone is told by the end of what it says."""
        if self.process.stdin is None or self.process.stdin.closed:
            return
        try:
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
        except OSError:
            log.info("The engine no longer listens.")

    def kill(self) -> None:
        """End it at once."""
        if self.process.poll() is None:
            self.process.kill()

    def leave(self, job: int) -> None:
        """Let it go; a job that runs is asked to keep its frames, and the process ends by itself."""
        if self.process.poll() is None:
            self.send({"type": "cancel", "id": job})
            self.send({"type": "shutdown"})
        if self.process.stdin is not None:
            try:
                self.process.stdin.close()
            except OSError:
                log.info("The engine was gone before its last message.")
        if self._log is not None:
            self._log.close()
            self._log = None
