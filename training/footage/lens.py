# SPDX-License-Identifier: GPL-3.0-or-later
"""From linear light to the picture a webcam delivers."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .scene import Lens

FloatArray = NDArray[np.float32]


def develop(linear: FloatArray, lens: Lens, random: np.random.Generator) -> NDArray[np.uint8]:
    """Linear RGB (H, W, 3) -> RGB uint8."""
    light = np.clip(linear * lens.exposure, 0.0, 1.0)
    return (light ** (1 / 2.2) * 255.0 + 0.5).astype(np.uint8)


def shadowed(
    backdrop: FloatArray, coverage: FloatArray, shift: NDArray[np.float64], width: float, share: float
) -> FloatArray:
    """The backdrop darkened where the hands' outline, shifted and blurred by pixels, falls on it."""
    matrix = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    moved = cv2.warpAffine(coverage, matrix, coverage.shape[::-1])
    soft = cv2.GaussianBlur(moved, (0, 0), max(width, 0.7))
    return backdrop * (1.0 - share * soft)[:, :, None]
