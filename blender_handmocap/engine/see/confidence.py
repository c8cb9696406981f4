# SPDX-License-Identifier: GPL-3.0-or-later
"""How likely an observation is right. The network's presence alone is not: it says 0.96 to a wrong hand.

A logistic model over a few signs that cost nothing to compute. Its coefficients are fitted by
training/mediapipe/confidence.py on hands with known keypoints and stored beside this file.
"""

from __future__ import annotations

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
COEFFICIENTS_FILE: Final = Path(__file__).resolve().parent / "confidence.npz"
RIGHT_SHARE: Final = 0.1
"""An observation is right when its mean point error is below this share of the hand's box."""

_FINGER_ROOTS: Final = (1, 5, 9, 13, 17)
_KNUCKLES: Final = (5, 9, 13, 17)
_LOGIT_LIMIT: Final = 8.0
_USUAL_SIDE: Final = 100.0
"""pixels"""


def features(seen: SeenHand, *, motion: float, width: int, height: int) -> Array:
    """(9,) signs of trouble; `motion`: distance to the predicted place in shares of the hand's box."""
    screen, world = seen.screen, seen.world
    extent = np.ptp(screen[:, :2], axis=0)
    side = max(float(extent.max()), 1e-6)
    shift, scale, angle = difference(seen.crop, seen.next_crop)
    inside = ((screen[:, :2] > -0.5) & (screen[:, :2] < [width - 0.5, height - 0.5])).all(1).mean()
    return np.array(
        [
            min(_logit(seen.presence), _LOGIT_LIMIT),
            min(abs(_logit(seen.right)), _LOGIT_LIMIT),
            np.log(side / _USUAL_SIDE),
            np.log(max(float(extent.min()), 1e-6) / side),
            _screen_world_residual(screen, world),
            _proportions(world),
            shift + scale + angle,
            min(motion, 2.0),
            1.0 - inside,
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
    return float(np.log(clipped / (1 - clipped)))


def _screen_world_residual(screen: Array, world: Array) -> float:
    """How badly the world points, scaled and shifted, cover the screen points; in palm bones."""
    flat, deep = screen[:, :2] - screen[:, :2].mean(0), world - world.mean(0)
    scale = float((flat * deep[:, :2]).sum() / max(float((deep[:, :2] ** 2).sum()), 1e-12))
    residual = float(np.sqrt(((flat - scale * deep[:, :2]) ** 2).sum(1).mean()))
    bone = abs(scale) * _palm_bone(world)
    return min(residual / max(bone, 1e-6), 2.0)


def _proportions(world: Array) -> float:
    """Spread of the logarithms of the palm's bones against one another: a broken hand has odd ones."""
    lengths = np.linalg.norm(world[list(_FINGER_ROOTS)] - world[0], axis=1)
    logs = np.log(np.maximum(lengths, 1e-6)) - np.log([0.4, 1.04, 1.0, 0.96, 0.9])
    return float(logs.std())


def _palm_bone(world: Array) -> float:
    return float(np.linalg.norm(world[list(_KNUCKLES)] - world[0], axis=1).mean())
