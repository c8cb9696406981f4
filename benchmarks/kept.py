# SPDX-License-Identifier: GPL-3.0-or-later
"""What never changes from one revision of ours to the next, kept from run to run: MediaPipe's answers and the floor.

An answer is found again by all it depends on: the sha256 of the pictures or of the truth, MediaPipe's version, and the
files that make it. It is a .npz; the folder is safe to delete.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.names import SIDES

from .hands import Clip, Seen, SeenHand
from .methods.mediapipe_hands import VERSION, RawClip, RawHand

_ROOT: Final = Path(__file__).resolve().parents[1]
_ENGINE: Final = _ROOT / "blender_handmocap" / "engine"
_MEDIAPIPE_FILES: Final = tuple(
    _ROOT / "benchmarks" / "methods" / name for name in ("mediapipe_child.py", "mediapipe_hands.py")
)
_FLOOR_FILES: Final = (
    _ROOT / "benchmarks" / "methods" / "floor.py",
    _ROOT / "benchmarks" / "methods" / "analytic_ik.py",
    _ROOT / "blender_handmocap" / "models" / "hand.npz",
    _ENGINE / "rotations.py",
    _ENGINE / "fit" / "hinges.py",
    *sorted((_ENGINE / "hand").glob("*.py")),
)

Hand = TypeVar("Hand")


@dataclass(frozen=True)
class Kept:
    """Answers in a folder."""

    folder: Path

    def mediapipe(self, clip: Clip, *, static: bool, ask: Callable[[], RawClip]) -> RawClip:
        """What MediaPipe says of the clip's pictures; kept answers have no times."""
        wanted = [frame.index for frame in clip.frames] if static else []
        key = _key("mediapipe", VERSION, static, wanted, *_contents(_MEDIAPIPE_FILES), *_pictures(clip))
        path = self.folder / f"{key}.npz"
        if not path.exists():
            told = ask()
            _write(path, _of_raw(told))
            return told
        with np.load(path, allow_pickle=False) as file:
            return _raw(file)

    def floor(self, clip: Clip, fit: Callable[[Clip], Seen]) -> Seen:
        """Our hand fitted to the clip's truth."""
        truth = [
            (frame.index, hand.side, hand.points2d, hand.points3d) for frame in clip.frames for hand in frame.hands
        ]
        flat = [item for hand in truth for item in hand]
        indices = [frame.index for frame in clip.frames]
        path = self.folder / f"{_key('floor', indices, *_contents(_FLOOR_FILES), *flat)}.npz"
        if not path.exists():
            told = fit(clip)
            _write(path, _of_seen(told))
            return told
        with np.load(path, allow_pickle=False) as file:
            return _seen(file)


def _key(*parts: object) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
        total.update(b"|")
    return total.hexdigest()


def _contents(files: Iterable[Path]) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


def _pictures(clip: Clip) -> Iterable[object]:
    for index, picture in clip.pictures():
        yield from (index, picture.shape, picture)


def _write(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".partial.npz")
    np.savez_compressed(unfinished, **arrays)
    unfinished.replace(path)


def _of_raw(told: RawClip) -> dict[str, NDArray[Any]]:
    hands = [hand for one in told.hands.values() for hand in one]
    return {
        "index": np.array(list(told.hands), np.int64),
        "count": np.array([len(one) for one in told.hands.values()], np.int64),
        "right": np.array([hand.right for hand in hands]),
        "image": np.array([hand.image for hand in hands]).reshape(-1, 21, 3),
        "world": np.array([hand.world for hand in hands]).reshape(-1, 21, 3),
    }


def _raw(file: Any) -> RawClip:
    hands = [RawHand(*one) for one in zip(file["right"].tolist(), file["image"], file["world"], strict=True)]
    return RawClip(_by_frame(file, hands), {})


def _of_seen(told: Seen) -> dict[str, NDArray[Any]]:
    hands = [hand for one in told.hands.values() for hand in one]
    return {
        "index": np.array(list(told.hands), np.int64),
        "count": np.array([len(one) for one in told.hands.values()], np.int64),
        "side": np.array([SIDES.index(hand.side) for hand in hands], np.int64),
        "points2d": np.array([hand.points2d for hand in hands]).reshape(-1, 21, 2),
        "points3d": np.array([hand.points3d for hand in hands]).reshape(-1, 21, 3),
        "confidence": np.array([hand.confidence for hand in hands]),
        "palm_mm": np.array([hand.palm_mm for hand in hands]),
        "rotation": np.array([hand.rotation for hand in hands]).reshape(-1, 16, 4),
    }


def _seen(file: Any) -> Seen:
    columns = ("side", "points2d", "points3d", "confidence", "palm_mm", "rotation")
    hands = [
        SeenHand(
            side=SIDES[side], points2d=points2d, points3d=points3d, confidence=float(confidence),
            palm_mm=float(palm), rotation=rotation,
        )
        for side, points2d, points3d, confidence, palm, rotation in zip(*(file[name] for name in columns), strict=True)
    ]  # fmt: skip
    return Seen(_by_frame(file, hands))


def _by_frame(file: Any, hands: list[Hand]) -> dict[int, list[Hand]]:
    ends = np.cumsum(file["count"]).tolist()
    starts = [0, *ends[:-1]]
    return {int(i): hands[a:b] for i, a, b in zip(file["index"], starts, ends, strict=True)}
