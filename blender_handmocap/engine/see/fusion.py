# SPDX-License-Identifier: GPL-3.0-or-later
"""From the network's two answers to one observation in camera axes.

The hand network gives screen points with a flat depth and world points with a rotation of their
own; their average is clearly better than either (measured on hands with known 3D). Both are seen
along the crop's ray, as if the camera looked straight at the hand; turning them by that ray brings
them into the axes of the full picture.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ..camera import Camera
from .crops import Array
from .landmarks import SeenHand

_KNUCKLES: Final = (5, 9, 13, 17)

_SIGMA_2D: Final = np.array(
    [1.2, 1.2, 1.1, 1.0, 1.1] + [0.9, 0.9, 1.0, 1.15] * 4,
)
"""Expected error of each keypoint, in units of `_SHARE_2D`."""
_SHARE_2D: Final = 0.02
"""of the longer side of the hand's box"""
_SIGMA_3D: Final = 0.11
"""in mean palm bones: a centimetre on a grown-up's hand"""
_WORST_FACTOR: Final = 4.0
"""by which the least trusted observation's errors are larger"""


def fused_points(seen: SeenHand, camera: Camera) -> Array:
    """(21, 3) relative to the wrist, mean palm bone 1, camera axes of the full picture."""
    world = seen.world - seen.world.mean(0)
    screen = seen.screen - seen.screen.mean(0)
    norm = max(float(np.linalg.norm(screen)), 1e-9)
    mean = (world + screen * (np.linalg.norm(world) / norm)) / 2
    relative = mean - mean[0]
    bone = max(float(np.linalg.norm(relative[list(_KNUCKLES)], axis=1).mean()), 1e-9)
    return relative @ ray_rotation(camera.rays(seen.crop[:2])).T / bone


def ray_rotation(ray: Array) -> Array:
    """(3, 3) the smallest rotation that turns the optical axis z into a ray (3,)."""
    x, y, z = ray / np.linalg.norm(ray)
    # Rodrigues for the axis z x ray; z is never -1 for a ray in front of the camera.
    share = 1.0 / (1.0 + z)
    return np.array([[1 - x * x * share, -x * y * share, x], [-x * y * share, 1 - y * y * share, y], [-x, -y, z]])


def expected_errors(seen: SeenHand, confidence: float) -> tuple[Array, Array]:
    """(21,) pixels and (21,) in palm bones: larger for tips, and for hands that are less sure."""
    extent = float(np.ptp(seen.screen[:, :2], axis=0).max())
    doubt = _WORST_FACTOR ** (1.0 - confidence)
    return _SIGMA_2D * (_SHARE_2D * extent * doubt), np.full(len(seen.screen), _SIGMA_3D * doubt)


def visibility(points: Array, width: int, height: int) -> Array:
    """(21,) one inside the picture, falling to zero a little outside of it."""
    extent = max(float(np.ptp(points, axis=0).max()), 1.0)
    outside = np.maximum(np.maximum(-0.5 - points, points - [width - 0.5, height - 0.5]), 0.0).max(1)
    return np.clip(1.0 - outside / (0.1 * extent), 0.0, 1.0)
