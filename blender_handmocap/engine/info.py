# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine and this installation can do: for `info`, bug reports and the preferences' self-test."""

from __future__ import annotations

import platform
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from .errors import HandMocapError
from .version import VERSION

_LIBRARIES: Final = ("numpy", "cv2", "onnxruntime")


def collect(*, self_test: bool = False) -> dict[str, Any]:
    """Plain facts, JSON-ready; `ready` is whether a capture can start. Paths are masked."""
    facts: dict[str, Any] = {
        "version": VERSION,
        "python": platform.python_version(),
        "system": platform.platform(),
        "executable": masked(sys.executable),
        "libraries": {name: _library(name) for name in _LIBRARIES},
    }
    facts["devices"] = _devices()
    facts["models"] = _models()
    facts["ready"] = all(library["found"] for library in facts["libraries"].values()) and all(
        model["ok"] for model in facts["models"]
    )
    if self_test and facts["ready"]:
        facts["self_test"] = _self_test()
        facts["ready"] = facts["self_test"]["passed"]
    return facts


def masked(text: str) -> str:
    """The text without the user's home folder and name."""
    return text.replace(str(Path.home()), "<home>").replace(Path.home().name or "\0", "<user>")


def describe(facts: dict[str, Any]) -> str:
    """The facts as lines to read."""
    lines = [f"HandMocap {facts['version']}, Python {facts['python']}, {facts['system']}", f"  {facts['executable']}"]
    lines += [
        f"  {name}: {library['version'] if library['found'] else 'missing: ' + library['problem']}"
        for name, library in facts["libraries"].items()
    ]
    lines.append(f"  devices: {', '.join(facts['devices']) or 'none'}")
    lines += [f"  {model['name']}: {'ok' if model['ok'] else model['problem']}" for model in facts["models"]]
    if "self_test" in facts:
        lines.append(f"  self-test: {facts['self_test']['sentence']}")
    lines.append("Ready to capture." if facts["ready"] else "Not ready: see above.")
    return "\n".join(lines)


def _library(name: str) -> dict[str, Any]:
    try:
        module = import_module(name)
    except ImportError as error:
        return {"found": False, "problem": masked(str(error))}
    return {"found": True, "version": str(getattr(module, "__version__", "unknown"))}


def _devices() -> list[str]:
    try:
        from .runtime import cuda_is_available
    except ImportError:
        return []
    return ["cpu", "cuda"] if cuda_is_available() else ["cpu"]


def _models() -> list[dict[str, Any]]:
    from .models import model_cards, model_file

    def problem(name: str) -> str:
        try:
            model_file(name)
        except HandMocapError as error:
            return masked(str(error))
        return ""

    try:
        problems = {name: problem(name) for name in sorted(model_cards())}
    except HandMocapError as error:
        problems = {"models.toml": masked(str(error))}
    return [{"name": name, "ok": not text, "problem": text} for name, text in problems.items()]


def _self_test() -> dict[str, Any]:
    """Pose a hand, draw its silhouette as a picture, and run every network on it once."""
    from .camera import Camera
    from .hand.free import free_hand
    from .rotations import IDENTITY
    from .see.clip import Seer
    from .settings import Settings

    start = time.perf_counter()
    try:
        camera = Camera.estimated(320, 240)
        hand = free_hand("right")
        pose = hand.pose(np.tile(IDENTITY, (1, 16, 1)), np.array([[0.05, 0.0, 0.5]]), hand.rest())
        if not np.isfinite(camera.project(pose.keypoints)).all():
            raise HandMocapError("The hand model gives numbers that are not finite; install HandMocap again.")
        seer = Seer(camera, Settings(device="cpu"))
        seer.step(np.full((240, 320, 3), 127, np.uint8), time=0.0)
    except HandMocapError as error:
        return {"passed": False, "sentence": masked(str(error))}
    milliseconds = (time.perf_counter() - start) * 1e3
    return {"passed": True, "sentence": f"hand model and networks answered in {milliseconds:.0f} ms"}
