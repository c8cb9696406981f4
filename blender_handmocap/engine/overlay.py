# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture people judge by: mesh and joints of a take drawn over its footage."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from .camera import Camera
from .errors import BadInputError
from .hand.model import Array, HandModel
from .hand.names import KEYPOINT_PARENTS, SIDES, Side
from .take import State, Take

Image = NDArray[np.uint8]

SIDE_COLOUR: Final[dict[Side, tuple[int, int, int]]] = {"left": (70, 150, 255), "right": (255, 140, 60)}
"""RGB"""
_FILLED_COLOUR: Final = (170, 170, 170)
_OPACITY: Final = 0.55
_SUBPIXEL_BITS: Final = 4
_MOVIES: Final = (".mp4", ".mov", ".mkv", ".avi")
"""endings of what can be written"""


def draw_points(image: Image, hands: Iterable[Array]) -> Image:
    """A copy of `image` with seen keypoints (21, 2), pixels, joined as fingers; for previews while seeing."""
    drawn: Image = image.copy()
    for points in hands:
        fixed = [(round(float(x)), round(float(y))) for x, y in np.asarray(points).clip(-4e4, 4e4)]
        width = max(1, round(float(np.ptp(points, axis=0).max()) / 60))
        for child, parent in enumerate(KEYPOINT_PARENTS):
            if parent >= 0:
                cv2.line(drawn, fixed[parent], fixed[child], (80, 255, 120), width, cv2.LINE_AA)
    return drawn


class OverlayPainter:
    """Draws the hands of one take, frame by frame."""

    def __init__(self, take: Take, models: dict[Side, HandModel]) -> None:
        self._take = take
        self._models = models
        self._rest = {side: models[side].rest(take.betas, take.size) for side in SIDES}

    def draw(self, image: Image, index: int) -> Image:
        """A copy of `image` (H, W, 3) RGB with the hands of frame `index` over it; far hands first."""
        sides = [side for side in SIDES if self._take.track(side).present[index]]
        sides.sort(key=lambda side: -float(self._take.track(side).translation[index, 2]))
        painted = image.copy()
        for side in sides:
            self._draw_mesh(painted, side, index)
        painted = np.asarray(cv2.addWeighted(painted, _OPACITY, image, 1.0 - _OPACITY, 0.0), np.uint8)
        for side in sides:
            self._draw_bones(painted, side, index)
        return painted

    def _project(self, points: Array, index: int) -> Array:
        """Points (..., 3) as the camera of frame `index` sees them, pixels (..., 2)."""
        K = self._take.K if self._take.K.ndim == 2 else self._take.K[index]
        return Camera(K=K, dist=self._take.dist, width=0, height=0).project(points)

    def _colour(self, side: Side, index: int) -> tuple[int, int, int]:
        filled = self._take.track(side).state[index] == State.FILLED
        return _FILLED_COLOUR if filled else SIDE_COLOUR[side]

    def _draw_mesh(self, canvas: Image, side: Side, index: int) -> None:
        track = self._take.track(side)
        window = slice(index, index + 1)
        model = self._models[side]
        vertices = model.vertices(track.rotation[window], track.translation[window], self._rest[side])[0]
        corners = vertices[model.triangles]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        centres = corners.mean(1)
        facing = -(normals * centres).sum(1) / np.linalg.norm(centres, axis=1)
        drawn = np.flatnonzero((facing > 0) & (corners[..., 2] > 0.01).all(1))
        drawn = drawn[np.argsort(-centres[drawn, 2])]
        pixels = self._project(corners[drawn], index)
        fixed = np.round(np.clip(pixels, -4e4, 4e4) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        base = np.array(self._colour(side, index), float)
        shades = base * (0.35 + 0.65 * facing[drawn, None])
        for polygon, shade in zip(fixed, shades, strict=True):
            cv2.fillConvexPoly(canvas, polygon, shade.tolist(), cv2.LINE_AA, _SUBPIXEL_BITS)

    def _draw_bones(self, canvas: Image, side: Side, index: int) -> None:
        points = self._take.track(side).points[index]
        if not np.isfinite(points).all() or (points[:, 2] <= 0.01).any():
            return
        pixels: Array = np.clip(self._project(points, index), -4e4, 4e4)
        fixed = [tuple(int(v) for v in np.round(p * (1 << _SUBPIXEL_BITS))) for p in pixels]
        radius = max(2, round(max(np.ptp(pixels[:, 0]), np.ptp(pixels[:, 1])) / 60))
        for child, parent in enumerate(KEYPOINT_PARENTS):
            if parent >= 0:
                cv2.line(
                    canvas,
                    fixed[parent],
                    fixed[child],
                    (255, 255, 255),
                    max(1, radius // 2),
                    cv2.LINE_AA,
                    _SUBPIXEL_BITS,
                )
        for point in fixed:
            cv2.circle(
                canvas, point, radius << _SUBPIXEL_BITS, self._colour(side, index), -1, cv2.LINE_AA, _SUBPIXEL_BITS
            )


def check_overlay_name(path: Path) -> None:
    """Refuse a name that is no movie's, before a capture takes its time."""
    if path.suffix.lower() not in _MOVIES:
        raise BadInputError(f"An overlay cannot be called {path.name}; let its name end in .mp4.")


def write_overlay(
    take: Take,
    frames: Iterable[tuple[int, Image]],
    path: Path,
    *,
    models: dict[Side, HandModel],
    size: tuple[int, int],
) -> int:
    """Write a movie of (source frame number, RGB image) pairs with the take drawn over; returns the frames written.

    `size` is the movie's; stills of another size are fitted into it.
    """
    painter = OverlayPainter(take, models)
    index_of = {int(number): index for index, number in enumerate(take.frame)}
    even = (size[0] - size[0] % 2, size[1] - size[1] % 2)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), take.rate, even)
    if not writer.isOpened():
        raise BadInputError(
            f"The overlay could not be written to {path}; give a .mp4 path in a folder you may write to."
        )
    written = 0
    try:
        for number, image in frames:
            index = index_of.get(number)
            if index is None:
                continue
            drawn = _fitted(painter.draw(image, index), size)[: even[1], : even[0]]
            writer.write(cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
            written += 1
    finally:
        writer.release()
    if written and not _is_whole(path, written):
        raise BadInputError(f"The overlay {path} could not be finished; free some space and capture again.")
    return written


def _fitted(image: Image, size: tuple[int, int]) -> Image:
    """The picture as large as it fits into width and height, in the middle of black."""
    width, height = size
    if image.shape[:2] == (height, width):
        return image
    scale = min(width / image.shape[1], height / image.shape[0])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:height, :width]
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas


def _is_whole(path: Path, frames: int) -> bool:
    """Whether a movie holds its frames: OpenCV does not tell when the disk refuses them."""
    movie = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        return movie.isOpened() and movie.get(cv2.CAP_PROP_FRAME_COUNT) >= frames
    finally:
        movie.release()
