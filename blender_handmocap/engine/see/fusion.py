# SPDX-License-Identifier: GPL-3.0-or-later
"""From the network's answers to one observation in camera axes.

The hand network gives screen points with a flat depth and world points with a rotation of their
own; their average is clearly better than either (measured on hands with known 3D). Both are seen
along the crop's ray, as if the camera looked straight at the hand; turning them by that ray brings
them into the axes of the full picture. DetNet's answer joins them joint by joint: MediaPipe is the
better one in the picture, DetNet in depth.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ..camera import Camera
from .crops import Array
from .detnet import Blend, LearnedHand
from .landmarks import SeenHand

_KNUCKLES: Final = (5, 9, 13, 17)

_SIGMA_2D: Final = np.array(
    [1.2, 1.2, 1.1, 1.0, 1.1] + [0.9, 0.9, 1.0, 1.15] * 4,
)
"""Expected error of each keypoint, in units of `_SHARE_2D`."""
_SHARE_2D: Final = 0.02
"""of the longer side of the hand's box"""
_SIGMA_3D: Final = 0.11
"""in mean palm bones: a centimetre on a grown-up's hand"""
_WORST_FACTOR: Final = 4.0
"""by which the least trusted observation's errors are larger"""


def fused_points(seen: SeenHand, camera: Camera) -> Array:
    """(21, 3) relative to the wrist, mean palm bone 1, camera axes of the full picture; MediaPipe's two answers."""
    return _in_camera(mediapipe_form(seen), seen, camera)


def blended_points(seen: SeenHand, blend: Blend, camera: Camera) -> tuple[Array, Array]:
    """MediaPipe's points and DetNet's as one, in the hand model's own definition.

    -> (21, 2) pixels; (21, 3) relative to the wrist, mean palm bone 1, camera axes of the full picture
    """
    moved = blend.definition @ mediapipe_form(seen)
    pixels: Array = blend.definition @ seen.screen[:, :2]
    learned = seen.learned
    if learned is None:
        return pixels, _in_camera(moved, seen, camera)
    form = learned.form - learned.form.mean(0)
    moved = (moved - moved.mean(0)) * (np.linalg.norm(form) / max(float(np.linalg.norm(moved)), 1e-9))
    share = blended_share(learned, blend)
    pixels = np.asarray(pixels + (learned.points - pixels) * share[:, :2])
    return pixels, _in_camera(moved + (form - moved) * share, seen, camera)


def blended_share(learned: LearnedHand, blend: Blend) -> Array:
    """(21, 3) DetNet's share in x, y and z of each point: smaller where it expects to be further off than usual."""
    doubt = blend.certainty * np.log(np.maximum(learned.error_3d, 1e-6) / blend.usual_error)
    usual = np.array([blend.picture, blend.picture, blend.depth])
    odds = np.log(usual / (1.0 - usual)) - doubt[:, None]
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds, -30.0, 30.0))))


def mediapipe_form(seen: SeenHand) -> Array:
    """(21, 3) the mean of MediaPipe's answers about its middle; axes of the picture, z along the crop's ray."""
    world = seen.world - seen.world.mean(0)
    screen = seen.screen - seen.screen.mean(0)
    norm = max(float(np.linalg.norm(screen)), 1e-9)
    return np.asarray((world + screen * (np.linalg.norm(world) / norm)) / 2)


def _in_camera(form: Array, seen: SeenHand, camera: Camera) -> Array:
    relative = form - form[0]
    bone = max(float(np.linalg.norm(relative[list(_KNUCKLES)], axis=1).mean()), 1e-9)
    return np.asarray(relative @ ray_rotation(camera.rays(seen.crop[:2])).T / bone)


def ray_rotation(ray: Array) -> Array:
    """(3, 3) the smallest rotation that turns the optical axis z into a ray (3,)."""
    x, y, z = ray / np.linalg.norm(ray)
    # Rodrigues for the axis z x ray; z is never -1 for a ray in front of the camera.
    share = 1.0 / (1.0 + z)
    return np.array([[1 - x * x * share, -x * y * share, x], [-x * y * share, 1 - y * y * share, y], [-x, -y, z]])


def expected_errors(seen: SeenHand, confidence: float) -> tuple[Array, Array]:
    """(21,) pixels and (21,) in palm bones: larger for tips, and for hands that are less sure."""
    extent = float(np.ptp(seen.screen[:, :2], axis=0).max())
    doubt = _WORST_FACTOR ** (1.0 - confidence)
    return _SIGMA_2D * (_SHARE_2D * extent * doubt), np.full(len(seen.screen), _SIGMA_3D * doubt)


def blended_errors(learned: LearnedHand, blend: Blend) -> tuple[Array, Array]:
    """(21,) pixels and (21,) in palm bones: as DetNet expects them of each point."""
    # The mean palm bone and the one to the middle knuckle differ by less than these errors are known.
    return learned.error_2d * blend.sigma_2d, learned.error_3d * blend.sigma_3d


def blended_confidence(learned: LearnedHand, blend: Blend, confidence: float) -> float:
    """MediaPipe's confidence and what DetNet thinks of the crop, calibrated together."""
    box = max(float(np.ptp(learned.points, axis=0).max()), 1e-6)
    signs = [1.0, *(_logit(p) for p in (confidence, learned.present, learned.of_side))]
    score = blend.confidence @ [*signs, np.log(max(float(learned.error_2d.mean()), 1e-6) / box)]
    return float(1.0 / (1.0 + np.exp(-np.clip(score, -30.0, 30.0))))


def blended_side(learned: LearnedHand, right: float) -> float:
    """Probability of a right hand from MediaPipe's and DetNet's."""
    return (right + (learned.of_side if right >= 0.5 else 1.0 - learned.of_side)) / 2


def _logit(probability: float) -> float:
    clipped = min(max(probability, 1e-4), 1.0 - 1e-4)
    return float(np.log(clipped / (1.0 - clipped)))


def visibility(points: Array, width: int, height: int) -> Array:
    """(21,) one inside the picture, falling to zero a little outside of it."""
    extent = max(float(np.ptp(points, axis=0).max()), 1.0)
    outside = np.maximum(np.maximum(-0.5 - points, points - [width - 0.5, height - 0.5]), 0.0).max(1)
    return np.clip(1.0 - outside / (0.1 * extent), 0.0, 1.0)
