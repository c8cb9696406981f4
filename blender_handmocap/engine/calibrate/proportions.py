# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture of bone lengths: a flat hand as it was measured from a take, and as it was fitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ..hand.free import free_hand
from ..hand.names import KEYPOINT_COUNT, KEYPOINT_PARENTS

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

SIZE: Final = (480, 560)
"""width, height of the picture, pixels"""
MEASURED: Final = (80, 255, 120)
FITTED: Final = (255, 90, 80)
"""RGB"""
_GROUND: Final = (38, 38, 40)
_PIXELS_A_PALM: Final = 185.0
_WRIST: Final = (265.0, 525.0)
_SUBPIXELS: Final = 4


def draw_proportions(measured: Sequence[float], fitted: Sequence[float]) -> Image:
    """Two flat right hands seen from above, their bones as long as told: (20,) in palm bones, keypoints' order."""
    picture = np.full((SIZE[1], SIZE[0], 3), _GROUND, np.uint8)
    for lengths, colour, width in ((fitted, FITTED, 6), (measured, MEASURED, 2)):
        at = np.round(flat_hand(lengths) * 2**_SUBPIXELS).astype(int)
        for child, parent in enumerate(KEYPOINT_PARENTS):
            if parent >= 0:
                ends = (tuple(at[parent].tolist()), tuple(at[child].tolist()))
                cv2.line(picture, *ends, colour, width, cv2.LINE_AA, _SUBPIXELS)
            cv2.circle(picture, tuple(at[child].tolist()), width << _SUBPIXELS, colour, -1, cv2.LINE_AA, _SUBPIXELS)
    for row, (text, colour) in enumerate((("measured", MEASURED), ("fitted", FITTED))):
        cv2.putText(picture, text, (14, 30 + 28 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.8, colour, 2, cv2.LINE_AA)
    return picture


def flat_hand(lengths: Sequence[float]) -> Array:
    """(21, 2) pixels of a flat hand with these bones, fingers up, each in the direction it has on our hand."""
    rest = free_hand("right").rest()
    still = np.zeros((1, 16, 4))
    still[..., 0] = 1.0
    points = free_hand("right").pose(still, np.zeros((1, 3)), rest).keypoints[0]
    # From above: fingers (-x) up, the thumb (+z) on the left, as one sees one's own right hand.
    flat = np.stack([-points[:, 2], points[:, 0]], axis=-1)
    out = np.empty((KEYPOINT_COUNT, 2))
    for child, parent in enumerate(KEYPOINT_PARENTS):
        if parent < 0:
            out[child] = _WRIST
            continue
        along = flat[child] - flat[parent]
        out[child] = out[parent] + along / np.linalg.norm(along) * lengths[child - 1] * _PIXELS_A_PALM
    return out
