# SPDX-License-Identifier: GPL-3.0-or-later
"""How likely an observation is right. The network's presence alone is not: it says 0.96 to a wrong hand.

A logistic model over a few signs that cost nothing to compute. Its coefficients are fitted by
training/mediapipe/confidence.py on hands with known keypoints and stored beside this file.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from ..errors import ModelFileError
from .crops import Array, difference
from .landmarks import SeenHand

FEATURES: Final = (
    "presence",
    "side",
    "size",
    "flatness",
    "agreement",
    "proportions",
    "settled",
    "motion",
    "inside",
)
"""In the order of the stored coefficients, after the constant."""
_MOTION: Final = FEATURES.index("motion")
COEFFICIENTS_FILE: Final = Path(__file__).resolve().parent / "confidence.npz"
RIGHT_SHARE: Final = 0.1
"""An observation is right when its mean point error is below this share of the hand's box."""

_FINGER_ROOTS: Final = np.array([1, 5, 9, 13, 17])
_KNUCKLES: Final = slice(1, None)
"""... of the finger roots"""
_USUAL_LENGTHS: Final = np.log([0.4, 1.04, 1.0, 0.96, 0.9])
"""of the bones to the finger roots, about one another"""
_LOGIT_LIMIT: Final = 8.0
_USUAL_SIDE: Final = 100.0
"""pixels"""


def features(seen: SeenHand, *, motion: float, width: int, height: int) -> Array:
    """(9,) signs of trouble; `motion`: distance to the predicted place in shares of the hand's box."""
    values = _still_features(seen, width, height).copy()
    values[_MOTION] = min(motion, 2.0)
    return values


@lru_cache(maxsize=16)
def _still_features(seen: SeenHand, width: int, height: int) -> Array:
    """The same of a hand that moved as expected; several ask this of each look at a hand."""
    flat, world = seen.screen[:, :2], seen.world
    low, high = flat.min(0), flat.max(0)
    narrow, side = sorted(max(float(length), 1e-6) for length in high - low)
    shift, scale, angle = difference(seen.crop, seen.next_crop)
    outside = 0.0
    if low.min() <= -0.5 or high[0] >= width - 0.5 or high[1] >= height - 0.5:
        outside = 1.0 - ((flat > -0.5) & (flat < [width - 0.5, height - 0.5])).all(1).mean()
    bones = world[_FINGER_ROOTS] - world[0]
    lengths = np.sqrt((bones * bones).sum(1))
    return np.array(
        [
            min(_logit(seen.presence), _LOGIT_LIMIT),
            min(abs(_logit(seen.right)), _LOGIT_LIMIT),
            math.log(side / _USUAL_SIDE),
            math.log(narrow / side),
            _screen_world_residual(flat, world, float(lengths[_KNUCKLES].mean())),
            _proportions(lengths),
            shift + scale + angle,
            0.0,
            outside,
        ]
    )


def calibrated(values: Array) -> Array:
    """Probability (...) that an observation is right, from features (..., 9)."""
    coefficients = _coefficients()
    score = coefficients[0] + values @ coefficients[1:]
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(score, -30.0, 30.0))))


@lru_cache(maxsize=1)
def _coefficients() -> Array:
    try:
        with np.load(COEFFICIENTS_FILE, allow_pickle=False) as file:
            names, values = tuple(file["features"].tolist()), file["coefficients"].astype(np.float64)
    except (OSError, ValueError, KeyError) as error:
        raise ModelFileError(
            f"{COEFFICIENTS_FILE.name} is missing or damaged ({error}); install HandMocap again."
        ) from error
    if names != FEATURES or values.shape != (len(FEATURES) + 1,):
        raise ModelFileError(f"{COEFFICIENTS_FILE.name} belongs to another version; install HandMocap again.")
    return values


def _logit(probability: float) -> float:
    clipped = min(max(probability, 1e-6), 1 - 1e-6)
    return math.log(clipped / (1 - clipped))


def _screen_world_residual(flat: Array, world: Array, bone: float) -> float:
    """How badly the world points, scaled and shifted, cover the screen points (21, 2); in palm bones."""
    seen, deep = flat - flat.mean(0), (world - world.mean(0))[:, :2]
    scale = float((seen * deep).sum()) / max(float((deep * deep).sum()), 1e-12)
    away = seen - scale * deep
    residual = math.sqrt(float((away * away).sum()) / len(away))
    return min(residual / max(abs(scale) * bone, 1e-6), 2.0)


def _proportions(lengths: Array) -> float:
    """Spread of the logarithms of the palm's bones (5,) against one another: a broken hand has odd ones."""
    return float((np.log(np.maximum(lengths, 1e-6)) - _USUAL_LENGTHS).std())
