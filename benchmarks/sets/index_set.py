# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets in the common form: an index.json beside pictures and movies.

A list of entries, one a hand:

    image, or video and frame     file names relative to the index; frame from 0
    hand                          "left" or "right"
    joints2d                      (21, 2) pixels, or null
    joints3d                      (21, 3) mm, camera axes, or null
    visible                       (21,) 0 or 1, optional
    K, dist                       (3, 3) and up to 5 coefficients, optional
    clip                          name of the sequence a picture belongs to, optional
    complete                      false if the picture holds hands that are not listed, optional

Entries that cannot be used are named in one sentence each and skipped.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.hand.names import KEYPOINT_COUNT, SIDES

from ..hands import Array, Clip, TestSet, TrueFrame, TrueHand
from . import pictures

_NOTES = {
    "two views, pseudo truth": (
        "The truth was triangulated from MediaPipe's own points in two views: it judges depth, bends and rotation, "
        "not 2D; its scale is assumed (wrist to middle knuckle 90 mm)."
    ),
}


@dataclass(frozen=True)
class _Entry:
    path: Path
    frame: int
    movie: bool
    hand: TrueHand
    K: Array | None
    dist: Array
    clip: str
    complete: bool


class _UnusableError(ValueError):
    """Why an entry is skipped."""


def load(path: Path) -> TestSet:
    """Read an index.json; what is wrong in it ends up in `skipped`."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInputError(f"{path} cannot be read ({error.strerror or error}); check the path.") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"{path} is not JSON ({error}); write a list of entries, see docs/benchmarks.md."
        ) from error
    if not isinstance(listed, list):
        raise BadInputError(f"{path} holds no list; write a list of entries, see docs/benchmarks.md.")
    entries: list[_Entry] = []
    skipped: list[str] = []
    readable: dict[Path, bool] = {}
    for number, raw in enumerate(listed):
        try:
            entry = _entry(raw, path.parent)
            if entry.path not in readable:
                readable[entry.path] = pictures.is_readable(entry.path)
            if not readable[entry.path]:
                raise _UnusableError(f"{entry.path.name} cannot be read as a {'movie' if entry.movie else 'picture'}")
            entries.append(entry)
        except _UnusableError as error:
            skipped.append(f"Entry {number} of {path.name} is skipped because {error}.")
    sources = {raw.get("source") for raw in listed if isinstance(raw, dict)}
    notes = [note for source, note in _NOTES.items() if source in sources]
    return TestSet(
        name=path.parent.name if path.name == "index.json" else path.stem,
        clips=tuple(_clips(entries)),
        skipped=tuple(skipped),
        note=" ".join(notes),
        judges_2d=not notes,
    )


def _entry(raw: Any, folder: Path) -> _Entry:
    if not isinstance(raw, dict):
        raise _UnusableError("it is not an object with keys")
    image, video = raw.get("image"), raw.get("video")
    name = video or image
    if not isinstance(name, str):
        raise _UnusableError("it names neither an image nor a video")
    path = folder / name
    if not path.is_file():
        raise _UnusableError(f"there is no file {name}")
    frame = raw.get("frame", 0) if video else 0
    if not isinstance(frame, int) or frame < 0:
        raise _UnusableError(f"frame {frame!r} is not a frame number")
    side = raw.get("hand")
    if side not in SIDES:
        raise _UnusableError(f"hand is {side!r}, not left or right")
    points2d, points3d = _numbers(raw, "joints2d", 2), _numbers(raw, "joints3d", 3)
    if points2d is None and points3d is None:
        raise _UnusableError("it has neither joints2d nor joints3d")
    K = _matrix(raw.get("K"))
    dist = _coefficients(raw.get("dist"))
    if points3d is None:
        points3d = np.full((KEYPOINT_COUNT, 3), np.nan)
    if points2d is None:
        if K is None:
            raise _UnusableError("without joints2d it needs K to say where the hand is")
        points2d = _projected(points3d, K, dist)
    visible = np.ones(KEYPOINT_COUNT, bool)
    if raw.get("visible") is not None:
        seen = np.asarray(raw["visible"])
        if seen.shape != (KEYPOINT_COUNT,):
            raise _UnusableError(f"visible has shape {seen.shape}, not ({KEYPOINT_COUNT},)")
        visible = seen.astype(bool)
    return _Entry(
        path=path,
        frame=frame,
        movie=bool(video),
        hand=TrueHand(side=side, points2d=points2d, points3d=points3d, visible=visible),
        K=K,
        dist=dist,
        clip=str(raw.get("clip", "")),
        complete=raw.get("complete") is not False,
    )


def _array(value: Any, key: str, shape: tuple[int, ...]) -> Array:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise _UnusableError(f"{key} is not made of numbers only") from error
    if array.shape != shape:
        raise _UnusableError(f"{key} has shape {array.shape}, not {shape}")
    if not np.isfinite(array).all():
        raise _UnusableError(f"{key} holds NaN or infinity")
    return array


def _numbers(raw: dict[str, Any], key: str, dimensions: int) -> Array | None:
    value = raw.get(key)
    return None if value is None else _array(value, key, (KEYPOINT_COUNT, dimensions))


def _matrix(value: Any) -> Array | None:
    if value is None:
        return None
    K = _array(value, "K", (3, 3))
    if not (K[0, 0] > 0 and K[1, 1] > 0):
        raise _UnusableError("K has no positive focal lengths")
    return K


def _coefficients(value: Any) -> Array:
    dist = np.zeros(5)
    if value is not None:
        given = _array(value, "dist", np.shape(value)).ravel()[:5]
        dist[: len(given)] = given
    return dist


def _projected(points: Array, K: Array, dist: Array) -> Array:
    if not (points[:, 2] > 0).all():
        raise _UnusableError("joints3d lie behind the camera")
    return Camera(K=K, dist=dist, width=0, height=0).project(points)


def _clips(entries: list[_Entry]) -> list[Clip]:
    """One clip a movie; stills are clips of one frame."""
    groups: dict[Path, list[_Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.path, []).append(entry)
    clips = []
    for path, group in groups.items():
        frames: dict[int, list[TrueHand]] = {}
        for entry in group:
            frames.setdefault(entry.frame, []).append(entry.hand)
        first = group[0]
        clips.append(
            Clip(
                name=first.clip or path.stem,
                row="all",
                source=path,
                ordered=first.movie,
                rate=pictures.rate_of(path) if first.movie else Fraction(1),
                K=first.K,
                dist=first.dist,
                frames=tuple(TrueFrame(index, tuple(frames[index])) for index in sorted(frames)),
                complete=all(entry.complete for entry in group),
                pictures=pictures.reader(path, max(frames)),
            )
        )
    return clips
