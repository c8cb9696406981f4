# SPDX-License-Identifier: GPL-3.0-or-later
"""Solve a take again only around the frames that were fixed: soon done, and frames far away stay as they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from . import rotations
from .fit.clip import solve
from .hand.model import HandModel
from .hand.names import SIDES, Side
from .pipeline import hand_models, resolve
from .polish import PolishSettings, polish
from .progress import Cancelled, OnProgress, Progress
from .settings import Settings
from .take import HandTrack, MapsTrack, PairTrack, Take

Array = NDArray[np.float64]
Records = NDArray[np.void]

REACH: Final = 0.8
"""seconds before and after a fixed frame that follow it: several times as long as a correction fades out"""
EASE: Final = 0.3
"""seconds beyond them in which the new motion leads over to the old one"""
_MARGIN: Final = 0.3
"""seconds beyond those that are solved too, so that the motion knows where it comes from; they are thrown away"""
_TRACKS: Final = tuple(f.name for f in fields(HandTrack))
_MAPS_OF_THE_TAKE: Final = ("vertices",)


@dataclass(frozen=True)
class _Stretch:
    """Frames that are solved, and how much of the result each takes over."""

    frames: slice
    share: Array
    """(n,) 1: the new result; 0: the old one"""


def resolve_around(
    take: Take,
    indices: Sequence[int],
    settings: Settings,
    *,
    parent: Path,
    on_progress: OnProgress | None = None,
    cancelled: Cancelled | None = None,
) -> Take:
    """A new take, solved around frames `indices` whose corrections or sights changed; the rest is the old one's.

    Shape and size stay. Pictures without order have no neighbours, and a take without a result has nothing to keep:
    they are solved as a whole.
    """
    known = any(np.isfinite(take.track(side).raw_translation).any() for side in SIDES)
    if settings.mode == "stills" or not known or not len(indices):
        return resolve(take, settings, parent=parent, on_progress=on_progress, cancelled=cancelled)
    stretches = _stretches(take.time, np.asarray(indices, dtype=np.intp))
    report = _Report(on_progress, [stretch.frames for stretch in stretches])
    plain = replace(settings, calibrate=False)
    made = take
    for number, stretch in enumerate(stretches):
        piece = part_of(take, stretch.frames)
        solved = solve(piece, settings=plain, on_progress=report.of(number), cancelled=cancelled)
        made = _joined(made, solved, stretch)
    made = replace(made, meta={**take.meta, "parent": parent.name})
    choices = PolishSettings(**take.meta.get("polish", {"strength": settings.smoothing}))
    models = hand_models(made)
    polished = polish(made, choices, models=models)
    share = np.zeros(len(take))
    for stretch in stretches:
        share[stretch.frames] = stretch.share
    # How much is taken for noise is measured over the whole take, so a fix would be felt everywhere.
    tracks = {side: _kept_far_away(take, polished, side, share, models[side]) for side in SIDES}
    return polished.with_tracks(**tracks)


def part_of(take: Take, frames: slice) -> Take:
    """The take's frames of a slice (step 1) as a take of its own."""
    first, last = frames.start, frames.stop
    tracks = {side: HandTrack(**{name: getattr(take.track(side), name)[frames] for name in _TRACKS}) for side in SIDES}
    meta = dict(take.meta)
    if meta.get("sizes"):
        meta["sizes"] = meta["sizes"][frames]
    pair = take.pair
    return replace(
        take,
        meta=meta,
        frame=take.frame[frames],
        time=take.time[frames],
        K=take.K if take.K.ndim == 2 else take.K[frames],
        left=tracks["left"],
        right=tracks["right"],
        contacts=_shifted(take.contacts, first, last),
        corrections=_shifted(take.corrections, first, last),
        pair=None if pair is None else PairTrack(**{f.name: getattr(pair, f.name)[frames] for f in fields(PairTrack)}),
        maps=None if take.maps is None else _maps_of(take.maps, first, last),
    )


def _maps_of(maps: MapsTrack, first: int, last: int) -> MapsTrack:
    inside = (maps.frame >= first) & (maps.frame < last)
    changes: dict[str, Any] = {
        f.name: getattr(maps, f.name)[inside] for f in fields(MapsTrack) if f.name not in _MAPS_OF_THE_TAKE
    }
    changes["frame"] = changes["frame"] - first
    return replace(maps, **changes)


