# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user fixes in a take, as pure functions: each returns a new take that is to be solved again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import rotations
from .errors import BadInputError
from .hand.names import JOINT_COUNT, SIDES, Side
from .take import CORRECTION_DTYPE, CorrectionKind, HandTrack, State, Take

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


def held(take: Take, side: Side, indices: Sequence[int]) -> Take:
    """Hold, through frames, the pose the hand has in the last frame before them, else in the first after them."""
    track = take.track(side)
    first, last = min(indices), max(indices)
    before, after = np.flatnonzero(track.present[:first]), np.flatnonzero(track.present[last + 1 :])
    if not len(before) and not len(after):
        raise BadInputError(f"The {side} hand is in no other frame of the take, so there is no pose to hold.")
    source = int(before[-1]) if len(before) else last + 1 + int(after[0])
    records = []
    for index in indices:
        records += [
            _record(index, side, CorrectionKind.ROTATION, joint, track.rotation[source, joint])
            for joint in range(JOINT_COUNT)
        ]
        records.append(_record(index, side, CorrectionKind.TRANSLATION, 0, track.translation[source]))
    return _with(take, records)


def pointed(take: Take, side: Side, index: int, pixels: Mapping[int, ArrayLike]) -> Take:
    """Say where keypoints are in frame `index`: keypoint -> pixel (2,) of the displayed picture."""
    return _with(
        take,
        [
            _record(index, side, CorrectionKind.POINT, keypoint, np.asarray(pixel, dtype=np.float64))
            for keypoint, pixel in pixels.items()
        ],
    )


def cleared(take: Take, side: Side, indices: Sequence[int]) -> Take:
    """Forget what was fixed of a hand in frames."""
    here = np.isin(take.corrections["frame"], np.asarray(indices, dtype=np.intp))
    mine = here & (take.corrections["side"] == SIDES.index(side))
    return take.with_tracks(corrections=take.corrections[~mine])


def swapped(take: Take, indices: Sequence[int]) -> Take:
    """Exchange left and right in frames: what was seen of one is the other's."""
    where = np.asarray(indices, dtype=np.intp)
    exchanged = {side: _taken_over(take.track(side), take.track(other), where) for side, other in _pairs()}
    corrections = take.corrections.copy()
    here = np.isin(corrections["frame"], where)
    corrections["side"][here] = 1 - corrections["side"][here]
    return take.with_tracks(**exchanged, corrections=corrections)


def fixed_since(before: Take, after: Take) -> list[int]:
    """Frames in which one of two states of a take has corrections or sights that the other has not."""
    own, new = ({record.tobytes(): int(record["frame"]) for record in take.corrections} for take in (before, after))
    found = {frame for one, other in ((own, new), (new, own)) for record, frame in one.items() if record not in other}
    for side in SIDES:
        mine, other = before.track(side).seen2d, after.track(side).seen2d
        found |= set(np.flatnonzero(~_same(mine, other)).tolist())
    return sorted(found)


def _same(first: Array, second: Array) -> NDArray[np.bool_]:
    """(T,) frames in which two arrays (T, ...) say the same; nothing seen is the same as nothing seen."""
    equal = (first == second) | (np.isnan(first) & np.isnan(second))
    return np.asarray(equal.reshape(len(first), -1).all(1))


def weakest(take: Take, count: int = 20, apart: int = 5, sides: Sequence[Side] = SIDES) -> list[int]:
    """Frames of lowest confidence of a hand that is there, worst first, at least `apart` frames from each other.

    Frames that a user fixed are no longer weak.
    """
    score = np.full(len(take), np.inf)
    for side in sides:
        track = take.track(side)
        open_ = track.present & (track.state != State.CORRECTED)
        # Of a hidden hand the user has said all there is to say.
        open_[take.corrections["frame"][take.corrections["side"] == SIDES.index(side)]] = False
        score = np.minimum(score, np.where(open_, track.confidence, np.inf))
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
