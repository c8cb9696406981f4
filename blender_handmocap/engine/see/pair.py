# SPDX-License-Identifier: GPL-3.0-or-later
"""Both hands in one frame: how the wrists stand to each other.

Each hand's distance follows from its size in the picture, and is off by a few per cent: by two
centimetres where hands touch. A small network that has seen many pairs of hands reads the points
of both and says where the hands must be for what is seen to make sense, and how sure that is. It
needs no picture, only what was seen of each hand.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelFileError
from ..fit.observations import undistorted
from ..hand.free import free_hand
from ..hand.names import CONTACT_PARTS, KEYPOINT_COUNT, KEYPOINT_OF_JOINT, PALM_LENGTH_JOINT, SIDES
from ..models import model_cards
from ..runtime import Runtime
from ..take import PairTrack, State, Take

log = logging.getLogger("handmocap.see")

Array = NDArray[np.float64]

PAIR_MODEL: Final = "pair"
PARTS: Final = len(CONTACT_PARTS)
FEATURE_COUNT: Final = 2 * KEYPOINT_COUNT * (3 + 2 + 1 + 1) + 3 + 1
"""forms, places in the picture, errors of both; the way from wrist to wrist as placed; distance"""

LEFT: Final = SIDES.index("left")
RIGHT: Final = SIDES.index("right")
_KNUCKLES: Final = (5, 9, 13, 17)
_LEAST_ERROR: Final = 0.005
_MOST_ERROR: Final = 1.0
"""palm lengths"""
_NEAR: Final = 1.0
_FAR: Final = 40.0
"""palm lengths between which a hand is placed"""
_REACH: Final = 3.0
"""palm lengths between the wrists beyond which the network was not trained"""
_CLEARLY_WRONG: Final = 1.0
"""palm lengths between what the sizes of the hands say and what the network does"""
_LEAST_VISIBLE: Final = 0.3
"""mean visibility a hand needs"""
_LEAST_SIGMA: Final = 0.02
_PIECE: Final = 1000
"""frames read side by side: memory must not grow with the clip"""
_SPREAD: Final = 0.625
"""Half of a standard deviation over its mean absolute error: the fit weighs the sizes, which are wrong here, too."""


@dataclass(frozen=True)
class SeenHands:
    """Both hands of B frames, hands in the order of SIDES."""

    rays: Array
    """(B, 2, 21, 2) undistorted image positions at unit depth"""
    ray_error: Array
    """(B, 2, 21) expected distance from the truth, the same unit"""
    form: Array
    """(B, 2, 21, 3) relative to the wrist, mean palm bone = 1, camera axes"""
    form_error: Array
    """(B, 2, 21)"""


@dataclass(frozen=True)
class Aligned:
    """The network's input for B frames, and how to turn its answer back."""

    features: NDArray[np.float32]
    """(B, FEATURE_COUNT)"""
    turn: Array
    """(B, 3, 3) camera axes to the network's: z through the middle of both hands, x from left to right wrist"""
    vector: Array
    """(B, 3) left wrist minus right wrist as each hand's size places it, palm lengths, the network's axes"""


@cache
def palm_bone() -> float:
    """Mean palm bone of the free hand in palm lengths: what observed forms must be multiplied by."""
    joints = free_hand("right").joints
    knuckles = [KEYPOINT_OF_JOINT.index(point) for point in _KNUCKLES]
    return float(np.linalg.norm(joints[knuckles], axis=1).mean() / np.linalg.norm(joints[PALM_LENGTH_JOINT]))


