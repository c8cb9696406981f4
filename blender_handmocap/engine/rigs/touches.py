# SPDX-License-Identifier: GPL-3.0-or-later
"""What touches what in a take: the recorded contacts between the hands, and each hand's own pinches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..hand.model import HandModel, PosedHand
from ..hand.names import CONTACT_PARTS, SIDES, TIP_JOINTS, Side
from ..take import Take
from .easing import ramp

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_PALM: Final = CONTACT_PARTS.index("palm")
_SURE: Final = 0.5
"""a recorded contact more probable than this is one"""
_ADULT_PALM: Final = 0.09
_BEGINS, _ENDS = 0.004, 0.009
"""metres between the skins of an adult's fingertips: closer, a touch begins; farther, it is over"""
_SHORTEST: Final = 0.07
"""seconds; what touches for less only passes"""
_PAUSE: Final = 0.12
"""seconds; a touch that is lost for less goes on"""
_NEARNESS: Final = 0.0015
"""metres; spots of skin this much farther away than the nearest still count"""
_TIP_REACH, _PALM_REACH = 0.035, 0.11
"""metres from its joint in which an adult's fingertip or palm has all its skin"""
_MOST_VERTICES: Final = 120
_AT_ONCE: Final = 64
"""frames measured together, so that memory stays small"""
EASE: Final = 0.3
"""seconds before and after a touch in which its goal comes and goes"""


@dataclass(frozen=True)
class Spot:
    """A part of one hand: a fingertip or the palm."""

    side: Side
    part: int
    """index into CONTACT_PARTS"""

    @property
    def joint(self) -> int:
        """The joint the part is fixed to."""
        return 0 if self.part == _PALM else TIP_JOINTS[self.part]


@dataclass(frozen=True)
class Touch:
    """Two spots that are together for a while, with the moments before and after; n frames."""

    spots: tuple[Spot, Spot]
    frames: NDArray[np.intp]
    """(n,) successive indices into the take"""
    weight: Array
    """(n,) 1 while they touch, eased from and to 0 around"""
    points: tuple[Array, Array]
    """(n, 3) each: where on the spot, from its joint in the joint's canonical axes, metres of the take's hand"""
    between: Array
    """(n, 3) from the first point to the second, in canonical axes of the first hand's wrist, metres; closed while
    they touch"""


def touches_of(take: Take, models: Mapping[Side, HandModel], *, between_hands: bool = True) -> list[Touch]:
    """Every touch of a take, in order of time.

    Between the hands what the take recorded counts; only a take that recorded nothing is measured. Pinches, thumb
    tip to fingertip of one hand, are always measured on the posed hands.
    """
    scale = take.size / _ADULT_PALM
    seen = {side: take.track(side).present for side in SIDES}
    skins = {side: _Skin(take, side, models[side]) for side in SIDES if seen[side].any()}
    found: list[Touch] = []
    for pair in _own_pairs(skins):
        found += _stretches(take, skins, pair, None, scale)
    if between_hands and len(skins) == 2:
        recorded = len(take.contacts) > 0
        for first in range(len(CONTACT_PARTS)):
            for second in range(len(CONTACT_PARTS)):
                pair = (Spot("left", first), Spot("right", second))
                found += _stretches(take, skins, pair, _recorded(take, first, second) if recorded else None, scale)
    return sorted(found, key=lambda touch: int(touch.frames[0]))


def _own_pairs(skins: Iterable[Side]) -> Iterator[tuple[Spot, Spot]]:
    for side in skins:
        for part in range(1, _PALM):
            yield Spot(side, 0), Spot(side, part)


def _recorded(take: Take, left: int, right: int) -> Mask:
    mask = np.zeros(len(take), dtype=bool)
    records = take.contacts
    mine = (records["left_part"] == left) & (records["right_part"] == right) & (records["probability"] >= _SURE)
    frames = records["frame"][mine]
    mask[frames[(frames >= 0) & (frames < len(take))]] = True
    return mask


