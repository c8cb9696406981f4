# SPDX-License-Identifier: GPL-3.0-or-later
"""Noticing that the camera moves: then places in camera space mean nothing without the camera's path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import MovingCameraError

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

_SECONDS: Final = 0.25
"""Between looks."""
_LONGER_SIDE: Final = 192
_CORNERS: Final = 160
_LEAST_CORNERS: Final = 25
_LEAST_SHARE: Final = 0.7
"""Of the corners that must move together."""
_CELLS: Final = 3
_LEAST_CELLS: Final = 6
"""Of the picture's nine parts that must hold corners that move together."""
_TREMBLE: Final = 0.003
"""Share of the picture's longer side under which a movement between looks is noise."""
_FAR: Final = 0.08
"""Share of the longer side that the picture must have moved in all."""
_LEAST_LOOKS: Final = 4
_TOLERANCE: Final = 0.7
"""Pixels of the small picture."""


@dataclass
class CameraMotion:
    """Watches the background; `look` raises once the camera has certainly moved."""

    last: Image | None = None
    last_time: float = -np.inf
    moved: Array = field(default_factory=lambda: np.zeros(3))
    """sum of the movements: x, y, growth, in shares of the longer side"""
    looks: int = 0
    """that showed a movement"""

    def look(self, image: Image, time: float, crops: Sequence[Array] = ()) -> None:
        """A picture (H, W, 3) RGB at `time` seconds; `crops` (5,) of hands are left out."""
        if time - self.last_time < _SECONDS:
            return
        scale = _LONGER_SIDE / max(image.shape[:2])
        if min(image.shape[:2]) * scale < 16:
            return
        size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        if self.last is not None and self.last.shape == grey.shape:
            self._compare(self.last, grey, [crop * scale for crop in crops])
        self.last, self.last_time = grey, time

    def _compare(self, before: Image, after: Image, crops: Sequence[Array]) -> None:
        movement = background_movement(before, after, crops)
        if movement is None or float(np.abs(movement).max()) < _TREMBLE:
            return
        self.looks += 1
        self.moved += movement
        if self.looks >= _LEAST_LOOKS and float(np.abs(self.moved).max()) > _FAR:
            raise MovingCameraError(
                "The camera moves in this footage, so the hands' places cannot be found; "
                "use footage from a fixed camera, or give the camera's path."
            )


def background_movement(before: Image, after: Image, crops: Sequence[Array] = ()) -> Array | None:
    """Shift x, y and growth (3,) of a grey picture as a whole, in shares of its longer side; None: it does not say."""
    mask = np.full(before.shape, 255, np.uint8)
    for x, y, width, height in (crop[:4] for crop in crops):
        corner = (int(x - width / 2), int(y - height / 2))
        cv2.rectangle(mask, corner, (int(x + width / 2), int(y + height / 2)), 0, cv2.FILLED)
    corners: Any = cv2.goodFeaturesToTrack(before, _CORNERS, 0.01, 5, mask=mask)
    if corners is None or len(corners) < _LEAST_CORNERS:
        return None
    # Some bindings want the output named, none of them reads it.
    found, status, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, np.zeros_like(corners))
    known = status.ravel() == 1
    start, end = corners.reshape(-1, 2)[known], found.reshape(-1, 2)[known]
    if len(start) < _LEAST_CORNERS:
        return None
    matrix, together = cv2.estimateAffinePartial2D(start, end, ransacReprojThreshold=_TOLERANCE)
    if matrix is None:
        return None
    inside = together.ravel() == 1
    height, width = before.shape
    cells = np.unique((start[inside] * _CELLS / [width, height]).astype(int) @ [1, _CELLS])
    if inside.sum() < _LEAST_SHARE * len(corners) or len(cells) < _LEAST_CELLS:
        return None
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = matrix[:, :2] @ middle + matrix[:, 2] - middle
    growth = float(np.sqrt(max(np.linalg.det(matrix[:, :2]), 1e-9)) - 1.0) / 2
    return np.append(shift / max(width, height), growth)
