# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user fixes in a take, as pure functions: each returns a new take that is to be solved again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import rotations
from .hand.names import JOINT_COUNT, SIDES, Side
from .take import CORRECTION_DTYPE, CorrectionKind, HandTrack, Take

Array = NDArray[np.float64]

SAME_ROTATION: Final = np.radians(0.5)
"""A joint closer than this to the take was not moved by the user."""
SAME_PLACE: Final = 0.0005
"""Metres; the same for the wrist."""

_SEEN: Final = ("seen2d", "seen2d_sigma", "seen3d", "seen3d_sigma", "visibility", "confidence", "state")


def posed(take: Take, side: Side, index: int, rotation: ArrayLike, translation: ArrayLike) -> tuple[Take, int]:
    """Keep a pose, rotation (16, 4) and translation (3,) metres, exactly in frame `index`; and how much was fixed.

    Only what differs from the take becomes a correction, so untouched fingers stay free to follow the footage.
    """
    track = take.track(side)
    q, place = np.asarray(rotation, dtype=np.float64), np.asarray(translation, dtype=np.float64)
    known = bool(track.present[index])
    turned = rotations.angle_between(q, track.rotation[index]) if known else np.full(JOINT_COUNT, np.inf)
    records = [
        _record(index, side, CorrectionKind.ROTATION, joint, q[joint])
        for joint in range(JOINT_COUNT)
        if turned[joint] > SAME_ROTATION
    ]
    if not known or np.linalg.norm(place - track.translation[index]) > SAME_PLACE:
        records.append(_record(index, side, CorrectionKind.TRANSLATION, 0, place))
    return _with(take, records), len(records)


def marked(take: Take, side: Side, indices: Sequence[int], kind: CorrectionKind) -> Take:
    """Say of frames that the hand's observation is not to be used (HIDDEN) or that it is not there (ABSENT)."""
    return _with(take, [_record(index, side, kind, 0, np.zeros(4)) for index in indices])


def swapped(take: Take, indices: Sequence[int]) -> Take:
    """Exchange left and right in frames: what was seen of one is the other's."""
    where = np.asarray(indices, dtype=np.intp)
    exchanged = {side: _taken_over(take.track(side), take.track(other), where) for side, other in _pairs()}
    corrections = take.corrections.copy()
    here = np.isin(corrections["frame"], where)
    corrections["side"][here] = 1 - corrections["side"][here]
    return take.with_tracks(**exchanged, corrections=corrections)


def weakest(take: Take, count: int = 20, apart: int = 5) -> list[int]:
    """Frames of lowest confidence of a hand that is there, worst first, at least `apart` frames from each other."""
    score = np.full(len(take), np.inf)
    for side in SIDES:
        track = take.track(side)
        score = np.minimum(score, np.where(track.present, track.confidence, np.inf))
    found: list[int] = []
    while len(found) < count and np.isfinite(score).any():
        worst = int(score.argmin())
        found.append(worst)
        score[max(0, worst - apart + 1) : worst + apart] = np.inf
    return found


def _pairs() -> tuple[tuple[Side, Side], tuple[Side, Side]]:
    return ("left", "right"), ("right", "left")


def _taken_over(track: HandTrack, other: HandTrack, where: NDArray[np.intp]) -> HandTrack:
    changes: dict[str, Any] = {}
    for name in _SEEN:
        values = getattr(track, name).copy()
        values[where] = getattr(other, name)[where]
        changes[name] = values
    return replace(track, **changes)


def _record(index: int, side: Side, kind: CorrectionKind, part: int, value: Array) -> tuple[Any, ...]:
    padded = np.zeros(4)
    padded[: len(value)] = value
    return (index, SIDES.index(side), int(kind), part, padded)


def _with(take: Take, records: list[tuple[Any, ...]]) -> Take:
    """The take with corrections added; a newer one replaces an older one of the same thing."""
    added = np.array(records, CORRECTION_DTYPE) if records else np.zeros(0, CORRECTION_DTYPE)
    keys = ["frame", "side", "kind", "index"]
    named = {tuple(row[keys].tolist()) for row in added}
    kept = [row for row in take.corrections if tuple(row[keys].tolist()) not in named]
    old = np.array(kept, CORRECTION_DTYPE) if kept else np.zeros(0, CORRECTION_DTYPE)
    return take.with_tracks(corrections=np.concatenate([old, added]))
