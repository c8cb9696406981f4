# SPDX-License-Identifier: GPL-3.0-or-later
"""The hand network: keypoints of the hand in a crop, as MediaPipe's heads see them, and DetNet's where it is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ..hand.names import KEYPOINT_COUNT
from ..runtime import Network, Runtime
from .crops import HAND_INPUT, Array, Image, crop_of_hand, cut, points_in_picture, turned
from .detnet import DetNet, LearnedHand
from .judge import TAPS as JUDGED_TAPS, Judge, Judgement, chance_of_hand

Values = NDArray[np.float32]

HAND_MODEL: Final = "mediapipe_hand"

_DEPTH_SHARE: Final = 0.4
"""The network's own depth is that much too small against its x and y."""
_OUTPUTS: Final = ("landmarks", "presence", "handedness", "world")


@dataclass(frozen=True, eq=False)
class SeenHand:
    """What the network says about one crop; each look is a thing of its own, whatever it says."""

    crop: Array
    """(5,) the crop it looked at"""
    screen: Array
    """(21, 3) pixels of the picture; depth in the same unit, relative to the wrist, away from the camera"""
    world: Array
    """(21, 3) metres about the middle of the hand; axes of the picture, z away from the camera"""
    presence: float
    """0..1: a hand is in the crop"""
    right: float
    """0..1: it is a right hand, for a picture that is not mirrored"""
    learned: LearnedHand | None = None
    """what DetNet says; None where it was not asked, or shown a left hand as a right one"""
    judged: Judgement | None = None
    """what the judge says; None where there is none"""

    @cached_property
    def next_crop(self) -> Array:
        """(5,) where to look for the same hand."""
        return crop_of_hand(self.screen)

    @cached_property
    def followed_crop(self) -> Array:
        """(5,) the same, from the points of whoever errs least on hands that are hard to see."""
        return self.next_crop if self.learned is None else crop_of_hand(self.learned.points)

    @cached_property
    def there(self) -> float:
        """0..1: the crop holds a hand, as whoever knows best says."""
        return self.presence if self.judged is None else chance_of_hand(self.presence, self.judged)

    @property
    def is_right(self) -> float:
        """0..1: it is a right hand, as whoever knows best says; for a picture that is not mirrored."""
        return self.right if self.judged is None else self.judged.right


IsEasy = Callable[[SeenHand, tuple[int, int]], bool]
"""Whether MediaPipe needs no help with a hand in a picture of a width and height."""


class HandNetwork:
    """Looks at crops; several at once where the machine allows it."""

    def __init__(
        self,
        runtime: Runtime,
        detnet: DetNet | None = None,
        judge: Judge | None = None,
        *,
        is_easy: IsEasy | None = None,
    ) -> None:
        """With `detnet`, left hands are shown to the network mirrored; its taps, and `judge`'s, are read as well.

        Of hands that are easy DetNet is not asked.
        """
        self._batches = runtime.device != "cpu"
        self._detnet = detnet
        self._judge = judge
        self._is_easy = is_easy
        taps = [*(detnet.taps if detnet is not None else ()), *(JUDGED_TAPS if judge is not None else ())]
        outputs = (*_OUTPUTS, *dict.fromkeys(taps))
        self._network = runtime.network(HAND_MODEL, outputs=outputs)
        # Two hands on a core each are faster than one after the other on two cores.
        self._beside = not self._batches and runtime.threads > 1
        if self._beside:
            self._single = runtime.network(HAND_MODEL, outputs=outputs, threads=1)
            self._workers = ThreadPoolExecutor(runtime.threads, thread_name_prefix="handmocap-see")

    def look(self, image: Image, crops: Sequence[Array], right: Sequence[float | None] = ()) -> list[SeenHand]:
        """The hand in each crop of a picture (H, W, 3); `right`: how likely each is a right hand, None: unknown."""
        if not crops:
            return []
        known = [*right, *[None] * (len(crops) - len(right))]
        if self._batches:
            flips = [self._flips(side) for side in known]
            pictures = np.stack([_shown(image, crop, flip) for crop, flip in zip(crops, flips, strict=True)])
            found = self._network(pictures)
            return [
                self._read(image, crop, {name: values[i : i + 1] for name, values in found.items()}, side)
                for i, (crop, side) in enumerate(zip(crops, known, strict=True))
            ]
        if len(crops) == 1 or not self._beside:
            return [self._look_once(image, crop, side, self._network) for crop, side in zip(crops, known, strict=True)]
        waiting = [
            self._workers.submit(self._look_once, image, crop, side, self._single)
            for crop, side in zip(crops[1:], known[1:], strict=True)
        ]
        # This thread has a core, too.
        first = self._look_once(image, crops[0], known[0], self._single)
        return [first, *(one.result() for one in waiting)]

    def _flips(self, right: float | None) -> bool:
        return self._detnet is not None and right is not None and right < 0.5

    def _look_once(self, image: Image, crop: Array, right: float | None, network: Network) -> SeenHand:
        return self._read(image, crop, network(_shown(image, crop, self._flips(right))[None]), right)

    def _read(self, image: Image, crop: Array, found: Mapping[str, Values], right: float | None) -> SeenHand:
        """From a batch of one."""
        flipped = self._flips(right)
        hand = _read_mediapipe(crop, *(found[name][0] for name in _OUTPUTS), flipped=flipped)
        if self._judge is not None:
            hand = replace(hand, judged=self._judge.read(found, mirrored=flipped))
        # Whoever follows a hand knows its side better than one picture of it.
        if self._detnet is None or (right is None and hand.is_right < 0.5):
            return hand
        if self._is_easy is not None and self._is_easy(hand, (image.shape[1], image.shape[0])):
            return hand
        return replace(hand, learned=self._detnet.read(found, crop, mirrored=flipped))


def _shown(image: Image, crop: Array, flipped: bool) -> Image:
    picture = cut(image, crop, HAND_INPUT, replicate=True)
    return np.asarray(cv2.flip(picture, 1), np.uint8) if flipped else picture


def _read_mediapipe(
    crop: Array, landmarks: Values, presence: Values, handedness: Values, world: Values, *, flipped: bool
) -> SeenHand:
    pixels = landmarks.astype(np.float64).reshape(KEYPOINT_COUNT, 3)
    metres = world.astype(np.float64).reshape(KEYPOINT_COUNT, 3)
    right = float(handedness[0])
    if flipped:
        pixels[:, 0] = HAND_INPUT - 1 - pixels[:, 0]
        metres[:, 0] = -metres[:, 0]
        right = 1.0 - right
    shares = pixels / HAND_INPUT
    screen = np.empty((KEYPOINT_COUNT, 3))
    screen[:, :2] = points_in_picture(shares[:, :2], crop)
    screen[:, 2] = shares[:, 2] / _DEPTH_SHARE * crop[2]
    metres[:, :2] = metres[:, :2] @ turned(crop[4]).T
    return SeenHand(crop=crop, screen=screen, world=metres, presence=float(presence[0]), right=right)
