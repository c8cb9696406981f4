# SPDX-License-Identifier: GPL-3.0-or-later
"""MediaPipe's hand network: keypoints of the hand in a crop."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..hand.names import KEYPOINT_COUNT
from ..runtime import Network, Runtime
from .crops import HAND_INPUT, Array, Image, crop_of_hand, cut, points_in_picture, turned

Values = NDArray[np.float32]

HAND_MODEL: Final = "mediapipe_hand"

_DEPTH_SHARE: Final = 0.4
"""The network's own depth is that much too small against its x and y."""
_OUTPUTS: Final = ("landmarks", "presence", "handedness", "world")


@dataclass(frozen=True)
class SeenHand:
    """What the network says about one crop."""

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

    @cached_property
    def next_crop(self) -> Array:
        """(5,) where to look for the same hand."""
        return crop_of_hand(self.screen)


class HandNetwork:
    """Looks at crops; several at once where the machine allows it."""

    def __init__(self, runtime: Runtime) -> None:
        self._batches = runtime.device != "cpu"
        self._network = runtime.network(HAND_MODEL, outputs=_OUTPUTS)
        # Two hands on a core each are faster than one after the other on two cores.
        self._beside = not self._batches and runtime.threads > 1
        if self._beside:
            self._single = runtime.network(HAND_MODEL, outputs=_OUTPUTS, threads=1)
            self._workers = ThreadPoolExecutor(runtime.threads, thread_name_prefix="handmocap-see")

    def look(self, image: Image, crops: Sequence[Array]) -> list[SeenHand]:
        """The hand in each crop of a picture (H, W, 3)."""
        if not crops:
            return []
        if self._batches:
            pictures = np.stack([cut(image, crop, HAND_INPUT, replicate=True) for crop in crops])
            found = self._network(pictures)
            return [self._read(crop, *(found[name][i] for name in _OUTPUTS)) for i, crop in enumerate(crops)]
        if len(crops) == 1 or not self._beside:
            return [self._look_once(image, crop, self._network) for crop in crops]
        waiting = [self._workers.submit(self._look_once, image, crop, self._single) for crop in crops]
        return [one.result() for one in waiting]

    def _look_once(self, image: Image, crop: Array, network: Network) -> SeenHand:
        found = network(cut(image, crop, HAND_INPUT, replicate=True)[None])
        return self._read(crop, *(found[name][0] for name in _OUTPUTS))

    @staticmethod
    def _read(crop: Array, landmarks: Values, presence: Values, handedness: Values, world: Values) -> SeenHand:
        shares = landmarks.astype(np.float64).reshape(KEYPOINT_COUNT, 3) / HAND_INPUT
        screen = np.empty((KEYPOINT_COUNT, 3))
        screen[:, :2] = points_in_picture(shares[:, :2], crop)
        screen[:, 2] = shares[:, 2] / _DEPTH_SHARE * crop[2]
        metres = world.astype(np.float64).reshape(KEYPOINT_COUNT, 3)
        metres[:, :2] = metres[:, :2] @ turned(crop[4]).T
        return SeenHand(crop=crop, screen=screen, world=metres, presence=float(presence[0]), right=float(handedness[0]))
