# SPDX-License-Identifier: GPL-3.0-or-later
"""Talking to whoever runs build.py, and running programs for them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
VENV: Final = ROOT / ".venv"
LOGS: Final = VENV / "logs"
OUT: Final = ROOT / "out"
PACKAGE: Final = ROOT / "blender_handmocap"

_WRITING: Final = threading.Lock()
_RUNNING: Final[set[subprocess.Popen[bytes]]] = set()
"""Programs running into log files."""
_ENDING: Final = threading.Event()
"""Everything is ended: what another thread is just starting, too."""


class BuildError(Exception):
    """Nothing more can be done; `str(error)` is one sentence for the user."""


def say(text: str) -> None:
    """One line for the user; lines of parallel work never mix."""
    with _WRITING:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def shown(path: Path) -> str:
    """A path as the user would type it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def child_environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's variables without those that would lead a virtual environment astray."""
    astray = {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    return {key: value for key, value in os.environ.items() if key not in astray} | dict(changes or {})


def call(command: Sequence[str | Path], changes: Mapping[str, str] | None = None) -> int:
    """Run a program in the foreground, in the repository, on the user's terminal; its exit code."""
    process = subprocess.Popen([str(part) for part in command], cwd=ROOT, env=child_environment(changes))
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # The program got the same Ctrl-C and ends in its own way; its answer is ours.
            continue
        except SystemExit:
            process.terminate()
            raise


@dataclass(frozen=True)
class Logged:
    """How a program run into a log file ended."""

    returncode: int
    log: Path
    timed_out: bool = False

    @property
    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


def call_logged(
    command: Sequence[str | Path],
    log: Path,
    *,
    seconds: float | None = None,
    changes: Mapping[str, str] | None = None,
) -> Logged:
    """Run a program with its output in `log`; past `seconds` it is ended, with everything it started."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env=child_environment(changes),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=os.name == "posix",
        )
        with _WRITING:
            _RUNNING.add(process)
        if _ENDING.is_set():
            _end(process)
        try:
            return Logged(process.wait(seconds), log)
        except subprocess.TimeoutExpired:
            _end(process)
            return Logged(process.wait(), log, timed_out=True)
        finally:
            with _WRITING:
                _RUNNING.discard(process)


def end_everything() -> None:
    """End what runs into log files, wherever it was started: Ctrl-C reaches neither its threads nor its sessions."""
    _ENDING.set()
    for process in tuple(_RUNNING):
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
