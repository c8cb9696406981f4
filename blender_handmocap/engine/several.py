# SPDX-License-Identifier: GPL-3.0-or-later
"""Several takes of one clip: how far they are apart, and one take made of ranges of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import PurePath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from . import rotations
from .errors import BadInputError
from .hand.model import HandModel
from .hand.names import SIDES, Side
from .take import HandTrack, PairTrack, Take

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

EASE: Final = 0.15
"""seconds inside the taken range over which the motion leads over, at either end"""
_SAME_LENS: Final = 0.01
"""share by which two focal lengths may differ and still be one lens"""
_POSE: Final = ("rotation", "raw_rotation", "translation", "raw_translation")


@dataclass(frozen=True)
class Difference:
    """How far two takes are apart in the frames that both have a hand in."""

    frames: int
    """that were compared"""
    distance: float
    """metres, mean over joints and tips"""
    angle: float
    """radians, mean over finger joints"""
    worst: int
    """index into the first take of the frame that differs most"""


def difference(take: Take, other: Take) -> Difference:
    """Compare two takes frame by frame, as the clip counts frames."""
    mine, theirs = _shared(take, other)
    apart, turned = np.full((len(mine), 2), np.nan), np.full((len(mine), 2), np.nan)
    for column, side in enumerate(SIDES):
        a, b = take.track(side), other.track(side)
        both = a.present[mine] & b.present[theirs]
        i, j = mine[both], theirs[both]
        apart[both, column] = np.linalg.norm(a.points[i] - b.points[j], axis=-1).mean(-1)
        turned[both, column] = rotations.angle_between(a.rotation[i, 1:], b.rotation[j, 1:]).mean(-1)
    known = np.isfinite(apart).any(1)
    if not known.any():
        raise BadInputError("The two takes have no hand in the same frame; choose another take to compare with.")
    worst = int(np.nanmax(np.where(known[:, None], apart, 0.0), axis=1).argmax())
    return Difference(int(known.sum()), float(np.nanmean(apart)), float(np.nanmean(turned)), int(mine[worst]))


def with_range(take: Take, other: Take, first: int, last: int, models: Mapping[Side, HandModel]) -> Take:
    """The take with the clip's frames `first` to `last` (inclusive) as `other` has them.

    The motion leads over inside the range. Shape and size stay the take's; the other's hands are moved along their
    rays of sight by the same share, so that they lie on the same pixels.
    """
    _refuse_other_footage(take, other)
    mine, theirs = _shared(take, other)
    inside = (take.frame[mine] >= first) & (take.frame[mine] <= last)
    if not inside.any():
        raise BadInputError(
            f"The takes share no frame from {first} to {last} of the clip; choose frames that both of them have."
        )
    mine, theirs = mine[inside], theirs[inside]
    share = _share(take, mine)
    tracks = {side: _mixed(take, other, side, mine, theirs, share, models[side]) for side in SIDES}
    return take.with_tracks(
        **tracks,
        contacts=_records(take.contacts, other.contacts, mine, theirs),
        corrections=_records(take.corrections, other.corrections, mine, theirs),
        pair=_pair(take, other, mine, theirs),
    )


def _shared(take: Take, other: Take) -> tuple[Indices, Indices]:
    """Indices into both takes of the clip's frames that both have."""
    _, mine, theirs = np.intersect1d(take.frame, other.frame, return_indices=True)
    return mine, theirs


def _refuse_other_footage(take: Take, other: Take) -> None:
    names = [PurePath(str(one.meta.get("source", ""))).name for one in (take, other)]
    if names[0] != names[1]:
        raise BadInputError(
            f"The takes are of different clips ({names[0] or 'a camera'} and {names[1] or 'a camera'}); "
            "put the other one on the hands with Push Down instead, and arrange both in the NLA editor."
        )
    focal = [float(np.median(one.K.reshape(-1, 3, 3)[:, 0, 0])) for one in (take, other)]
    if abs(focal[0] / focal[1] - 1.0) > _SAME_LENS:
        raise BadInputError(
            "The takes were captured with different lenses, so their hands stand at different distances; "
            "capture one of them again with the other's lens."
        )


def _share(take: Take, mine: Indices) -> Array:
    """(n,) of the other take: 1 inside the range, eased at an end that has a neighbour in the take."""
    time = take.time[mine]
    step = float(np.median(np.diff(take.time))) if len(take) > 1 else 0.0
    share = np.ones(len(mine))
    for at, distance in ((mine[0] > 0, time - time[0]), (mine[-1] < len(take) - 1, time[-1] - time)):
        if at:
            part = np.clip((distance + step) / (EASE + step), 0.0, 1.0)
            share = np.minimum(share, part * part * (3.0 - 2.0 * part))
    return share


def _mixed(
    take: Take, other: Take, side: Side, mine: Indices, theirs: Indices, share: Array, model: HandModel
) -> HandTrack:
    track, source = take.track(side), other.track(side)
    changes: dict[str, Any] = {}
    for field in fields(HandTrack):
        values = getattr(track, field.name).copy()
        values[mine] = getattr(source, field.name)[theirs]
        changes[field.name] = values
    both = track.present[mine] & source.present[theirs]
    for name in _POSE:
        now, then = changes[name][mine], getattr(track, name)[mine]
        if name.endswith("translation"):
            now = now * (take.size / other.size)
        weight = np.where(both, share, 1.0)
        changes[name][mine] = _between(then, now, weight)
    for name in ("rotation", "raw_rotation"):
        changes[name] = rotations.continuous(changes[name])
    there = np.zeros(len(take), dtype=bool)
    there[mine] = source.present[theirs]
    if there.any():
        rest = model.rest(take.betas, take.size)
        posed = model.pose(changes["rotation"][there], changes["translation"][there], rest)
        changes["points"][there] = posed.keypoints
    return replace(track, **changes)


def _between(then: Array, now: Array, weight: Array) -> Array:
    """From `then` (weight 0) to `now` (weight 1): quaternions (n, 16, 4) the shortest way, places (n, 3) straight."""
    # What is not known, NaN, must not count where it has no say, and stays where it has.
    whole = weight >= 1.0
    if now.ndim == 2:
        return np.where(whole[:, None], now, then + weight[:, None] * (now - then))
    mixed = rotations.slerp(then, now, np.broadcast_to(weight[:, None], then.shape[:2]))
    return np.where(whole[:, None, None], now, mixed)


def _records(own: NDArray[np.void], others: NDArray[np.void], mine: Indices, theirs: Indices) -> NDArray[np.void]:
    """Records of the take outside the range and of the other inside it, told by the take's indices."""
    kept = own[~np.isin(own["frame"], mine)]
    at = {int(j): int(i) for i, j in zip(mine, theirs, strict=True)}
    taken = others[np.isin(others["frame"], theirs)].copy()
    taken["frame"] = [at[int(j)] for j in taken["frame"]]
    joined = np.concatenate([kept, taken])
    return joined[np.argsort(joined["frame"], kind="stable")]


def _pair(take: Take, other: Take, mine: Indices, theirs: Indices) -> PairTrack | None:
    if take.pair is None and other.pair is None:
        return None
    own = take.pair or PairTrack.absent(len(take))
    source = other.pair or PairTrack.absent(len(other))
    changes = {}
    for field in fields(PairTrack):
        values = getattr(own, field.name).copy()
        values[mine] = getattr(source, field.name)[theirs]
        changes[field.name] = values
    return PairTrack(**changes)
