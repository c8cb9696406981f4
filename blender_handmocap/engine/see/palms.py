# SPDX-License-Identifier: GPL-3.0-or-later
"""MediaPipe's palm detector: where in a picture, or in a part of it, palms are; and what else its maps show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..runtime import Network, Runtime
from .crops import PALM_INPUT, Array, Image, box_overlaps, crop_of_palm, cut, points_in_picture, square_around
from .regions import LEAST_REGION, TAPS, Region, RegionFinder

PALM_MODEL: Final = "mediapipe_palm"

_LAYERS: Final = ((8, 2), (16, 6))
"""Stride in pixels and anchors a cell."""
_SAME_PALM: Final = 0.3
"""Overlap from which two boxes are one palm."""
_LOGIT_LIMIT: Final = 100.0


@dataclass(frozen=True)
class Palm:
    """One palm that was found."""

    score: float
    """0..1"""
    box: Array
    """(4,) x0, y0, x1, y1 pixels"""
    keypoints: Array
    """(7, 2) pixels: wrist, knuckles of index to pinky, two of the thumb"""

    @property
    def crop(self) -> Array:
        """Where the hand of this palm should be."""
        return crop_of_palm(self.box, self.keypoints)


def anchors() -> Array:
    """Centres of the detector's anchors (2016, 2) as shares of its input, all of size one."""
    layers = []
    for stride, count in _LAYERS:
        cells = PALM_INPUT // stride
        y, x = np.mgrid[:cells, :cells]
        centres = np.stack([(x + 0.5) / cells, (y + 0.5) / cells], axis=-1).reshape(-1, 1, 2)
        layers.append(centres.repeat(count, 1).reshape(-1, 2))
    return np.concatenate(layers)


_ANCHORS: Final = anchors()


class PalmDetector:
    """Finds palms; thread-safe."""

    def __init__(self, runtime: Runtime, finder: RegionFinder | None = None) -> None:
        """With `finder`, its regions are read from the detector's feature maps as well."""
        self._finder = finder
        outputs = ("boxes", "scores") if finder is None else ("boxes", "scores", *TAPS)
        self._network: Network = runtime.network(PALM_MODEL, outputs=outputs)

    def detect(self, image: Image, *, threshold: float, part: Array | None = None) -> list[Palm]:
        """Palms with at least `threshold`, best first, in a picture or in a square `part` (5,) of it."""
        return self.search(image, threshold=threshold, part=part)[0]

    def search(
        self, image: Image, *, threshold: float, part: Array | None = None, least_region: float = LEAST_REGION
    ) -> tuple[list[Palm], list[Region]]:
        """The same, and the regions of hands with at least `least_region`; none without a finder."""
        crop = square_around(image.shape[1], image.shape[0]) if part is None else part
        picture = cut(image, crop, PALM_INPUT, replicate=False)
        found = self._network(picture[None])
        regions = [] if self._finder is None else self._finder.find(found, crop, threshold=least_region)
        return self._palms(found, threshold, crop), regions

    def _palms(self, found: dict[str, NDArray[np.float32]], threshold: float, crop: Array) -> list[Palm]:
        palms = []
        for score, values in decoded(found["boxes"][0], found["scores"][0], threshold):
            corners = points_in_picture(values.reshape(9, 2), crop)
            palms.append(Palm(score=score, box=corners[:2].ravel(), keypoints=corners[2:]))
        return palms


def decoded(boxes: NDArray[np.float32], scores: NDArray[np.float32], threshold: float) -> list[tuple[float, Array]]:
    """Network outputs (2016, 18), (2016, 1) -> (score, two corners and seven keypoints (18,) as shares)."""
    likely = 1.0 / (1.0 + np.exp(-np.clip(scores[:, 0].astype(np.float64), -_LOGIT_LIMIT, _LOGIT_LIMIT)))
    kept = np.flatnonzero(likely >= threshold)
    points = boxes[kept].astype(np.float64).reshape(-1, 9, 2) / PALM_INPUT
    centre, half = points[:, 0] + _ANCHORS[kept], points[:, 1] / 2
    keypoints = points[:, 2:] + _ANCHORS[kept][:, None]
    values = np.concatenate([centre - half, centre + half, keypoints.reshape(-1, 14)], axis=1)
    order = np.argsort(-likely[kept], kind="stable")
    return _merged(likely[kept][order], values[order])


def _merged(scores: Array, values: Array) -> list[tuple[float, Array]]:
    """Overlapping boxes become their mean, weighted by score; the score of the best one counts."""
    palms = []
    while len(scores):
        same = box_overlaps(values[0, :4], values[:, :4]) > _SAME_PALM
        same[0] = True
        weight = scores[same, None]
        palms.append((float(scores[0]), (weight * values[same]).sum(0) / weight.sum()))
        scores, values = scores[~same], values[~same]
    return palms
