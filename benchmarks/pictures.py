# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures beside the tables: what each method saw on evenly chosen frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.names import KEYPOINT_PARENTS

from .hands import Picture, SeenHand, TrueHand
from .run import Outcome

Array = NDArray[np.float64]

_SHOWN: Final = ("ours", "mediapipe")
_PANEL: Final = 240
"""width and height of one panel, pixels"""
_COLUMNS: Final = 8
_TRUTH: Final = (90, 220, 90)
_SEEN: Final[dict[str, tuple[int, int, int]]] = {"left": (255, 120, 40), "right": (60, 150, 255)}


@dataclass(frozen=True)
class _Shown:
    """One frame of a sheet."""

    clip: int
    index: int
    truth: tuple[TrueHand, ...]
    seen: tuple[SeenHand, ...]


def draw(outcome: Outcome, folder: Path) -> list[tuple[str, Path]]:
    """Write the pictures of one set; (title, path) of each."""
    shown = {method: _frames(outcome, method) for method in _SHOWN if method in outcome.tables}
    shown = {method: frames for method, frames in shown.items() if frames}
    if not shown:
        return []
    rows = [_sheet_row(outcome, frames) for frames in shown.values()]
    path = folder / f"{outcome.test_set.name}_{outcome.mode}.jpg"
    sheet = np.concatenate(rows, axis=0)
    cv2.imwrite(str(path), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
    names = " and, below, ".join("HandMocap" if method == "ours" else "MediaPipe" for method in shown)
    return [(f"{names} on evenly chosen frames; green: truth, blue: right hand, orange: left hand", path)]


def _frames(outcome: Outcome, method: str) -> list[_Shown]:
    """Every frame with truth or a label."""
    table = outcome.tables[method]
    frames = [_Shown(row.clip, row.truth.index, row.truth.hands, row.seen) for row in table.frames]
    for clip, labels in enumerate(outcome.test_set.labels):
        frames += [_Shown(clip, index, (), tuple(table.seen[clip].of(index))) for index in labels]
    return frames


def _sheet_row(outcome: Outcome, frames: list[_Shown]) -> Picture:
    chosen = np.unique(np.linspace(0, len(frames) - 1, _COLUMNS).round().astype(int))
    panels = [_panel(outcome, frames[i]) for i in chosen]
    blank = np.full((_PANEL, _PANEL, 3), 255, np.uint8)
    panels += [blank] * (_COLUMNS - len(panels))
    return np.concatenate(panels, axis=1)


def _panel(outcome: Outcome, frame: _Shown) -> Picture:
    clip = outcome.test_set.clips[frame.clip]
    picture = next((image for index, image in clip.pictures() if index == frame.index), None)
    if picture is None:
        return np.full((_PANEL, _PANEL, 3), 255, np.uint8)
    points = [hand.points2d for hand in (*frame.truth, *frame.seen)]
    if outcome.test_set.labels:
        points = [box.reshape(2, 2) for box in outcome.test_set.labels[frame.clip][frame.index].boxes.values()]
    box = _square(points, picture.shape[1], picture.shape[0])
    scale = _PANEL / box[2]
    matrix = np.array([[scale, 0, -box[0] * scale], [0, scale, -box[1] * scale]])
    panel = cv2.warpAffine(picture, matrix, (_PANEL, _PANEL), flags=cv2.INTER_AREA, borderValue=(40, 40, 40))
    for true in frame.truth:
        _skeleton(panel, (true.points2d - box[:2]) * scale, _TRUTH)
    for seen in frame.seen:
        _skeleton(panel, (seen.points2d - box[:2]) * scale, _SEEN[seen.side])
    return np.asarray(panel, np.uint8)


def _square(points: list[Array], width: int, height: int) -> Array:
    """(3,) corner x, y and side of a square around all points, or the whole picture without any."""
    finite = np.concatenate([p[np.isfinite(p).all(-1)] for p in points]) if points else np.zeros((0, 2))
    if not len(finite):
        return np.array([0.0, 0.0, float(max(width, height))])
    low, high = finite.min(0), finite.max(0)
    side = float(max((high - low).max() * 1.5, 40.0))
    return np.concatenate([(low + high) / 2 - side / 2, [side]])


def _skeleton(panel: Picture, points: Array, colour: tuple[int, int, int]) -> None:
    for child, parent in enumerate(KEYPOINT_PARENTS):
        ends = points[[max(parent, 0), child]]
        if parent >= 0 and np.isfinite(ends).all() and np.abs(ends).max() < 1e4:
            a, b = ends.round().astype(int).tolist()
            cv2.line(panel, a, b, colour, 1, cv2.LINE_AA)
