# SPDX-License-Identifier: GPL-3.0-or-later
"""The .venv folders: each made with one resolver call, and taken for good only when it is whole."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Final

from . import pins, system_packages
from .console import LOGS, VENV, BuildError, Logged, call_logged, say, shown

READY: Final = "handmocap-ready"
"""A file in the environment, written last: the fingerprint of what it was made from."""

NETWORK_SIGNS: Final = (
    "NewConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "Read timed out",
    "ProxyError",
    "NameResolutionError",
    "Temporary failure in name resolution",
    "Network is unreachable",
    "ConnectionResetError",
    "Connection aborted",
    "ProtocolError",
    "SSLError",
    "CERTIFICATE_VERIFY_FAILED",
    "HTTP error 5",
)


def python_of(name: str) -> Path:
    """The interpreter of an environment, whether it is there or not."""
    return VENV / name / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def ensure(*names: str) -> list[Path]:
    """Interpreters of environments that are whole; what is missing or out of date is made, two at a time."""
    missing = [name for name in names if not is_ready(name)]
    if missing:
        system_packages.ensure_venv_module()
        with _lock(), ThreadPoolExecutor(2) as pool:
            # Another build.py may have made some of them while this one waited for the lock.
            for _ in pool.map(_make, [name for name in missing if not is_ready(name)]):
                pass
    for name in names:
        if name.startswith("blender-"):
            system_packages.ensure_blender_libraries(python_of(name), VENV / name)
    return [python_of(name) for name in names]


def is_ready(name: str) -> bool:
    """Made whole, from today's pins, by this Python, in this folder."""
    try:
        return (VENV / name / READY).read_text(encoding="utf-8") == _fingerprint(name)
    except OSError:
        return False


def _fingerprint(name: str) -> str:
    return pins.load().fingerprint(name, platform.python_version(), VENV / name)


def _make(name: str) -> None:
    requirements, limits = pins.load().environment(name), pins.load().limits(name)
    folder, started = VENV / name, time.monotonic()
    say(f"Setting up {shown(folder)}: {' '.join(requirements)}")
    try:
        if folder.exists():
            shutil.rmtree(folder)
        LOGS.mkdir(parents=True, exist_ok=True)
        _make_empty(name, folder)
        limits_file = folder / "constraints.txt"
        limits_file.write_text("\n".join(limits) + "\n", encoding="utf-8")
    except OSError as error:
        raise BuildError(
            f"{shown(folder)} could not be made ({error.strerror or error}); free it and try again."
        ) from error
    done = pip(name, "install", "--constraint", limits_file, *requirements, log=f"{name}.log")
    if done.returncode != 0:
        raise BuildError(pip_failure(f"The packages for {shown(folder)}", done))
    (folder / READY).write_text(_fingerprint(name), encoding="utf-8")
    say(f"{shown(folder)} is ready after {time.monotonic() - started:.0f} s.")


def _make_empty(name: str, folder: Path) -> None:
    done = call_logged([sys.executable, "-m", "venv", folder], LOGS / f"{name}.venv.log")
    if done.returncode != 0:
        raise BuildError(
            f"Python could not make the environment {shown(folder)} ({_last_line(done.text)}); "
            f"the whole output is in {shown(done.log)}."
        )


def pip(name: str, *arguments: str | Path, log: str) -> Logged:
    """An environment's pip, with the user's own configuration and the output in a log."""
    return call_logged(
        [python_of(name), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments], LOGS / log
    )


def pip_failure(what: str, done: Logged) -> str:
    """Why pip failed, in one sentence."""
    text = done.text
    errors = [line for line in text.splitlines() if line.startswith("ERROR:")]
    reason = (errors[0] if errors else _last_line(text)).removeprefix("ERROR:").strip().rstrip(".")
    if "No space left on device" in text:
        advice = "free some disk space and run the same command again"
    elif any(sign in text for sign in NETWORK_SIGNS):
        reason = "the package index could not be reached"
        advice = "check the network, or pip's own settings for a proxy or a mirror, and run the same command again"
    else:
        advice = "run the same command again when that is mended"
    return f"{what} could not be installed: {reason}; {advice} (the whole output is in {shown(done.log)})."


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


@contextlib.contextmanager
def _lock() -> Iterator[None]:
    """Two build.py at once wait for each other; a killed one leaves nothing locked."""
    VENV.mkdir(exist_ok=True)
    with (VENV / "lock").open("w", encoding="utf-8") as file:
        _lock_file(file)
        yield


def _lock_file(file: IO[str]) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
    else:
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another build.py is setting up the same folder; waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