def _shifted(records: Records, first: int, last: int) -> Records:
    """Records of the frames from `first` to before `last`, counted from `first`."""
    kept = records[(records["frame"] >= first) & (records["frame"] < last)].copy()
    kept["frame"] -= first
    return kept


def _stretches(time: Array, indices: NDArray[np.intp]) -> list[_Stretch]:
    """Stretches around frames, in order; those that would share frames are one."""
    far = np.abs(time[:, None] - time[np.unique(indices)]).min(1)
    solved = far <= REACH + EASE + _MARGIN
    share = np.clip((REACH + EASE - far) / EASE, 0.0, 1.0)
    share = share * share * (3.0 - 2.0 * share)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], solved, [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    return [_Stretch(slice(int(a), int(b)), share[int(a) : int(b)]) for a, b in zip(starts, ends, strict=True)]


def _joined(take: Take, solved: Take, stretch: _Stretch) -> Take:
    tracks = {side: _mixed(take, solved, side, stretch) for side in SIDES}
    first, whole = stretch.frames.start, stretch.share >= 1.0
    new = solved.contacts[whole[solved.contacts["frame"]]].copy()
    new["frame"] += first
    kept = take.contacts[~np.isin(take.contacts["frame"], first + np.flatnonzero(whole))]
    contacts = np.concatenate([kept, new])
    return take.with_tracks(**tracks, contacts=contacts[np.argsort(contacts["frame"], kind="stable")])


def _mixed(take: Take, solved: Take, side: Side, stretch: _Stretch) -> HandTrack:
    track, new = take.track(side), solved.track(side)
    here, whole = stretch.frames, stretch.share >= 1.0
    turn, place, state = track.raw_rotation.copy(), track.raw_translation.copy(), track.state.copy()
    both = np.isfinite(place[here]).all(-1) & np.isfinite(new.raw_translation).all(-1)
    # Where only one of them has the hand there is nothing to lead over to.
    weight = np.where(both, stretch.share, whole.astype(np.float64))
    mixed = np.where(both[:, None], place[here] + weight[:, None] * (new.raw_translation - place[here]), place[here])
    place[here] = np.where(whole[:, None], new.raw_translation, mixed)
    turned = rotations.slerp(turn[here], new.raw_rotation, np.broadcast_to(weight[:, None], turn[here].shape[:2]))
    turn[here] = np.where(whole[:, None, None], new.raw_rotation, turned)
    state[here] = np.where(whole, new.state, state[here])
    return replace(track, raw_rotation=rotations.continuous(turn), raw_translation=place, state=state)


def _kept_far_away(take: Take, polished: Take, side: Side, share: Array, model: HandModel) -> HandTrack:
    """The polished track, which leads over to the old one's polished motion as the solved one does."""
    old, new = take.track(side), polished.track(side)
    far = share <= 0.0
    state = np.where(far, old.state, new.state)
    there = old.present & new.present
    weight = np.where(there, share, 1.0)
    turn = rotations.slerp(old.rotation, new.rotation, np.broadcast_to(weight[:, None], old.rotation.shape[:2]))
    place = np.where(there[:, None], old.translation + weight[:, None] * (new.translation - old.translation), np.nan)
    turn = np.where(far[:, None, None], old.rotation, turn)
    place = np.where(far[:, None], old.translation, np.where(there[:, None], place, new.translation))
    turn = rotations.continuous(turn)
    points = np.where(far[:, None, None], old.points, new.points)
    between = np.flatnonzero(there & ~far & (share < 1.0))
    if len(between):
        points[between] = model.keypoints(turn[between], place[between], model.rest(take.betas, take.size))
    return replace(new, state=state, rotation=turn, translation=place, points=points)


class _Report:
    """One progress over several stretches."""

    def __init__(self, on_progress: OnProgress | None, stretches: Sequence[slice]) -> None:
        self._on_progress = on_progress
        self._lengths = [frames.stop - frames.start for frames in stretches]

    def of(self, number: int) -> OnProgress | None:
        """What a stretch reports to."""
        tell = self._on_progress
        if tell is None:
            return None
        before, own, total = sum(self._lengths[:number]), self._lengths[number], sum(self._lengths)

        def on_progress(progress: Progress) -> None:
            done = progress.done / progress.total if progress.total else 1.0
            tell(replace(progress, done=before + round(own * done), total=total))

        return on_progress
