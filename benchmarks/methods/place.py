# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a hand of known size is, from its points in the picture: linear least squares, no iteration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.camera import Camera

Array = NDArray[np.float64]


def translation_of(points: Array, pixels: Array, camera: Camera) -> Array:
    """(3,) that moves points (21, 3) in camera axes onto the rays of pixels (21, 2); NaN if they end up behind it.

    Each point X and ray (x, y, 1) ask for (X + t)_x = x (X + t)_z and the same in y: linear in t.
    """
    ray = camera.rays(pixels)[:, :2]
    rows = np.zeros((len(points), 2, 3))
    rows[:, 0, 0] = rows[:, 1, 1] = 1.0
    rows[:, :, 2] = -ray
    right = ray * points[:, 2:] - points[:, :2]
    translation = np.linalg.lstsq(rows.reshape(-1, 3), right.ravel(), rcond=None)[0]
    in_front = (points[:, 2] + translation[2] > 0).all()
    return translation if in_front else np.full(3, np.nan)