def align(seen: SeenHands) -> Aligned:
    """Place each hand by its size, and turn both into axes of their own."""
    count = len(seen.rays)
    bone = palm_bone()
    form = seen.form * bone
    place = placed_by_size(form, seen.rays, 1.0 / np.maximum(seen.ray_error, 1e-6) ** 2)
    points = form + place[:, :, None]
    turn = _turn(points, place)
    across = np.swapaxes(turn, 1, 2)
    vector = ((place[:, LEFT] - place[:, RIGHT])[:, None] @ across)[:, 0]
    flat = np.concatenate([seen.rays, np.ones((*seen.rays.shape[:-1], 1))], axis=-1) @ across[:, None]
    depth = place.mean(1)
    distance = np.linalg.norm(depth, axis=-1)
    flat = flat[..., :2] / np.maximum(flat[..., 2:], 1e-3) * distance[:, None, None, None]
    flat = flat - flat[:, RIGHT : RIGHT + 1, :1]
    parts = (
        form @ across[:, None],
        flat,
        np.log(np.clip(seen.form_error * bone, _LEAST_ERROR, _MOST_ERROR)),
        np.log(np.clip(seen.ray_error * distance[:, None, None], _LEAST_ERROR, _MOST_ERROR)),
        vector,
        np.log(np.maximum(distance, _NEAR))[:, None],
    )
    features = np.concatenate([part.reshape(count, int(np.prod(part.shape[1:]))) for part in parts], axis=1)
    return Aligned(features.astype(np.float32), turn, vector)


def placed_by_size(form: Array, rays: Array, weight: Array) -> Array:
    """(B, 2, 3) wrists, palm lengths: (X + t_x) = u (Z + t_z) in least squares, depth within what is possible."""
    u, v = rays[..., 0], rays[..., 1]
    right = np.stack([u * form[..., 2] - form[..., 0], v * form[..., 2] - form[..., 1]])
    total = weight.sum(-1)
    normal = np.zeros((*total.shape, 3, 3))
    normal[..., 0, 0] = normal[..., 1, 1] = 1.0
    normal[..., 0, 2] = normal[..., 2, 0] = -(weight * u).sum(-1) / total
    normal[..., 1, 2] = normal[..., 2, 1] = -(weight * v).sum(-1) / total
    normal[..., 2, 2] = (weight * (u * u + v * v)).sum(-1) / total + 1e-9
    side = np.stack(
        [
            (weight * right[0]).sum(-1),
            (weight * right[1]).sum(-1),
            -(weight * (u * right[0] + v * right[1])).sum(-1),
        ],
        axis=-1,
    )
    side = side / total[..., None]
    place = np.linalg.solve(normal, side[..., None])[..., 0]
    depth = np.clip(place[..., 2], _NEAR, _FAR)
    moved = depth - place[..., 2]
    place[..., 0] -= normal[..., 0, 2] * moved
    place[..., 1] -= normal[..., 1, 2] * moved
    place[..., 2] = depth
    return place


def _turn(points: Array, place: Array) -> Array:
    """(B, 3, 3) rows are the network's axes in the camera's."""
    forward = points.mean((1, 2))
    forward = forward / np.maximum(np.linalg.norm(forward, axis=-1, keepdims=True), 1e-9)
    apart = place[:, RIGHT] - place[:, LEFT]
    apart = apart - (apart * forward).sum(-1, keepdims=True) * forward
    # Wrists right behind each other have no direction in the picture; any one will do.
    spare = np.cross(forward, np.array([0.0, 1.0, 0.0])) + 1e-6
    apart = np.where(np.linalg.norm(apart, axis=-1, keepdims=True) > 1e-6, apart, spare)
    apart = apart / np.linalg.norm(apart, axis=-1, keepdims=True)
    return np.stack([apart, np.cross(forward, apart), forward], axis=1)


class PairNet:
    """The loaded network."""

    def __init__(self, runtime: Runtime) -> None:
        self._network = runtime.network(PAIR_MODEL, outputs=("shift", "error"), threads=1)

    def __call__(self, given: Aligned) -> tuple[Array, Array]:
        """Left wrist minus right wrist (B, 3) and the sigma (B, 3) it counts with, palm lengths, camera axes."""
        out = {name: value.astype(np.float64) for name, value in self._network(given.features).items()}
        return read(given, out["shift"], out["error"])


def load_or_explain(runtime: Runtime) -> tuple[PairNet | None, str]:
    """The network, or None and the one sentence that says why each hand is placed alone."""
    if PAIR_MODEL not in model_cards():
        return None, ""
    try:
        return PairNet(runtime), ""
    except ModelFileError as error:
        note = f"Each hand is placed on its own, less well where hands meet: {error}"
        log.info("%s", note)
        return None, note


def read(given: Aligned, shift: Array, error: Array) -> tuple[Array, Array]:
    """The network's answers in camera axes, as `PairNet` gives them."""
    back = np.swapaxes(given.turn, 1, 2)
    vector = (back @ (given.vector + shift)[..., None])[..., 0]
    sigma = np.sqrt((back**2 @ (error**2)[..., None])[..., 0]) * _SPREAD
    return vector, np.maximum(sigma, _LEAST_SIGMA)


