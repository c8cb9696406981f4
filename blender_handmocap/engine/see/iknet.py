# SPDX-License-Identifier: GPL-3.0-or-later
"""IKNet: from the 21 seen points of a hand to the rotations of its 16 joints, by a small network.

As published the network reads the points, the directions of the bones, and both again for the
performer's own hand at rest. Ours besides: everything is turned into the palm's axes first, and
the network is told how far each point may be off, where the camera looks from (depth is less sure
than the picture), and the turns that swing each bone of the hand at rest onto the seen one, with
how much of them the expected errors leave to be trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import rotations
from ..hand.names import FINGER_JOINTS, FINGERS, JOINT_COUNT, KEYPOINT_PARENTS
from ..runtime import Runtime

Array = NDArray[np.float64]

IKNET_MODEL: Final = "iknet"
_LENGTHS: Final = (63, 60, 63, 60, 45, 45, 15, 21, 3)
"""points and bone directions, seen and at rest; swings, bare and trusted; trusts; errors; view"""
FEATURE_COUNT: Final = sum(_LENGTHS)

_PLACES: Final = tuple(slice(end - length, end) for length, end in zip(_LENGTHS, accumulate(_LENGTHS), strict=True))
"""where each part of the input lies"""
_AFTER: Final = np.array([1, 2, 0])
_LAST: Final = np.array([2, 0, 1])
_RIGID: Final = np.array([0, 5, 9, 13, 17])
"""wrist and knuckles: the thumb's root belongs to the palm, too, but is the least sure of them"""
_PARENTS: Final = np.array(KEYPOINT_PARENTS[1:])
_SWUNG: Final = np.array([FINGER_JOINTS[finger] for finger in FINGERS])
"""(5, 3) joints in the order of the keypoints' fingers"""
_LEAST_ERROR: Final = 0.005
_MOST_ERROR: Final = 1.0
"""shares of the palm's spread between which an expected error says something"""
_USUAL_SWING: Final = 0.3
"""half of the angle, radians, that joints usually turn by: errors are judged against it"""
_LEAST_KNOWN: Final = 3
"""points of the palm without which its axes are not known"""


@dataclass(frozen=True)
class Aligned:
    """What the network is given about B hands, and how to turn its answer back."""

    features: NDArray[np.float32]
    """(B, FEATURE_COUNT)"""
    palm: Array
    """(B, 3, 3) canonical axes to camera axes, as the palm's points alone say"""


def align(points: ArrayLike, error: ArrayLike, rest: ArrayLike) -> Aligned:
    """Right hands -> the network's input.

    points (B, 21, 3) in any unit, camera axes, NaN where not seen; error (B, 21) expected distance
    from the truth in the same unit; rest (21, 3) or (B, 21, 3): the same points of the flat hand in
    canonical axes, any unit.
    """
    seen = np.array(points, dtype=np.float64)
    count = len(seen)
    known = np.isfinite(seen).all(-1)
    seen[~known] = 0.0
    doubt = np.asarray(error, dtype=np.float64)

    still = _still(np.asarray(rest, dtype=np.float64))
    centre, size = _palm(seen, known[:, _RIGID])
    seen = (seen - centre) / size
    # The clouds are centred: moments of the points that are known are all it takes.
    moment = np.swapaxes(seen[:, _RIGID] * known[:, _RIGID, None], 1, 2) @ still.points[:, _RIGID]
    palm = rotations.nearest_rotation(moment)
    palm[known[:, _RIGID].sum(1) < _LEAST_KNOWN] = np.eye(3)
    # What was not seen is where the flat hand has it, and anything may be true of it.
    turned = np.where(known[..., None], seen @ palm, still.points)
    doubt = np.where(known & np.isfinite(doubt), doubt / size[:, :, 0], _MOST_ERROR)
    doubt = np.minimum(np.maximum(doubt, _LEAST_ERROR), _MOST_ERROR)

    bones, _ = _bones(turned)
    swings, trust = _swings(bones, still.bones), _trust(still.lengths, doubt)
    features = np.empty((count, FEATURE_COUNT), np.float32)
    parts = (
        turned,
        bones,
        still.points,
        still.bones,
        swings,
        swings * trust[..., None],
        trust,
        np.log(doubt),
        palm[:, 2],
    )
    for place, part in zip(_PLACES, parts, strict=True):
        features[:, place] = part.reshape(len(part), place.stop - place.start)
    return Aligned(features, palm)


