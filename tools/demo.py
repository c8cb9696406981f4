# SPDX-License-Identifier: GPL-3.0-or-later
"""`build.py demo`: from the bundled clip to hands in Blender."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from . import models
from .console import OUT, ROOT, BuildError, call, say, shown
from .environments import ensure

CLIP: Final = ROOT / "examples" / "two_hands.mp4"
TRUTH: Final = ROOT / "examples" / "two_hands.truth.npz"
TAKE: Final = OUT / "demo.take.npz"
BLEND: Final = OUT / "demo.blend"
PICTURE: Final = OUT / "demo.png"


def demo() -> int:
    """Capture, put the take into a Blender file, render it, compare it with the truth."""
    engine, blender = ensure("engine", "blender-5.0")
    models.ensure_models()
    OUT.mkdir(exist_ok=True)
    started = time.monotonic()
    say(f"Capturing {shown(CLIP)}")
    _step([engine, "-m", "blender_handmocap.engine", "capture", CLIP, "--out", TAKE, "--force"])
    say("Building, keying and rendering the hands in Blender")
    _step([blender, "-m", "examples.demo_scene", TAKE, "--clip", CLIP, "--blend", BLEND, "--picture", PICTURE])
    say(f"{shown(TAKE)}, {shown(BLEND)} and {shown(PICTURE)} after {time.monotonic() - started:.0f} s")
    _step([engine, "-m", "examples.demo_accuracy", TAKE, TRUTH])
    return 0


def _step(command: Sequence[str | Path]) -> None:
    code = call(command)
    if code == 130:
        raise KeyboardInterrupt
    if code != 0:
        raise BuildError(f"The demo stopped at this step with exit code {code}; what went wrong stands above.")
