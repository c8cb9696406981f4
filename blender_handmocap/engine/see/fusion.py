# SPDX-License-Identifier: GPL-3.0-or-later
"""From the network's answers to one observation in camera axes.

The hand network gives screen points with a flat depth and world points with a rotation of their
own; their average is clearly better than either (measured on hands with known 3D). Both are seen
along the crop's ray, as if the camera looked straight at the hand; turning them by that ray brings
them into the axes of the full picture. DetNet's answer joins them joint by joint: MediaPipe is the
better one in the picture, DetNet in depth. The blend keeps MediaPipe's definition of the points.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ..camera import Camera
from .confidence import calibrated, features
from .crops import Array
from .detnet import Blend, LearnedHand
from .judge import logit
from .landmarks import SeenHand
from .observation import Observation

_KNUCKLES: Final = (5, 9, 13, 17)

_SIGMA_2D: Final = np.array(
    [1.2, 1.2, 1.1, 1.0, 1.1] + [0.9, 0.9, 1.0, 1.15] * 4,
)
"""Expected error of each keypoint, in units of `_SHARE_2D`."""
_SHARE_2D: Final = 0.02
"""of the longer side of the hand's box"""
_SIGMA_3D: Final = 0.11
"""in mean palm bones: a centimetre on a grown-up's hand"""
_GUESSED: Final = 0.5
"""what a point that DetNet does not see, but infers, loses of its visibility: such points are half again as far off as
is expected of them"""
_DOUBTED, _TRUSTED = 0.7, 0.9
"""Confidence of its own up to which MediaPipe keeps nothing to itself, and from which it keeps all: on held-out drawn
hands its points are off by 8 and by 5 per cent of the hand's box there, DetNet's on easy real ones by 4."""
_APART: Final = 0.1
"""of the hand's box: where both say the hand is that far apart, MediaPipe keeps half of that; drawn hands on which they
disagree so much, MediaPipe sees 13 per cent wrong and the blend 11, and 38 and 14 beyond twice as much"""
_JUMP: Final = 2.0
"""Logits of confidence that a jump by a whole hand costs; drawn stills know nothing about motion."""
_WORST_FACTOR: Final = 4.0
"""by which the least trusted observation's errors are larger"""


def observed(
    seen: SeenHand,
    camera: Camera,
    blend: Blend | None,
    *,
    motion: float,
    size: tuple[int, int],
    easy_kept: bool = False,
) -> Observation:
    """What is known of a hand; `motion` in shares of its box, `size` of the picture. `blend`: with DetNet, or none.

    `easy_kept`: hands that MediaPipe is sure of stay as MediaPipe sees them.
    """
    width, height = size
    points2d, points3d = seen.screen[:, :2].copy(), fused_points(seen, camera)
    confidence = float(calibrated(features(seen, motion=motion, width=width, height=height)))
    sigma2d, sigma3d = expected_errors(seen, confidence)
    right, guessed = seen.right, np.zeros(len(points2d))
    learned = seen.learned
    if blend is not None and learned is not None:
        trust = mediapipe_trust(seen, learned, blend, size) if easy_kept else 0.0
        points2d, points3d = blended_points(seen, learned, blend, camera, trust=trust)
        blended = blended_confidence(seen, learned, blend, motion=motion, size=size)
        confidence = blended + (confidence - blended) * trust
        right = (right + learned.right) / 2
        errors = blended_errors(learned, blend)
        sigma2d, sigma3d = (ours + (own - ours) * trust for ours, own in zip(errors, (sigma2d, sigma3d), strict=True))
        guessed = (1.0 - learned.visible) * (1.0 - trust)
    return Observation(
        right=right,
        presence=seen.presence,
        confidence=confidence,
        points2d=points2d,
        sigma2d=sigma2d,
        points3d=points3d,
        sigma3d=sigma3d,
        visibility=visibility(points2d, width, height) * (1.0 - _GUESSED * guessed),
        crop=seen.crop.copy(),
    )


def fused_points(seen: SeenHand, camera: Camera) -> Array:
    """(21, 3) relative to the wrist, mean palm bone 1, camera axes of the full picture; MediaPipe's two answers."""
    return _in_camera(mediapipe_form(seen), seen, camera)


def mediapipe_trust(seen: SeenHand, learned: LearnedHand, blend: Blend, size: tuple[int, int]) -> float:
    """0..1: how much of a hand stays as MediaPipe sees it: all where it is sure and DetNet does not contradict.

    DetNet knows drawn hands best; on easy real ones MediaPipe is the better one.
    """
    own = mediapipe_confidence(seen, size)
    sure = float(np.clip((own - _DOUBTED) / (_TRUSTED - _DOUBTED), 0.0, 1.0))
    ours = blend.definition @ learned.points
    box = max(float(np.ptp(ours, axis=0).max()), 1e-6)
    apart = float(np.linalg.norm(ours - seen.screen[:, :2], axis=1).mean()) / box
    return sure**2 * (3.0 - 2.0 * sure) / (1.0 + (apart / _APART) ** 4)


