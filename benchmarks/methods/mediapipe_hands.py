# SPDX-License-Identifier: GPL-3.0-or-later
"""MediaPipe Hands 0.10.21, run as a child process, and its two readings in millimetres."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.errors import HandMocapError

from ..hands import Array, Clip, Picture

log = logging.getLogger(__name__)

VERSION: Final = "0.10.21"
PYTHON_VARIABLE: Final = "HANDMOCAP_MEDIAPIPE_PYTHON"
_CHILD: Final = Path(__file__).with_name("mediapipe_child.py")
_ROOT: Final = Path(__file__).resolve().parents[2]

Reading = Literal["world", "best", "average"]


class MediaPipeMissingError(HandMocapError):
    """MediaPipe cannot be run here; its rows stay empty."""


@dataclass(frozen=True)
class RawHand:
    """One hand as MediaPipe says it."""

    right: float
    """probability of a right hand, picture not mirrored"""
    image: Array
    """(21, 3) x, y in pixels, z in pixels of the picture's width"""
    world: Array
    """(21, 3) metres, about the hand's middle"""


@dataclass
class RawClip:
    """One clip as MediaPipe says it."""

    hands: dict[int, list[RawHand]]
    ms: dict[int, float]
    peak_mb: float | None = None


def python_with_mediapipe() -> Path:
    """The Python to run it with: the variable, else the environment build.py makes."""
    named = os.environ.get(PYTHON_VARIABLE)
    folder = _ROOT / ".venv" / "mediapipe"
    made = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    path = Path(named) if named else made
    if not path.exists():
        raise MediaPipeMissingError(
            f"MediaPipe's rows are left out because there is no environment for it at {path}; "
            f"make one with mediapipe {VERSION} and name its Python in {PYTHON_VARIABLE}."
        )
    return path


class MediaPipe:
    """A running MediaPipe Hands; use `running()`."""

    def __init__(self, process: subprocess.Popen[bytes], complaints: IO[bytes]) -> None:
        self._process = process
        self._complaints = complaints

    def open(self, *, static: bool, hands: int = 2) -> None:
        """Forget the last clip; `static` detects anew in every picture."""
        self._send({"op": "open", "static": static, "hands": hands})

    def see(self, picture: Picture) -> tuple[list[RawHand], float]:
        """The hands of one picture, and the milliseconds MediaPipe took."""
        height, width = picture.shape[:2]
        self._send({"op": "frame", "height": height, "width": width}, np.ascontiguousarray(picture).tobytes())
        answer = self._receive()
        scale = np.array([width, height, width], np.float64)
        hands = [
            RawHand(
                right=hand["right"],
                # MediaPipe's 0..1 runs from the picture's edge; an integer is a pixel's centre here.
                image=np.array(hand["image"]) * scale - [0.5, 0.5, 0.0],
                world=np.array(hand["world"]),
            )
            for hand in answer["hands"]
        ]
        return hands, float(answer["ms"])

    def close(self) -> float | None:
        """End it; the most memory it held, MB."""
        self._send({"op": "close"})
        peak: float | None = self._receive()["peak_mb"]
        return peak

    def _send(self, message: dict[str, Any], raw: bytes = b"") -> None:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps(message).encode() + b"\n" + raw)
            stdin.flush()
        except BrokenPipeError as error:
            raise self._stopped() from error

    def _receive(self) -> dict[str, Any]:
        stdout = self._process.stdout
        assert stdout is not None
        line = stdout.readline()
        if not line:
            raise self._stopped()
        message: dict[str, Any] = json.loads(line)
        return message

    def _stopped(self) -> MediaPipeMissingError:
        """What its last words were."""
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        last = f' ("{lines[-1].strip()}")' if lines else ""
        return MediaPipeMissingError(
            f"MediaPipe's rows are left out because it stopped by itself{last}; "
            f"run {_CHILD.name} with {python_with_mediapipe()} to see why."
        )


@contextmanager
def running() -> Iterator[MediaPipe]:
    """A MediaPipe that ends with the block."""
    command = [str(python_with_mediapipe()), "-I", str(_CHILD)]
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints)
        try:
            mediapipe = MediaPipe(process, complaints)
            version = mediapipe._receive()["version"]
            if version != VERSION:
                log.warning("This is MediaPipe %s; the figures are meant for %s.", version, VERSION)
            yield mediapipe
        finally:
            if process.stdin is not None:
                with suppress(BrokenPipeError):
                    process.stdin.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def see_clip(mediapipe: MediaPipe, clip: Clip, *, static: bool) -> RawClip:
    """MediaPipe over one clip: every picture, or each alone when `static`."""
    wanted = {frame.index for frame in clip.frames}
    result = RawClip({}, {})
    mediapipe.open(static=static)
    for index, picture in clip.pictures():
        if static and wanted and index not in wanted:
            continue
        result.hands[index], result.ms[index] = mediapipe.see(picture)
    return result


def reading(hand: RawHand, kind: Reading) -> Array:
    """(21, 3) mm, axes of a camera that looks straight at the hand, about the points' mean.

    `world` is what MediaPipe calls world landmarks. `best` keeps their depth and takes x and y from the
    picture, scaled so that the spread of x and y stays that of the world landmarks. `average` is the mean of the world
    landmarks and of the picture's x, y and z, scaled to the same spread.
    """
    world = (hand.world - hand.world.mean(0)) * 1000.0
    if kind == "world":
        return world
    screen = hand.image - hand.image.mean(0)
    if kind == "average":
        return (world + screen * _ratio(world, screen)) / 2
    flat = screen[:, :2]
    return np.concatenate([flat * _ratio(world[:, :2], flat), world[:, 2:]], axis=1)


def _ratio(first: Array, second: Array) -> float:
    """How much wider the first cloud spreads."""
    return float(np.linalg.norm(first) / max(float(np.linalg.norm(second)), 1e-9))


def turned_to_camera(points: Array, image: NDArray[np.float64], K: Array) -> Array:
    """Points (21, 3) seen straight on, turned into the axes of the full picture's camera.

    A hand off the picture's middle is seen along its own ray; MediaPipe's crop does not know that. The shortest
    rotation from the optical axis to the ray through the middle of the hand (image (21, 3) pixels) undoes it.
    """
    middle = (image[:, :2].min(0) + image[:, :2].max(0)) / 2
    ray = np.array([(middle[0] - K[0, 2]) / K[0, 0], (middle[1] - K[1, 2]) / K[1, 1], 1.0])
    ray /= np.linalg.norm(ray)
    axis = np.array([-ray[1], ray[0], 0.0])
    k = np.array([[0, 0, axis[1]], [0, 0, -axis[0]], [-axis[1], axis[0], 0]])
    turn = np.eye(3) + k + k @ k / (1.0 + ray[2])
    return points @ turn.T
