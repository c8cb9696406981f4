# SPDX-License-Identifier: GPL-3.0-or-later
"""MediaPipe's readings as hands that can be compared: placed in the camera, with rotations from the analytic IK."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.hand.names import SIDES, Side
from blender_handmocap.engine.see.definitions import MEDIAPIPE

from ..hands import Seen, SeenHand
from .analytic_ik import rotations_of
from .mediapipe_hands import RawClip, RawHand, Reading, reading, turned_to_camera
from .place import translation_of

Array = NDArray[np.float64]


def side_of(hand: RawHand) -> Side:
    """The side MediaPipe holds more likely."""
    return "right" if hand.right >= 0.5 else "left"


def seen(raw: RawClip, kind: Reading, camera: Camera, *, on_our_hand: bool = False) -> Seen:
    """One reading of a clip.

    The size is MediaPipe's own; its palm length is the median over the clip, so that one number can correct it.
    `on_our_hand` replaces MediaPipe's points by those of our mean hand of that palm length, posed by the analytic IK.
    """
    found = [(index, hand) for index, hands in raw.hands.items() for hand in hands]
    if not found:
        return Seen({index: [] for index in raw.hands}, ms=dict(raw.ms), peak_mb=raw.peak_mb)
    points = np.stack([turned_to_camera(reading(hand, kind), hand.image, camera.K) for _, hand in found])
    sides = [side_of(hand) for _, hand in found]
    rotation = np.empty((len(found), 16, 4))
    for side in SIDES:
        rows = np.array([i for i, s in enumerate(sides) if s == side], int)
        if len(rows):
            rotation[rows] = rotations_of(points[rows], side, definition=MEDIAPIPE)
    palm = float(np.median(np.linalg.norm(points[:, 9] - points[:, 0], axis=-1)))
    if on_our_hand:
        for side in SIDES:
            rows = np.array([i for i, s in enumerate(sides) if s == side], int)
            if len(rows):
                points[rows] = _posed(side, rotation[rows], palm)
    hands: dict[int, list[SeenHand]] = {index: [] for index in raw.hands}
    for i, (index, hand) in enumerate(found):
        pixels = hand.image[:, :2]
        hands[index].append(
            SeenHand(
                side=sides[i],
                points2d=pixels,
                points3d=points[i] + translation_of(points[i], pixels, camera),
                confidence=max(hand.right, 1.0 - hand.right),
                palm_mm=palm,
                rotation=rotation[i],
            )
        )
    return Seen(hands, ms=dict(raw.ms), peak_mb=raw.peak_mb)


def _posed(side: Side, rotation: Array, palm_mm: float) -> Array:
    """(T, 21, 3) mm about the wrist."""
    hand = free_hand(side)
    return hand.pose(rotation, np.zeros((len(rotation), 3)), hand.rest(None, palm_mm / 1000.0)).keypoints * 1000.0
