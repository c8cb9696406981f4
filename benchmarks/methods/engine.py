# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own engine, as a user runs it: footage in, a Take out."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.errors import HandMocapError
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.settings import Eyes, Mode, Settings
from blender_handmocap.engine.site import ONE_THREAD
from blender_handmocap.engine.take import Take, load_take

from ..hands import Clip, Picture, Seen, SeenHand

log = logging.getLogger(__name__)

_ROOT: Final = Path(__file__).resolve().parents[2]
_STOPPED: Final = "The engine stopped in the middle of the benchmark; its message is in the log above."


class EngineStoppedError(HandMocapError):
    """The engine's process ended by itself."""


class Engine:
    """A running engine; use `running()`."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, eyes: Eyes) -> None:
        self._eyes = eyes
        self._process = process
        self._folder = folder

    def see(
        self, clip: Clip, camera: Camera, *, mode: Mode, eyes: Eyes | None = None, pair_eyes: bool = Settings.pair_eyes
    ) -> Seen:
        """Capture one clip with the camera every other method gets; `eyes` other than the engine's own."""
        out = self._folder / "take.npz"
        out.unlink(missing_ok=True)
        answer = self._ask(
            {
                "op": "capture",
                "source": str(clip.source),
                "out": str(out),
                "settings": {
                    "mode": mode if clip.ordered else "stills",
                    "eyes": eyes or self._eyes,
                    "pair_eyes": pair_eyes,
                    "focal": float(camera.K[0, 0]),
                    "distortion": camera.dist.tolist(),
                    "end": str(clip.frames[-1].index) if clip.frames and clip.ordered else "",
                },
                "camera": None if clip.K is None else {"K": camera.K.tolist(), "dist": camera.dist.tolist()},
            }
        )
        if "error" in answer:
            log.info("%s: %s", clip.name, answer["error"])
            nothing: dict[int, list[SeenHand]] = {index: [] for index, _ in clip.pictures()}
            return Seen(nothing)
        take = load_take(out)
        seen = seen_of(take)
        seen.peak_mb = answer["peak_mb"]
        seen.stages_ms = answer["stages"]
        seen.ms = dict.fromkeys(seen.hands, answer["seconds"] * 1000.0 / max(len(take), 1))
        return seen

    def open(self, camera: Camera) -> None:
        """Begin a live clip."""
        told = {"K": camera.K.tolist(), "dist": camera.dist.tolist(), "width": camera.width, "height": camera.height}
        self._send({"op": "open", "settings": {"mode": "live", "eyes": self._eyes}, "camera": told})

    def step(self, picture: Picture, time: float, camera: Camera) -> tuple[list[SeenHand], float]:
        """The hands of one live picture at `time` seconds, and the milliseconds to the polished pose."""
        height, width = picture.shape[:2]
        request = {"op": "frame", "height": height, "width": width, "time": time}
        self._send(request, np.ascontiguousarray(picture).tobytes())
        answer = self._receive()
        hands = []
        for side in SIDES:
            told = answer["hands"].get(side)
            if told is not None:
                points = np.array(told["points"])
                hands.append(
                    SeenHand(
                        side=side,
                        points2d=camera.project(points),
                        points3d=points * 1000.0,
                        confidence=told["confidence"],
                        palm_mm=answer["size"] * 1000.0,
                        rotation=np.array(told["rotation"]),
                    )
                )
        return hands, float(answer["ms"])

    def stages(self) -> tuple[dict[str, float], float | None]:
        """Milliseconds a frame by stage of the live clip that ends here, and the most memory so far, MB."""
        answer = self._ask({"op": "close"})
        return answer["stages"], answer["peak_mb"]

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        self._send(message)
        return self._receive()

    def _send(self, message: dict[str, Any], raw: bytes = b"") -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n" + raw)
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise EngineStoppedError(_STOPPED) from error

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise EngineStoppedError(_STOPPED)
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def running(eyes: Eyes = Settings.eyes) -> Iterator[Engine]:
    """An engine that ends with the block."""
    with tempfile.TemporaryDirectory() as folder:
        # As the command line and Blender start it.
        environment = {**dict.fromkeys(ONE_THREAD, "1"), **os.environ, "PYTHONPATH": str(_ROOT)}
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.methods.engine_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            env=environment,
        )
        try:
            yield Engine(process, Path(folder), eyes)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def seen_of(take: Take) -> Seen:
    """A Take as what a method reports."""
    camera_of = [take.K if take.K.ndim == 2 else take.K[row] for row in range(len(take))]
    hands: dict[int, list[SeenHand]] = {int(frame): [] for frame in take.frame}
    for side in SIDES:
        track = take.track(side)
        for row in np.flatnonzero(track.present):
            points = track.points[row]
            camera = Camera(K=camera_of[row], dist=take.dist, width=0, height=0)
            hands[int(take.frame[row])].append(
                SeenHand(
                    side=side,
                    points2d=camera.project(points),
                    points3d=points * 1000.0,
                    confidence=float(track.confidence[row]),
                    palm_mm=take.size * 1000.0,
                    rotation=track.rotation[row],
                )
            )
    return Seen(hands, take=take)
