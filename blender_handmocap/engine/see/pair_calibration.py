# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to the weights of the network of both hands: how far its errors are to be believed, and whose points
it says."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from ..errors import ModelFileError
from ..hand.names import KEYPOINT_COUNT
from .crops import Array

PAIR_CROP_MODEL: Final = "pair_crop"
CALIBRATION_KEY: Final = "calibration"
"""Where the file keeps them."""
_KNUCKLES: Final = (5, 9, 13, 17)


@dataclass(frozen=True)
class Calibration:
    """Constants fitted on held-out drawn crops, kept with the weights; said errors times these are the true ones."""

    error: float
    form_error: float
    sigma: float
    definition: Array
    """(21, 21), rows of sum 1: where a take's points lie, from the model's own"""
    confidence: Array
    """(4,) logits: constant, slopes of presence and togetherness (logits), and of the log of the mean expected error in
    shares of the hand's box"""

    @classmethod
    def plain(cls) -> Calibration:
        """Before anything was fitted."""
        return cls(1.0, 1.0, 1.0, np.eye(KEYPOINT_COUNT), np.array([-2.0, 0.5, 0.5, -2.0]))

    @classmethod
    def from_text(cls, text: str | None) -> Calibration:
        """Read what `to_text` wrote; nothing: plain; anything else is refused."""
        if text is None:
            return cls.plain()
        try:
            told = json.loads(text)
            tables = {name: np.array(told[name], np.float64) for name in _TABLES}
            factors = {name: float(told[name]) for name in _FACTORS}
        except (ValueError, KeyError, TypeError) as error:
            raise ModelFileError(
                f"The network {PAIR_CROP_MODEL} has no readable constants ({error}); install HandMocap again."
            ) from error
        sound = all(0.0 < value < math.inf for value in factors.values()) and all(
            tables[name].shape == shape and np.isfinite(tables[name]).all() for name, shape in _TABLES.items()
        )
        if not sound:
            raise ModelFileError(f"The network {PAIR_CROP_MODEL} belongs to another version; install HandMocap again.")
        return cls(definition=tables["definition"], confidence=tables["confidence"], **factors)

    def to_text(self) -> str:
        """JSON."""
        return json.dumps({name: np.round(getattr(self, name), 5).tolist() for name in (*_FACTORS, *_TABLES)})

    def in_take(self, points: Array, form: Array, form_error: Array) -> tuple[Array, Array, Array]:
        """Points (..., 21, 2), forms (..., 21, 3) and errors in the definition and units of a take's points."""
        form = self.definition @ form
        form = form - form[..., :1, :]
        bone = np.maximum(np.linalg.norm(form[..., list(_KNUCKLES), :], axis=-1).mean(-1), 1e-6)[..., None]
        return np.asarray(self.definition @ points), form / bone[..., None], form_error / bone

    def confidence_of(self, points: Array, error: Array, present: Array, together: Array) -> Array:
        """(...,) probability that the mean error of points (..., 21, 2) is below a tenth of the hand's box."""
        score = self.confidence[0] + self.signs(points, error, present, together) @ self.confidence[1:]
        return chance(score)

    @staticmethod
    def signs(points: Array, error: Array, present: Array, together: Array) -> Array:
        """(..., 3) what `confidence` weighs."""
        box = np.maximum((points.max(-2) - points.min(-2)).max(-1), 1e-6)
        log_error = np.log(np.maximum(error.mean(-1), 1e-6) / box)
        return np.stack(np.broadcast_arrays(logit(present), logit(together), log_error), axis=-1)


_FACTORS: Final = ("error", "form_error", "sigma")
_TABLES: Final = {"definition": (KEYPOINT_COUNT, KEYPOINT_COUNT), "confidence": (4,)}


def logit(probability: Array) -> Array:
    """Log odds of probabilities, kept off 0 and 1."""
    clipped = np.clip(probability, 1e-4, 1.0 - 1e-4)
    return np.asarray(np.log(clipped / (1.0 - clipped)))


def chance(odds: Array) -> Array:
    """Probability of log odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds, -30.0, 30.0))))
