# SPDX-License-Identifier: GPL-3.0-or-later
"""MediaPipe's networks: fetched in their pinned wheel, converted once, never committed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

from . import pins
from .console import LOGS, PACKAGE, ROOT, VENV, BuildError, call_logged, say, shown
from .environments import ensure, pip, pip_failure

FOLDER: Final = PACKAGE / "models"
CACHE: Final = VENV / "models-cache"
CONVERTED: Final = CACHE / "converted.json"
CONVERTER: Final = ROOT / "training" / "mediapipe"
WHEEL_VARIABLE: Final = "HANDMOCAP_MEDIAPIPE_WHEEL"
"""Tests of the converter look for the wheel here."""

WHEEL_PLATFORMS: Final = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
"""The networks are the same in every wheel; one platform's serves all."""


def ensure_models() -> None:
    """The converted networks are in place and are what today's converter makes."""
    if _is_current():
        return
    (python,) = ensure("engine")
    wheel = ensure_wheel()
    say("Converting MediaPipe's networks.")
    done = call_logged(
        [python, CONVERTER / "convert.py", "--wheel", wheel, "--out", FOLDER], LOGS / "models.log", seconds=600
    )
    if done.returncode != 0:
        last = done.text.strip().splitlines()[-1:] or ["it said nothing"]
        raise BuildError(
            f"MediaPipe's networks could not be converted: {last[0]} (the whole output is in {shown(done.log)})."
        )
    files = {path.name: _sha256(path) for path in sorted(FOLDER.glob("mediapipe_*"))}
    CONVERTED.write_text(json.dumps({"recipe": _recipe(), "files": files}, indent=2), encoding="utf-8")


def ensure_wheel() -> Path:
    """The pinned mediapipe wheel in the cache; fetched, not installed."""
    version = pins.load().version("mediapipe", "mediapipe")
    found = sorted(CACHE.glob(f"mediapipe-{version}-*.whl"))
    if found:
        return found[0]
    ensure("engine")
    CACHE.mkdir(parents=True, exist_ok=True)
    say(f"Fetching the mediapipe {version} wheel for its networks.")
    platforms = [word for platform in WHEEL_PLATFORMS for word in ("--platform", platform)]
    target = ["--no-deps", "--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp", *platforms]
    done = pip("engine", "download", *target, "--dest", CACHE, f"mediapipe=={version}", log="mediapipe-wheel.log")
    found = sorted(CACHE.glob(f"mediapipe-{version}-*.whl"))
    if done.returncode != 0 or not found:
        raise BuildError(pip_failure(f"The mediapipe {version} wheel", done))
    return found[0]


def _is_current() -> bool:
    try:
        known = json.loads(CONVERTED.read_text(encoding="utf-8"))
        return (
            bool(known["files"])
            and known["recipe"] == _recipe()
            and all(_sha256(FOLDER / name) == digest for name, digest in known["files"].items())
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _recipe() -> str:
    """Changes with anything the converted files are made from."""
    made_from = hashlib.sha256("\n".join(pins.load().group("models") + pins.load().group("mediapipe")).encode())
    for path in sorted(CONVERTER.glob("*.py")):
        made_from.update(path.read_bytes())
    return made_from.hexdigest()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
