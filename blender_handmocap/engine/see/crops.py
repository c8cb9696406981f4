# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotated square crops of a picture, and the rules that place them on a hand.

A crop is an array (5,): centre x, y, width, height in pixels of the picture, rotation in radians,
clockwise as seen on the screen. The rules are MediaPipe's: its networks were trained on such crops.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

PALM_INPUT: Final = 192
HAND_INPUT: Final = 224
"""Side of the networks' input pictures, pixels."""

_PALM_ENLARGED: Final = 2.6
_PALM_SHIFT: Final = -0.5
_HAND_ENLARGED: Final = 2.0
_HAND_SHIFT: Final = -0.1
_BODY_OF_HAND: Final = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
"""Keypoints without the outer finger joints: the crop shall not follow each finger."""
_UPRIGHT: Final = math.pi / 2


def cut(image: Image, crop: Array, size: int, *, replicate: bool) -> Image:
    """The crop as an upright picture (size, size, 3); outside the picture: black, or its edge repeated."""
    x, y, width, height, rotation = (float(value) for value in crop)
    if width != height:
        raise ValueError("crops are square")
    scale, cosine, sine = width / size, math.cos(rotation), math.sin(rotation)
    half = width / 2
    to_picture = np.array(
        [
            [scale * cosine, -scale * sine, x - half * (cosine - sine)],
            [scale * sine, scale * cosine, y - half * (sine + cosine)],
        ]
    )
    border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, to_picture, (size, size), flags=flags, borderMode=border), np.uint8)


def square_around(width: int, height: int) -> Array:
    """The upright crop that holds a whole picture."""
    side = float(max(width, height))
    return np.array([width / 2, height / 2, side, side, 0.0])


def points_in_picture(points: Array, crop: Array) -> Array:
    """Points (N, 2) as shares of the crop, 0..1 -> pixels of the picture (N, 2)."""
    return (points - 0.5) @ turned(crop[4]).T * crop[2] + crop[:2]


def turned(rotation: float) -> Array:
    """(2, 2) matrix that turns clockwise on the screen (y down)."""
    cosine, sine = math.cos(rotation), math.sin(rotation)
    return np.array([[cosine, -sine], [sine, cosine]])


def wrapped(angle: float) -> float:
    """The same angle in [-pi, pi)."""
    return angle - 2 * math.pi * math.floor((angle + math.pi) / (2 * math.pi))


def crop_of_palm(box: Array, keypoints: Array) -> Array:
    """From a palm's box x0, y0, x1, y1 and its seven keypoints (7, 2), pixels."""
    across, down = keypoints[2] - keypoints[0]
    rotation = wrapped(_UPRIGHT - math.atan2(-down, across))
    centre, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    return _placed(centre, size, rotation, shift=_PALM_SHIFT, enlarged=_PALM_ENLARGED)


def crop_of_hand(points: Array) -> Array:
    """From a hand's keypoints (21, 2 or more) in pixels."""
    knuckles = (points[5, :2] + points[13, :2]) / 4 + points[9, :2] / 2
    across, down = knuckles - points[0, :2]
    rotation = wrapped(_UPRIGHT - math.atan2(-down, across))
    body = points[list(_BODY_OF_HAND), :2]
    middle = (body.max(0) + body.min(0)) / 2
    turn = turned(rotation)
    upright = (body - middle) @ turn
    highest, lowest = upright.max(0), upright.min(0)
    centre = turn @ ((highest + lowest) / 2) + middle
    return _placed(centre, highest - lowest, rotation, shift=_HAND_SHIFT, enlarged=_HAND_ENLARGED)


def _placed(centre: Array, size: Array, rotation: float, *, shift: float, enlarged: float) -> Array:
    moved = centre + size[1] * shift * np.array([-math.sin(rotation), math.cos(rotation)])
    side = max(float(size.max()) * enlarged, 1.0)
    return np.array([moved[0], moved[1], side, side, rotation])


def overlap(first: Array, second: Array) -> float:
    """Intersection over union of two crops, their rotation left aside."""
    corners = [np.concatenate([crop[:2] - crop[2:4] / 2, crop[:2] + crop[2:4] / 2]) for crop in (first, second)]
    return float(box_overlaps(corners[0], corners[1][None])[0])


def box_overlaps(box: Array, others: Array) -> Array:
    """Intersection over union of a box (4,) x0, y0, x1, y1 with others (N, 4)."""
    lowest, highest = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    common = np.clip(highest - lowest, 0.0, None).prod(1)
    areas = (others[:, 2:] - others[:, :2]).prod(1)
    return common / ((box[2:] - box[:2]).prod() + areas - common + 1e-12)


def difference(first: Array, second: Array) -> tuple[float, float, float]:
    """How far two crops differ: shift in shares of the side, log of the size ratio, angle; all >= 0."""
    side = math.sqrt(first[2] * second[2])
    shift = math.hypot(first[0] - second[0], first[1] - second[1]) / side
    return shift, abs(math.log(first[2] / second[2])), abs(wrapped(first[4] - second[4]))
