# SPDX-License-Identifier: GPL-3.0-or-later
"""Our engine in a process of its own, so that its time and memory are its own. One line of JSON a message.

    -> {"op": "capture", "source": "clip.mp4", "out": "take.npz", "settings": {...}, "camera": {"K", "dist"} or null}
    <- {"seconds": 3.2, "stages": {...}, "peak_mb": 240.0}  or  {"error": "one sentence"}
    -> {"op": "open", "settings": {...}, "camera": {"K", "dist", "width", "height"}}      live, picture by picture
    -> {"op": "frame", "height": 480, "width": 640, "time": 0.1}          then height * width * 3 bytes of RGB
    <- {"ms": 14.2, "hands": {"left": {"rotation", "points", "confidence"}}, "size": 0.09}
    -> {"op": "close"}
    <- {"stages": {...}, "peak_mb": 180.0}

`ms` is the time from picture to polished pose; stages are milliseconds a frame.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from blender_handmocap.engine import pipeline
from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.errors import HandMocapError
from blender_handmocap.engine.fit.live import LiveFitter
from blender_handmocap.engine.live import LiveCapture
from blender_handmocap.engine.polish.live import LivePolish
from blender_handmocap.engine.see.clip import Seer
from blender_handmocap.engine.see.landmarks import HandNetwork
from blender_handmocap.engine.see.palms import PalmDetector
from blender_handmocap.engine.settings import Settings
from blender_handmocap.engine.take import save_take

from .peak import peak_mb


class Stopwatch:
    """Adds up the time spent in chosen functions; nested ones count in both."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def watch(self, owner: Any, name: str, stage: str) -> None:
        """Replace a function of a class or a module by itself with a clock around it."""
        watched: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return watched(*arguments, **named)
            finally:
                self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started

        setattr(owner, name, timed)

    def milliseconds_a_frame(self, frames: int) -> dict[str, float]:
        """What each stage took, and start anew."""
        result = {stage: seconds * 1000.0 / max(frames, 1) for stage, seconds in self.seconds.items()}
        self.seconds.clear()
        return result


def _watched() -> Stopwatch:
    watch = Stopwatch()
    watch.watch(PalmDetector, "detect", "palms")
    watch.watch(HandNetwork, "look", "landmarks")
    watch.watch(Seer, "step", "see")
    watch.watch(Seer, "live", "see")
    watch.watch(LiveFitter, "step", "fit")
    watch.watch(LivePolish, "step", "polish")
    watch.watch(pipeline, "solve", "fit")
    watch.watch(pipeline, "polish", "polish")
    return watch


def main() -> None:
    messages = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    stream = sys.stdin.buffer
    watch = _watched()
    live: LiveCapture | None = None
    frames = 0
    for line in iter(stream.readline, b""):
        request = json.loads(line)
        if request["op"] == "capture":
            answer = _captured(request, watch)
        elif request["op"] == "open":
            live, frames = LiveCapture(_camera(request["camera"]), Settings(**request["settings"])), 0
            watch.seconds.clear()
            continue
        elif request["op"] == "frame" and live is not None:
            height, width = request["height"], request["width"]
            picture = np.frombuffer(stream.read(height * width * 3), np.uint8).reshape(height, width, 3)
            answer = _stepped(live, picture, request["time"])
            frames += 1
        else:
            answer = {"stages": watch.milliseconds_a_frame(frames), "peak_mb": peak_mb()}
        messages.write(json.dumps(answer) + "\n")


def _camera(told: dict[str, Any]) -> Camera:
    return Camera(K=np.array(told["K"]), dist=np.array(told["dist"]), width=told["width"], height=told["height"])


def _stepped(live: LiveCapture, picture: np.ndarray, at: float) -> dict[str, Any]:
    started = time.perf_counter()
    hands, _, _ = live.step(picture, at)
    elapsed = (time.perf_counter() - started) * 1000.0
    told = {
        side: {"rotation": hand.rotation.tolist(), "points": hand.points.tolist(), "confidence": float(hand.confidence)}
        for side, hand in hands.items()
    }
    return {"ms": elapsed, "hands": told, "size": live.size}


def _captured(job: dict[str, Any], watch: Stopwatch) -> dict[str, Any]:
    settings = Settings(**{**job["settings"], "distortion": tuple(job["settings"].get("distortion", ()))})
    watch.seconds.clear()
    started = time.perf_counter()
    try:
        take = pipeline.capture(job["source"], settings, out=Path(job["out"]))
    except HandMocapError as error:
        return {"error": str(error)}
    seconds = time.perf_counter() - started
    stages = watch.milliseconds_a_frame(len(take))
    camera = job.get("camera")
    if camera is not None and not np.allclose(take.K, camera["K"], atol=0.01):
        # The settings know a focal length; a test set knows the principal point too.
        take = pipeline.solved(replace(take, K=np.array(camera["K"]), dist=np.array(camera["dist"])), settings)
        save_take(take, job["out"])
    return {"seconds": seconds, "peak_mb": peak_mb(), "stages": stages}


if __name__ == "__main__":
    main()