Reader = Callable[[Aligned], tuple[Array, Array]]
"""As PairNet."""


def with_pair(take: Take, network: Reader) -> Take:
    """The take with what its points say about both hands, in frames that show them near each other.

    It speaks up only where sizes alone are clearly wrong: elsewhere the fit, which sees the whole clip,
    knows better than one frame. Of contact nothing is said: the surfaces the fit brings together tell
    it better than noisy points.
    """
    frames = _usable(take)
    pair = PairTrack.absent(len(take)) if take.pair is None else take.pair
    if not frames.size:
        return replace(take, pair=pair)
    pieces = [frames[first : first + _PIECE] for first in range(0, len(frames), _PIECE)]
    said = [_said(align(hands_of(take, piece)), network) for piece in pieces]
    vector, sigma, good = (np.concatenate(values) for values in zip(*said, strict=True))
    return replace(take, pair=_joined(pair, frames[good], vector[good], sigma[good]))


def _said(given: Aligned, network: Reader) -> tuple[Array, Array, NDArray[np.bool_]]:
    """What the network says of some frames, and where it is to be listened to."""
    vector, sigma = network(given)
    placed = (np.swapaxes(given.turn, 1, 2) @ given.vector[..., None])[..., 0]
    good = np.linalg.norm(vector - placed, axis=1) >= _CLEARLY_WRONG
    good &= np.isfinite(vector).all(1) & np.isfinite(sigma).all(1)
    good &= np.linalg.norm(vector, axis=1) <= _REACH
    return vector, sigma, good


def _joined(pair: PairTrack, frames: NDArray[np.intp], vector: Array, sigma: Array) -> PairTrack:
    """The track with what was said of some frames; what stood there already counts by its precision."""
    out = PairTrack(pair.vector.copy(), pair.sigma.copy(), pair.contact.copy(), pair.valid.copy())
    ours = 1.0 / sigma**2
    said = pair.valid[frames, None]
    theirs = np.where(said, 1.0 / np.where(said, pair.sigma[frames], 1.0) ** 2, 0.0)
    before = np.where(said, pair.vector[frames], 0.0)
    out.vector[frames] = (vector * ours + before * theirs) / (ours + theirs)
    out.sigma[frames] = 1.0 / np.sqrt(ours + theirs)
    out.contact[frames] = np.where(said[..., None], pair.contact[frames], np.nan)
    out.valid[frames] = True
    return out


def _usable(take: Take) -> NDArray[np.intp]:
    good = np.ones(len(take), bool)
    for side in SIDES:
        track = take.track(side)
        good &= track.state != State.ABSENT
        good &= np.isfinite(track.seen2d).all((1, 2)) & np.isfinite(track.seen3d).all((1, 2))
        good &= track.visibility.mean(1) >= _LEAST_VISIBLE
    return np.flatnonzero(good)


def hands_of(take: Take, frames: NDArray[np.intp]) -> SeenHands:
    """What was seen of both hands in frames that show them."""
    K = take.K if take.K.ndim == 2 else take.K[frames]
    tracks = [take.track(side) for side in SIDES]
    rays = np.stack([undistorted(track.seen2d[frames], K, take.dist) for track in tracks], axis=1)
    focal = np.sqrt(np.abs(K[..., 0, 0] * K[..., 1, 1])).reshape(-1, 1, 1)
    form = np.stack([track.seen3d[frames] for track in tracks], axis=1)
    form = form - form[:, :, :1]
    bone = np.linalg.norm(form[:, :, list(_KNUCKLES)], axis=-1).mean(-1)[..., None]
    bone = np.maximum(bone, 1e-6)
    return SeenHands(
        rays=rays,
        ray_error=_filled(np.stack([track.seen2d_sigma[frames] for track in tracks], axis=1) / focal, 0.005),
        form=form / bone[..., None],
        form_error=_filled(np.stack([track.seen3d_sigma[frames] for track in tracks], axis=1) / bone, 0.1),
    )


def _filled(error: Array, usual: float) -> Array:
    return np.where(np.isfinite(error) & (error > 0.0), error, usual)