@dataclass(frozen=True)
class _Still:
    """The hand at rest, one or B of them."""

    points: Array
    """(1 or B, 21, 3) around the palm's middle, in its spread"""
    bones: Array
    """(1 or B, 20, 3) directions"""
    lengths: Array
    """(1 or B, 20)"""


def _still(rest: Array) -> _Still:
    points = rest if rest.ndim == 3 else rest[None]
    centre, size = _palm(points, np.ones((len(points), len(_RIGID)), bool))
    points = (points - centre) / size
    return _Still(points, *_bones(points))


def _palm(points: Array, known: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Middle (B, 1, 3) and spread (B, 1, 1) of the palm's known points."""
    rigid = points[:, _RIGID]
    weight = (known / np.maximum(known.sum(1, keepdims=True), 1))[:, None]
    centre = weight @ rigid
    away = rigid - centre
    spread = np.sqrt((weight @ (away * away)).sum(2, keepdims=True))
    return centre, np.where(spread > 1e-9, spread, 1.0)


def _bones(points: Array) -> tuple[Array, Array]:
    """(B, 21, 3) -> unit bone directions (B, 20, 3), zero where a bone has no length, and lengths (B, 20)."""
    bones = points[:, 1:] - points[:, _PARENTS]
    lengths = np.sqrt((bones * bones).sum(-1))
    return bones / np.maximum(lengths, 1e-9)[..., None], lengths


def _swings(bones: Array, still: Array) -> Array:
    """(B, 5, 3, 3) vector parts of the shortest turns, one joint after the other, from palm to tip."""
    wanted = bones.reshape(-1, 5, 4, 3)[:, :, 1:]
    resting = still.reshape(-1, 5, 4, 3)[:, :, 1:]
    out = np.empty((len(wanted), 5, 3, 3))
    for level in range(3):
        start, end = resting[:, :, level], wanted[:, :, 0]
        # A bone without length does not turn.
        end = np.where((end * end).sum(-1, keepdims=True) > 0.5, end, start)
        scalar = np.maximum(1.0 + (start * end).sum(-1, keepdims=True), 1e-12)
        out[:, :, level] = _crossed(start, end) / np.sqrt(2.0 * scalar)
        if level == 2:
            break
        # The bones after it, as they were before that turn.
        wanted, middle, end = wanted[:, :, 1:], (start + end)[:, :, None], end[:, :, None]
        along = (wanted * middle).sum(-1, keepdims=True) / scalar[:, :, None]
        wanted = wanted - along * middle + 2.0 * (wanted * end).sum(-1, keepdims=True) * start[:, :, None]
    return out


def _crossed(a: Array, b: Array) -> Array:
    """The cross product (..., 3), without numpy's slow preparations."""
    return a[..., _AFTER] * b[..., _LAST] - a[..., _LAST] * b[..., _AFTER]


def _trust(lengths: Array, doubt: Array) -> Array:
    """(B, 5, 3) how much of each swing is the hand's and not the errors': 1 all of it, 0 none."""
    squared = doubt * doubt
    # Half an angle of turn, from the bone's two ends off by their errors across it.
    bent = 0.25 * (squared[:, 1:] + squared[:, _PARENTS]) / np.maximum(lengths, 1e-3) ** 2
    bent = bent.reshape(-1, 5, 4)
    return _USUAL_SWING**2 / (_USUAL_SWING**2 + bent[..., :-1] + bent[..., 1:])


def composed(answer: ArrayLike, palm: ArrayLike) -> Array:
    """The network's answer (B, 64) -> unit quaternions (B, 16, 4) of right hands in a take's conventions."""
    raw = np.asarray(answer, dtype=np.float64).reshape(-1, JOINT_COUNT, 4)
    out = rotations.normalized(np.where(np.isfinite(raw).all(-1, keepdims=True), raw, rotations.IDENTITY))
    out[:, 0] = rotations.multiply(rotations.quaternion_from_matrix(palm), out[:, 0])
    return out


class IKNet:
    """The loaded network."""

    def __init__(self, runtime: Runtime) -> None:
        self._network = runtime.network(IKNET_MODEL, outputs=("rotation",), threads=1)

    def __call__(self, points: ArrayLike, error: ArrayLike, rest: ArrayLike) -> Array:
        """Rotations (B, 16, 4) of right hands; arguments as for `align`."""
        given = align(points, error, rest)
        if not len(given.features):
            return np.zeros((0, JOINT_COUNT, 4))
        return composed(self._network(given.features)["rotation"], given.palm)
