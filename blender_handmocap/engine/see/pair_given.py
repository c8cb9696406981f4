# SPDX-License-Identifier: GPL-3.0-or-later
"""What the network of both hands is told besides the picture: what is known of each hand, as it reads it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..hand.names import SIDES
from .crops import Array
from .pair import placed_by_size

HANDS: Final = len(SIDES)
POINT_FEATURES: Final = 13
"""of a point: place in the crop, form, place in its hand, place to the other hand, log errors, what is known"""
PAIR_FEATURES: Final = 10
"""of both hands: palm length in the crop, way between the wrists by sizes, log sizes, what is known, focal length"""
_USUAL_REACH: Final = 0.16
"""crop shares a palm length measures where no hand is known"""
_FARTHEST: Final = 4.0
"""palm lengths between the wrists that are told at most"""


@dataclass(frozen=True)
class SeenPair:
    """What is known of both hands of B crops before the network looks; hands in the order of SIDES."""

    points: Array
    """(B, 2, 21, 2) crop shares 0..1, in the definition of a take's points"""
    error: Array
    """(B, 2, 21) expected, the same unit"""
    form: Array
    """(B, 2, 21, 3) relative to the wrist, palm lengths, axes of a camera that looks along the crop's own ray"""
    form_error: Array
    """(B, 2, 21)"""
    known: NDArray[np.bool_]
    """(B, 2) whether anything is known of a hand; the rest says nothing otherwise"""
    focal: Array
    """(B,) focal length in sides of the crop"""


@dataclass(frozen=True)
class Given:
    """What the network is given beside the taps; as heads of training.pair read it."""

    seen: NDArray[np.float32]
    """(B, 2, 21, 2) crop shares"""
    points: NDArray[np.float32]
    """(B, 2, 21, POINT_FEATURES)"""
    pair: NDArray[np.float32]
    """(B, PAIR_FEATURES)"""


def given(seen: SeenPair) -> Given:
    """The features of what is known."""
    known = seen.known[..., None]
    middle = np.where(known, seen.points.mean(2), 0.0)
    count = np.maximum(seen.known.sum(1), 1)[:, None]
    # A hand of which nothing is known is looked for from where the other one is.
    somewhere = np.where(seen.known.any(1)[:, None], middle.sum(1) / count, 0.5)
    middle = np.where(known, middle, somewhere[:, None])
    points = np.where(known[..., None], seen.points, middle[:, :, None])
    form = np.where(known[..., None], seen.form, 0.0)
    flat = form[..., :2] - form[..., :2].mean(2, keepdims=True)
    spread = np.maximum((flat**2).sum((2, 3)), 1e-2)
    size = np.clip((flat * (points - middle[:, :, None])).sum((2, 3)) / spread, 0.02, 0.6)
    reach = np.where(seen.known.any(1), np.where(seen.known, size, 0.0).sum(1) / count[:, 0], _USUAL_REACH)
    unit = reach[:, None, None]
    both = seen.known.all(1)
    vector = np.zeros((len(points), 3))
    if both.any():
        rays = (points[both] - 0.5) / seen.focal[both, None, None, None]
        weight = 1.0 / np.maximum(seen.error[both] / seen.focal[both, None, None], 1e-6) ** 2
        place = placed_by_size(form[both], rays, weight)
        vector[both] = np.clip(place[:, 0] - place[:, 1], -_FARTHEST, _FARTHEST)
    told = np.broadcast_to(known[..., None], (*points.shape[:3], 1)).astype(np.float64)
    features = (
        points - 0.5,
        form,
        (points - middle[:, :, None]) / unit[..., None],
        (points - middle[:, ::-1, None]) / unit[..., None],
        np.log(np.clip(np.where(known, seen.error, 1.0) / unit, 0.01, 10.0))[..., None],
        np.log(np.clip(np.where(known, seen.form_error, 1.0), 0.01, 1.0))[..., None],
        told,
        told * told[:, ::-1],
    )
    pair = (
        reach[:, None],
        vector,
        np.where(seen.known, np.log(size / reach[:, None]), 0.0),
        seen.known.astype(np.float64),
        both[:, None].astype(np.float64),
        np.log(np.maximum(seen.focal, 0.1))[:, None],
    )
    return Given(
        seen=points.astype(np.float32),
        points=np.concatenate(features, axis=-1).astype(np.float32),
        pair=np.concatenate(pair, axis=-1).astype(np.float32),
    )


def mirrored(seen: SeenPair) -> SeenPair:
    """The same in the mirror image of the crops: the left hand is the right one."""
    points = seen.points[:, ::-1].copy()
    points[..., 0] = 1.0 - points[..., 0]
    return SeenPair(
        points=points,
        error=seen.error[:, ::-1],
        form=seen.form[:, ::-1] * [-1.0, 1.0, 1.0],
        form_error=seen.form_error[:, ::-1],
        known=seen.known[:, ::-1],
        focal=seen.focal,
    )


def exchanged(seen: SeenPair) -> SeenPair:
    """The same where each hand is taken for the other one, and a right hand for a left one: depths the other way
    round."""
    swapped = {name: getattr(seen, name)[:, ::-1] for name in ("points", "error", "form_error", "known")}
    return replace(seen, **swapped, form=seen.form[:, ::-1] * [1.0, 1.0, -1.0])


def joined(*seen: SeenPair) -> SeenPair:
    """All of their crops, in their order."""
    return SeenPair(*(np.concatenate([getattr(one, f.name) for one in seen]) for f in fields(SeenPair)))