class _Skin:
    """One hand of a take with the skin of its parts, frame by frame."""

    def __init__(self, take: Take, side: Side, model: HandModel) -> None:
        self._model = model
        self._rest = model.rest(take.betas, take.size)
        self._rotation = take.track(side).rotation
        self.present = take.track(side).present
        self.posed: PosedHand = model.pose(self._rotation, np.nan_to_num(take.track(side).translation), self._rest)
        self._parts: dict[int, Array] = {}

    def of_part(self, spot: Spot) -> Array:
        """(T, n, 3) vertices of a part, camera axes."""
        if spot.part not in self._parts:
            own = np.flatnonzero(self._model.weights.argmax(1) == spot.joint)
            own = own[:: -(-len(own) // _MOST_VERTICES)]
            self._parts[spot.part] = self._model.skin(self.posed, self._rest, self._rotation, own)
        return self._parts[spot.part]


def _stretches(
    take: Take, skins: Mapping[Side, _Skin], pair: tuple[Spot, Spot], recorded: Mask | None, scale: float
) -> list[Touch]:
    a, b = (skins[spot.side] for spot in pair)
    there = a.present & b.present
    if not there.any() or (recorded is not None and not recorded.any()):
        return []
    measured = _nearest_points(a, b, pair, there, scale)
    gap = measured[2]
    on = _with_memory(gap, _BEGINS * scale, _ENDS * scale) if recorded is None else recorded
    on = _calmed(on & there, take.time) & there
    return [_touch(take, a, b, pair, run, measured, there) for run in _runs(on)]


def _nearest_points(
    a: _Skin, b: _Skin, pair: tuple[Spot, Spot], there: Mask, scale: float
) -> tuple[Array, Array, Array]:
    """Where the skins of two parts are nearest, (T, 3) each in camera axes, and how far apart they are there (T,).

    The spots move over the skin without jumping, because all that are nearly nearest count. Frames in which the
    parts are far from each other are not measured: infinitely far.
    """
    first, second = a.posed.joints[:, pair[0].joint].copy(), b.posed.joints[:, pair[1].joint].copy()
    gap = np.full(len(there), np.inf)
    reach = sum(_PALM_REACH if spot.part == _PALM else _TIP_REACH for spot in pair) + _ENDS
    near = np.flatnonzero(there & (np.linalg.norm(first - second, axis=-1) < reach * scale))
    mine, theirs = a.of_part(pair[0]), b.of_part(pair[1])
    for frames in np.array_split(near, max(1, len(near) // _AT_ONCE)):
        apart = mine[frames][:, :, None] - theirs[frames][:, None]
        distance = np.sqrt((apart * apart).sum(-1))
        gap[frames] = nearest = distance.min((1, 2))
        share = np.exp((nearest[:, None, None] - distance) / (_NEARNESS * scale))
        share /= share.sum((1, 2), keepdims=True)
        first[frames] = (share.sum(2)[..., None] * mine[frames]).sum(1)
        second[frames] = (share.sum(1)[..., None] * theirs[frames]).sum(1)
    return first, second, gap


def _with_memory(gap: Array, begins: float, ends: float) -> Mask:
    on = np.zeros(len(gap), dtype=bool)
    now = False
    for frame, distance in enumerate(gap):
        now = distance < (ends if now else begins)
        on[frame] = now
    return on


def _runs(on: Mask) -> list[tuple[int, int]]:
    """(first, last) of every run of frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], on, [False]]).astype(np.int8)))
    return [(int(first), int(end) - 1) for first, end in zip(edges[::2], edges[1::2], strict=True)]


def _calmed(on: Mask, time: Array) -> Mask:
    """Without pauses and without what only passes."""
    out = on.copy()
    runs = _runs(out)
    for (_, end), (start, _) in pairwise(runs):
        if time[start] - time[end] <= _PAUSE:
            out[end:start] = True
    for first, last in _runs(out):
        if time[last] - time[first] < _SHORTEST:
            out[first : last + 1] = False
    return out


def _touch(
    take: Take,
    a: _Skin,
    b: _Skin,
    pair: tuple[Spot, Spot],
    run: tuple[int, int],
    measured: tuple[Array, Array, Array],
    there: Mask,
) -> Touch:
    first, second, gap = measured
    inside = np.zeros(len(take), dtype=bool)
    inside[run[0] : run[1] + 1] = True
    weight = ramp(inside, take.time, EASE)
    # Only the unbroken stretch around the touch: across a gap of the track there is nothing to lead in from.
    reach = (weight > 0.0) & there
    low, high = run
    while low > 0 and reach[low - 1]:
        low -= 1
    while high < len(take) - 1 and reach[high + 1]:
        high += 1
    frames = np.arange(low, high + 1)
    held = np.clip(frames, *run)
    points = tuple(
        (
            np.swapaxes(skin.posed.orientation[held, spot.joint], -1, -2)
            @ (at - skin.posed.joints[held, spot.joint])[..., None]
        )[..., 0]
        for skin, spot, at in ((a, pair[0], first[held]), (b, pair[1], second[held]))
    )
    where = [
        skin.posed.joints[frames, spot.joint] + (skin.posed.orientation[frames, spot.joint] @ local[..., None])[..., 0]
        for skin, spot, local in ((a, pair[0], points[0]), (b, pair[1], points[1]))
    ]
    between = where[1] - where[0]
    length = np.maximum(np.linalg.norm(between, axis=-1), 1e-9)
    scale = take.size / _ADULT_PALM
    closing = np.clip(gap[held], 0.0, _BEGINS * scale) * weight[frames]
    between = between * np.maximum(1.0 - closing / length, 0.0)[:, None]
    wrist = a.posed.orientation[frames, 0]
    local = (np.swapaxes(wrist, -1, -2) @ between[..., None])[..., 0]
    return Touch(pair, frames, weight[frames], (points[0], points[1]), local)
