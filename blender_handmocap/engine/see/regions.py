# SPDX-License-Identifier: GPL-3.0-or-later
"""Hands of each side in a picture, read from the palm detector's own feature maps by heads we trained.

The palm detector looks for palms that are bare, lit and turned to the camera. Its feature maps know more: from them
a small network says, for left and right hands on their own, where the crops lie that the hand network wants. Two
hands that touch or cover each other do not suppress one another, because each side has its own map.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelFileError
from ..hand.names import SIDES, Side
from ..models import model_cards
from ..runtime import Runtime
from .crops import PALM_INPUT, Array, points_in_picture

log = logging.getLogger("handmocap.see")

REGIONS_MODEL: Final = "regions"
TAPS: Final = ("trunk_24", "features_24", "features_12")
"""Outputs of the palm detector that the finder reads."""

LEAST_REGION: Final = 0.25
"""Score from which a region is worth a look of the hand network."""
_SMALLEST: Final = 0.03
_LARGEST: Final = 4.0
"""Sides of a crop over the picture's that can be meant."""


@dataclass(frozen=True)
class Region:
    """Where a hand of one side seems to be."""

    score: float
    """0..1"""
    side: Side
    crop: Array
    """(5,) as the hand network wants it"""


class RegionFinder:
    """Reads the palm detector's feature maps; thread-safe."""

    def __init__(self, runtime: Runtime) -> None:
        """A missing or damaged file is refused in one sentence."""
        self._network = runtime.network(REGIONS_MODEL, outputs=("centres", "shapes"))

    def find(self, taps: Mapping[str, NDArray[Any]], part: Array, *, threshold: float) -> list[Region]:
        """Hands with at least `threshold`, best first, from the taps of the square `part` (5,) of a picture."""
        found = self._network({name: taps[name] for name in TAPS})
        return decoded(found["centres"][0], found["shapes"][0], part, threshold)


def load_or_explain(runtime: Runtime) -> tuple[RegionFinder | None, str]:
    """The finder, or None and the one sentence that says why palms alone are searched."""
    if REGIONS_MODEL not in model_cards():
        return None, ""
    try:
        return RegionFinder(runtime), ""
    except ModelFileError as error:
        note = f"Hands are found by their palms alone, less often: {error}"
        log.info("%s", note)
        return None, note


def decoded(centres: NDArray[np.float32], shapes: NDArray[np.float32], part: Array, threshold: float) -> list[Region]:
    """Network outputs (2, G, G), (2, 5, G, G) -> regions in pixels of the picture whose square `part` (5,) it saw."""
    found = []
    for side, chances, shape in zip(SIDES, centres.astype(np.float64), shapes.astype(np.float64), strict=True):
        for row, column in np.argwhere((chances >= threshold) & (chances >= _highest_around(chances))):
            size = math.exp(min(max(float(shape[2, row, column]), math.log(_SMALLEST)), math.log(_LARGEST)))
            place = (np.array([column, row]) + 0.5 + shape[:2, row, column]) / len(chances)
            centre = points_in_picture(place[None] - 0.5 / PALM_INPUT, part)[0]
            turn = math.atan2(shape[4, row, column], shape[3, row, column]) + part[4]
            crop = np.array([*centre, size * part[2], size * part[2], turn])
            found.append(Region(float(chances[row, column]), side, crop))
    return sorted(found, key=lambda region: -region.score)


def _highest_around(chances: Array) -> Array:
    """(G, G) the highest of each cell's neighbours and itself."""
    padded = np.pad(chances, 1)
    height, width = chances.shape
    return np.max(
        [padded[row : row + height, column : column + width] for row in range(3) for column in range(3)], axis=0
    )