def is_easy(seen: SeenHand, size: tuple[int, int]) -> bool:
    """Whether MediaPipe is so sure that all stays as it sees it; `size` of the picture."""
    return mediapipe_confidence(seen, size) >= _TRUSTED


def mediapipe_confidence(seen: SeenHand, size: tuple[int, int]) -> float:
    """0..1: how likely MediaPipe is right about a hand in a picture of this `size`, whatever its motion."""
    return float(calibrated(features(seen, motion=0.0, width=size[0], height=size[1])))


def blended_points(
    seen: SeenHand, learned: LearnedHand, blend: Blend, camera: Camera, *, trust: float = 0.0
) -> tuple[Array, Array]:
    """MediaPipe's points and DetNet's as one, in MediaPipe's definition; `trust` of it stays MediaPipe's.

    -> (21, 2) pixels; (21, 3) relative to the wrist, mean palm bone 1, camera axes of the full picture
    """
    form = joined_forms(mediapipe_form(seen), learned, blend, trust=trust)
    return joined(seen.screen[:, :2], learned, blend, trust=trust), _in_camera(form, seen, camera)


def joined(theirs: Array, learned: LearnedHand, blend: Blend, *, trust: float = 0.0) -> Array:
    """(21, 2) pixels from MediaPipe's and DetNet's; `trust` of it stays MediaPipe's, whatever DetNet says."""
    ours: Array = blend.definition @ learned.points
    doubt = _doubt(theirs, ours, learned.error_2d, blend)
    return ours + (theirs - ours) * _kept((1.0 - blend.picture) * doubt, trust)[:, None]


def joined_forms(theirs: Array, learned: LearnedHand, blend: Blend, *, trust: float = 0.0) -> Array:
    """(21, 3) about their middle, wrist to middle knuckle about 1, from MediaPipe's (any scale) and DetNet's."""
    ours: Array = blend.definition @ learned.form
    ours -= ours.mean(0)
    theirs = theirs * (np.linalg.norm(ours) / max(float(np.linalg.norm(theirs)), 1e-9))
    doubt = _doubt(theirs, ours, learned.error_3d, blend)
    share = 1.0 - np.array([blend.picture, blend.picture, blend.depth])
    return ours + (theirs - ours) * _kept(doubt[:, None] * share, trust)


def _kept(share: Array, trust: float) -> Array:
    """MediaPipe's share where `trust` of it is beyond doubt."""
    return np.asarray(trust + (1.0 - trust) * share)


def _doubt(theirs: Array, ours: Array, error: Array, blend: Blend) -> Array:
    """(21,) what is left of MediaPipe's share where it says something quite different."""
    distance = np.linalg.norm(theirs - ours, axis=1) / np.maximum(error, 1e-6)
    return np.asarray(1.0 / (1.0 + (distance / blend.patience) ** 2))


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


def blended_confidence(
    seen: SeenHand, learned: LearnedHand, blend: Blend, *, motion: float, size: tuple[int, int]
) -> float:
    """Probability that the blend is right: MediaPipe's confidence and what DetNet says, calibrated together."""
    score = blend.confidence[0] + blend.confidence[1:] @ confidence_signs(seen, learned, size)
    score -= _JUMP * min(motion, 2.0)
    return float(1.0 / (1.0 + np.exp(-np.clip(score, -30.0, 30.0))))


def confidence_signs(seen: SeenHand, learned: LearnedHand, size: tuple[int, int]) -> Array:
    """(4,) logits of MediaPipe's confidence, DetNet's presence and side; log of its error in shares of the box."""
    own = mediapipe_confidence(seen, size)
    box = max(float(np.ptp(learned.points, axis=0).max()), 1e-6)
    error = np.log(max(float(learned.error_2d.mean()), 1e-6) / box)
    return np.array([*(logit(p) for p in (own, learned.present, learned.of_side)), error])


def visibility(points: Array, width: int, height: int) -> Array:
    """(21,) one inside the picture, falling to zero a little outside of it."""
    extent = max(float(np.ptp(points, axis=0).max()), 1.0)
    outside = np.maximum(np.maximum(-0.5 - points, points - [width - 0.5, height - 0.5]), 0.0).max(1)
    return np.clip(1.0 - outside / (0.1 * extent), 0.0, 1.0)
