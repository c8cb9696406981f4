# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a crop holds a hand at all, and of which side: a small network of ours on the hand network's feature maps.

MediaPipe's own presence and handedness fail where its hands are rare: in the dark, in gloves, in front of another
hand. The judge reads the same maps and was taught on such hands, on places without any, and on both sides equally.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelFileError
from ..models import model_cards
from ..runtime import Runtime

log = logging.getLogger("handmocap.see")

JUDGE_MODEL: Final = "judge"
TAPS: Final = ("features_14", "features_7")
"""Outputs of the hand network that the judge reads."""
_TOGETHER: Final = (-0.822, 0.831, 0.002, 0.216)
"""Constant and slopes of `signs` that make the probability of a hand: fitted by training/regions/presence.py."""


@dataclass(frozen=True)
class Judgement:
    """What the judge says about one crop."""

    hand: float
    """0..1: there is one in the middle of the crop"""
    right: float
    """0..1: it is a right hand, for a picture that is not mirrored"""


def signs(presence: float, judged: Judgement) -> tuple[float, float, float]:
    """What speaks for a hand: the judge's and MediaPipe's logits, and how sure the judge is of its side."""
    return logit(judged.hand), logit(presence), abs(logit(judged.right))


def chance_of_hand(presence: float, judged: Judgement) -> float:
    """0..1: a crop holds a hand, from what MediaPipe and the judge say of it."""
    score = _TOGETHER[0] + sum(slope * sign for slope, sign in zip(_TOGETHER[1:], signs(presence, judged), strict=True))
    return float(1.0 / (1.0 + np.exp(-min(max(score, -30.0), 30.0))))


def logit(chance: float) -> float:
    """Of a probability, kept off 0 and 1."""
    clipped = min(max(chance, 1e-4), 1.0 - 1e-4)
    return float(np.log(clipped / (1.0 - clipped)))


class Judge:
    """Ready to read taps; thread-safe."""

    def __init__(self, runtime: Runtime) -> None:
        """A missing or damaged file is refused in one sentence."""
        self._network = runtime.network(JUDGE_MODEL, outputs=("hand", "right"), threads=1)

    def read(self, taps: Mapping[str, NDArray[Any]], *, mirrored: bool) -> Judgement | None:
        """What one crop's taps (1, C, H, W) say; None if that is not numbers. `mirrored`: the trunk saw it so."""
        out = self._network({name: taps[name] for name in TAPS})
        hand, right = (float(out[name][0]) for name in ("hand", "right"))
        if not np.isfinite([hand, right]).all():
            return None
        return Judgement(hand, 1.0 - right if mirrored else right)


def load_or_explain(runtime: Runtime) -> tuple[Judge | None, str]:
    """The judge, or None and the one sentence that says why MediaPipe's own word counts."""
    if JUDGE_MODEL not in model_cards():
        return None, ""
    try:
        return Judge(runtime), ""
    except ModelFileError as error:
        note = f"Left and right are told apart less well: {error}"
        log.info("%s", note)
        return None, note
