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
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import rotations
from ..hand.names import FINGER_JOINTS, FINGERS, JOINT_COUNT, KEYPOINT_PARENTS
from ..runtime import Runtime

Array = NDArray[np.float64]

IKNET_MODEL: Final = "iknet"
FEATURE_COUNT: Final = 2 * (63 + 60) + 2 * 45 + 15 + 21 + 3
"""points and bone directions, seen and at rest; swings, bare and trusted; trusts; errors; view"""

_RIGID: Final = (0, 5, 9, 13, 17)
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
    still = np.broadcast_to(np.asarray(rest, dtype=np.float64), seen.shape)
    known = np.isfinite(seen).all(-1)
    doubt = np.broadcast_to(np.asarray(error, dtype=np.float64), known.shape)
    trusted = (known & np.isfinite(doubt))[:, _RIGID]
    seen[~known] = 0.0

    still_centre, still_size = _palm(still, np.ones_like(trusted))
    centre, size = _palm(seen, known[:, _RIGID])
    still = (still - still_centre) / still_size
    weight = known[:, _RIGID].astype(np.float64)
    palm = rotations.aligning_rotation(still[:, _RIGID], seen[:, _RIGID], weight)
    palm[known[:, _RIGID].sum(1) < _LEAST_KNOWN] = np.eye(3)
    turned = ((seen - centre) / size) @ palm
    # What was not seen is where the flat hand has it, and anything may be true of it.
    turned = np.where(known[..., None], turned, still)
    doubt = np.where(known & np.isfinite(doubt), doubt / size[:, :, 0], _MOST_ERROR)

    bones, still_bones = _directions(turned), _directions(still)
    doubt = np.clip(doubt, _LEAST_ERROR, _MOST_ERROR)
    swings, trust = _swings(bones, still_bones), _trust(still, doubt)
    parts = (
        turned,
        bones,
        still,
        still_bones,
        swings,
        swings * trust[..., None],
        trust,
        np.log(doubt),
        palm[:, 2],
    )
    features = np.concatenate([part.reshape(count, int(np.prod(part.shape[1:]))) for part in parts], axis=1)
    return Aligned(features.astype(np.float32), palm)


def _palm(points: Array, known: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Middle (B, 1, 3) and spread (B, 1, 1) of the palm's known points."""
    weight = known[..., None] / np.maximum(known.sum(1), 1)[:, None, None]
    rigid = points[:, _RIGID]
    centre = (rigid * weight).sum(1, keepdims=True)
    spread = np.sqrt((((rigid - centre) ** 2) * weight).sum((1, 2), keepdims=True))
    return centre, np.where(spread > 1e-9, spread, 1.0)


def _directions(points: Array) -> Array:
    """(B, 21, 3) -> unit bone directions (B, 20, 3)."""
    bones = points[:, 1:] - points[:, _PARENTS]
    return bones / np.maximum(np.linalg.norm(bones, axis=-1, keepdims=True), 1e-9)


def _swings(bones: Array, still: Array) -> Array:
    """(B, 5, 3, 3) vector parts of the shortest turns, one joint after the other, from palm to tip."""
    count = len(bones)
    wanted = bones.reshape(count, 5, 4, 3)[:, :, 1:]
    resting = still.reshape(count, 5, 4, 3)[:, :, 1:]
    out = np.empty((count, 5, 3, 3))
    orientation = np.broadcast_to(rotations.IDENTITY, (count, 5, 4))
    for level in range(3):
        local = rotations.rotate(rotations.conjugate(orientation), wanted[:, :, level])
        start = resting[:, :, level]
        scalar = 1.0 + (start * local).sum(-1, keepdims=True)
        turn = rotations.normalized(np.concatenate([scalar, np.cross(start, local)], axis=-1))
        out[:, :, level] = turn[..., 1:]
        orientation = rotations.multiply(orientation, turn)
    return out


def _trust(still: Array, doubt: Array) -> Array:
    """(B, 5, 3) how much of each swing is the hand's and not the errors': 1 all of it, 0 none."""
    length = np.linalg.norm(still[:, 1:] - still[:, _PARENTS], axis=-1)
    squared = doubt**2
    # Half an angle of turn, from the bone's two ends off by their errors across it.
    bent = 0.25 * (squared[:, 1:] + squared[:, _PARENTS]) / np.maximum(length, 1e-3) ** 2
    bent = bent.reshape(len(still), 5, 4)
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
