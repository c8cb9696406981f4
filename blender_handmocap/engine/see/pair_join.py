# SPDX-License-Identifier: GPL-3.0-or-later
"""What was read of both hands at once joins what was seen of each: points, lost hands, the way between, contact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..hand.names import SIDES, Side
from ..polish.gaps import short_gaps
from ..polish.settings import PolishSettings
from ..settings import BETA_COUNT
from ..take import HandTrack, PairTrack, State, Take
from ..timing import mean_around
from .crops import Array
from .fusion import visibility
from .observation import Observation
from .pair_calibration import Calibration
from .pair_crop import CERTAIN, DOUBTED, LIKELY, SAME_HAND, PairReading
from .pair_partner import paired

Mask = NDArray[np.bool_]

_CHANGED: Final = ("state", "confidence", "seen2d", "seen2d_sigma", "seen3d", "seen3d_sigma", "visibility")
"""what of a track readings change"""
_PATIENCE: Final = 4.0
"""an observed point so many expected errors from where it was read counts half"""
_LEAST_TOGETHER: Final = 0.7
"""probability that both hands are a pair from which a hand that was not seen is taken from a reading"""
_LEAST_CONFIDENCE: Final = 0.01
"""... and confidence of its points"""
_BELIEVED: Final = 0.85
"""probability by the whole clip from which a partner that nobody saw is shown"""
_AROUND: Final = 0.25
"""seconds before and after a frame ..."""
_OFTEN: Final = 0.6
"""... in so large a share of which both hands must be seen or read for one of them to be filled"""
_SEEN_BESIDE: Final = 0.6
"""seconds from a frame in which a hand, or any second one, was seen otherwise, within which it may be filled: the
network is sure of hands that are not there"""
_UNSAID: Final = 1e3
"""palm lengths: the error of what is not said"""
_CONTACT_ON: Final = 0.5
_CONTACT_OFF: Final = 0.25
"""probabilities from which a contact begins, and below which it ends"""
_LONGEST: Final = 0.2
"""seconds between readings over which a contact goes on"""
_PIECE: Final = 1000
"""readings worked on side by side: all of a long clip's at once would take more memory than the clip itself"""


@dataclass(frozen=True)
class PairUse:
    """What readings are used for."""

    fill: bool = True
    """hands that were not seen otherwise"""
    points: bool = True
    """points of hands that were seen"""
    vector: bool = True
    """how the wrists stand to each other"""
    contact: bool = True
    """which parts touch"""


@dataclass(frozen=True)
class Readings:
    """R readings of a clip, in the order of its pictures; arrays as in PairReading, that many at once."""

    frame: NDArray[np.intp]
    """(R,) index of the picture in the take"""
    points: Array
    error: Array
    form: Array
    form_error: Array
    vector: Array
    sigma: Array
    contact: Array
    present: Array
    together: Array
    partner: Array
    anew: Array

    def __len__(self) -> int:
        return len(self.frame)

    @classmethod
    def of(cls, records: Mapping[str, NDArray[Any]]) -> Readings:
        """From `Records.arrays`, joined; records without readings have none."""
        frame = np.flatnonzero(records["pair"]) if "pair" in records else np.zeros(0, np.intp)
        if not len(frame):
            return cls(frame, **_NONE)
        return cls(frame, **{name: records[f"pair_{name}"] for name in READ})

    def rows(self, chosen: Mask) -> Readings:
        """Those chosen of them (R,)."""
        return Readings(self.frame[chosen], **{name: getattr(self, name)[chosen] for name in READ})

    def pieces(self) -> Iterator[tuple[slice, Readings]]:
        """Where each stretch of them lies, and the stretch in full precision."""
        for first in range(0, len(self), _PIECE):
            here = slice(first, first + _PIECE)
            values = {name: np.asarray(getattr(self, name)[here], np.float64) for name in READ}
            yield here, Readings(self.frame[here], **values)


READ: Final = tuple(f.name for f in fields(Readings) if f.name != "frame")
"""What records keep of a reading."""
READ_SHAPES: Final[dict[str, tuple[int, ...]]] = {
    "points": (2, 21, 2),
    "error": (2, 21),
    "form": (2, 21, 3),
    "form_error": (2, 21),
    "vector": (3,),
    "sigma": (3,),
    "contact": (6, 6),
    "present": (2,),
    "together": (),
    "partner": (),
    "anew": (2,),
}
_NONE: Final = {name: np.zeros((0, *shape)) for name, shape in READ_SHAPES.items()}


def rows(readings: Sequence[PairReading]) -> dict[str, NDArray[Any]]:
    """Arrays of readings as records keep them."""
    return {
        f"pair_{name}": np.array([getattr(one, name) for one in readings], np.float32).reshape(len(readings), *shape)
        for name, shape in READ_SHAPES.items()
    }


def with_readings(
    take: Take,
    readings: Readings,
    calibration: Calibration,
    use: PairUse = PairUse(),
    *,
    ordered: bool = True,
    several: Mask | bool = False,
) -> Take:
    """The take with what was read of both hands; `several` (T,) frames in which more than one hand was seen, whoever's
    they are taken for.

    In `ordered` frames a hand is filled only where the pair lasts a little, the hand or any second one was seen not
    long before or after (or it is all but certain), and its motion cannot be bridged. What was read of a partner that
    nobody saw is good for nothing else, and only where the clip as a whole says that there was one.
    """
    readings = _believed(take, readings)
    if not len(readings):
        return take
    confidence, same = _looked_at(take, readings, calibration)
    partner = readings.partner > 0.0
    # same[r, side, slot]: distance of what was observed of a side from what was read of a slot; NaN: not observed, or
    # not believed beside a partner, or read better without it.
    certain = readings.partner >= CERTAIN
    same[_doubted(take, readings, confidence, same) & certain[:, None]] = np.nan
    same[np.asarray(readings.anew) > 0.0] = np.nan
    own = same[:, [0, 1], [0, 1]]
    other = same[:, [0, 1], [1, 0]]
    fits = ~(own > SAME_HAND)
    swapped = (own > other) & (own > SAME_HAND)
    trusted = ~swapped.any(1)
    standing = ~partner
    chosen: dict[Side, tuple[Mask, Mask]] = {}
    for slot, side in enumerate(SIDES):
        track = take.track(side)
        seen = np.isfinite(own[:, slot])
        joined = trusted & seen & fits[:, slot] & ~partner & use.points
        # A hand is only made up beside one that lies where it was read.
        couple = readings.together.astype(np.float64) >= _LEAST_TOGETHER
        sure = partner | (couple & (confidence[:, slot] >= _LEAST_CONFIDENCE))
        filled = trusted & ~seen & sure & fits[:, 1 - slot] & use.fill
        if ordered:
            filled &= _lasting(take, readings.frame[trusted & (seen | sure)])[readings.frame]
            seen_otherwise = (track.state != State.ABSENT) | several
            beside, bridged = _beside(take, seen_otherwise)[readings.frame], _bridged(take, track)[readings.frame]
            filled &= (beside | partner) & ~bridged
        standing |= filled
        chosen[side] = joined, filled
    tracks = _changed(take, readings, calibration, confidence, chosen)
    good = trusted & fits.all(1) & standing
    pair = PairTrack.absent(len(take))
    at = readings.frame[good]
    if use.vector or use.contact:
        pair.vector[at] = readings.vector[good]
        pair.sigma[at] = readings.sigma[good] if use.vector else _UNSAID
        pair.valid[at] = True
    contact = held(readings.contact, take.time[readings.frame])
    pair.contact[at] = contact[good] if use.contact else np.nan
    return replace(take, left=tracks["left"], right=tracks["right"], pair=pair)


def _believed(take: Take, readings: Readings) -> Readings:
    """The readings without those of partners that were likely not there."""
    beside = readings.partner > 0.0
    if not beside.any():
        return readings
    both = np.all([take.track(side).state != State.ABSENT for side in SIDES], axis=0)
    chance = paired(take.time, both, readings.frame[beside], readings.partner[beside].astype(np.float64))
    return readings.rows(~beside | ((chance[readings.frame] >= _BELIEVED) & (readings.partner >= LIKELY)))


def _looked_at(take: Take, readings: Readings, calibration: Calibration) -> tuple[Array, Array]:
    """Confidence (R, 2) of each slot's points; (R, 2, 2) how far what was observed of a side lies from each slot."""
    confidence, same = np.empty((len(readings), 2)), np.empty((len(readings), 2, 2))
    for here, part in readings.pieces():
        points, _, _ = calibration.in_take(part.points, part.form, part.form_error)
        confidence[here] = calibration.confidence_of(part.points, part.error, part.present, part.together[:, None])
        for slot, side in enumerate(SIDES):
            same[here, slot] = _agreement(take.track(side), part.frame, points)
    return confidence, same


def _doubted(take: Take, readings: Readings, confidence: Array, same: Array) -> Mask:
    """(R, 2) hands that were hardly seen, elsewhere than one was read that is surer than they are."""
    seen = np.stack([take.track(side).confidence[readings.frame] for side in SIDES], axis=1)
    elsewhere = same[:, [0, 1], [0, 1]] > SAME_HAND
    surer = (seen < DOUBTED) & (confidence >= np.maximum(seen, _LEAST_CONFIDENCE))
    return np.asarray(elsewhere & surer)


def _changed(
    take: Take,
    readings: Readings,
    calibration: Calibration,
    confidence: Array,
    chosen: Mapping[Side, tuple[Mask, Mask]],
) -> dict[Side, HandTrack]:
    """The tracks with the readings (R,) `chosen` of a side to join its points, and to stand for the hand."""
    values = {side: {name: getattr(take.track(side), name).copy() for name in _CHANGED} for side in SIDES}
    size = int(take.meta["width"]), int(take.meta["height"])
    for here, part in readings.pieces():
        points, form, form_error = calibration.in_take(part.points, part.form, part.form_error)
        for slot, side in enumerate(SIDES):
            read = _Read(
                part.frame, points[:, slot], part.error[:, slot], form[:, slot], form_error[:, slot],
                confidence[here, slot],
            )  # fmt: skip
            joined, filled = chosen[side]
            _join_points(values[side], read, joined[here])
            _fill(values[side], read, filled[here], size)
    return {side: replace(take.track(side), **values[side]) for side in SIDES}


@dataclass(frozen=True)
class _Read:
    """One hand of all readings, in the definition of the take's points."""

    frame: NDArray[np.intp]
    points: Array
    error: Array
    form: Array
    form_error: Array
    confidence: Array


def _lasting(take: Take, read: NDArray[np.intp]) -> NDArray[np.bool_]:
    """(T,) frames around which both hands were seen or read more often than not."""
    both = np.all([take.track(side).state != State.ABSENT for side in SIDES], axis=0)
    both[read] = True
    return np.asarray(mean_around(both, take.time, _AROUND) >= _OFTEN)


def _beside(take: Take, frames: Mask) -> Mask:
    """(T,) frames not long before or after one of `frames` (T,)."""
    return np.asarray(mean_around(frames, take.time, _SEEN_BESIDE) > 0.0)


def _bridged(take: Take, track: HandTrack) -> NDArray[np.bool_]:
    """(T,) frames in holes that are bridged anyway: what a reading says of a covered hand is worse than the way from
    its last place to its next one."""
    out = np.zeros(len(take), bool)
    for gap in short_gaps(track.state != State.ABSENT, take.time, PolishSettings.longest_gap):
        out[gap.first : gap.last + 1] = True
    return out


def _agreement(track: HandTrack, frame: NDArray[np.intp], points: Array) -> Array:
    """(R, 2) mean distance of an observed hand from both read ones, in shares of its box; NaN: not observed."""
    seen = np.where((track.state[frame] != State.ABSENT)[:, None, None], track.seen2d[frame], np.nan)
    extent = np.maximum((seen.max(1) - seen.min(1)).max(-1), 1.0)
    return np.asarray(np.linalg.norm(seen[:, None] - points, axis=-1).mean(-1) / extent[:, None])


def _join_points(track: dict[str, Any], read: _Read, chosen: Mask) -> None:
    """Observed points and read ones as one, by their expected errors; `track` holds copies that are written to."""
    at = read.frame[chosen]
    places, sigma = _meet(track["seen2d"][at], track["seen2d_sigma"][at], read.points[chosen], read.error[chosen])
    form, form_sigma = _meet(track["seen3d"][at], track["seen3d_sigma"][at], read.form[chosen], read.form_error[chosen])
    track["seen2d"][at], track["seen2d_sigma"][at] = places, sigma
    track["seen3d"][at], track["seen3d_sigma"][at] = form - form[:, :1], form_sigma


def _meet(theirs: Array, their_error: Array, ours: Array, our_error: Array) -> tuple[Array, Array]:
    """The mean of two sets of points by precision; of `theirs`, less counts where they are far off."""
    away = np.linalg.norm(theirs - ours, axis=-1) / (_PATIENCE * np.maximum(our_error, 1e-6))
    first = 1.0 / np.maximum(their_error, 1e-6) ** 2 / (1.0 + away**2)
    second = 1.0 / np.maximum(our_error, 1e-6) ** 2
    share = (first / (first + second))[..., None]
    # Both saw the same picture: their errors are alike, so that the mean is not much surer than the better one.
    return ours + (theirs - ours) * share, np.minimum(their_error, our_error)


def _fill(track: dict[str, Any], read: _Read, chosen: Mask, size: tuple[int, int]) -> None:
    """The hand where only the reading knows it, in pictures of this size."""
    at = read.frame[chosen]
    track["state"][at] = State.SEEN
    track["confidence"][at] = read.confidence[chosen]
    track["seen2d"][at], track["seen2d_sigma"][at] = read.points[chosen], read.error[chosen]
    track["seen3d"][at], track["seen3d_sigma"][at] = read.form[chosen], read.form_error[chosen]
    track["visibility"][at] = np.array([visibility(points, *size) for points in read.points[chosen]]).reshape(-1, 21)


def with_live(
    hands: Mapping[Side, Observation], reading: PairReading, calibration: Calibration, size: tuple[int, int]
) -> dict[Side, Observation]:
    """The hands of one picture of this size with what was read of both."""
    count = np.zeros(1, np.intp)
    take = _one_frame(hands, size)
    values = {name: np.asarray(getattr(reading, name), np.float64)[None] for name in READ}
    joined = with_readings(
        take, Readings(count, **values), calibration, PairUse(vector=False, contact=False), ordered=False
    )
    out: dict[Side, Observation] = {}
    for side in SIDES:
        track, slot = joined.track(side), SIDES.index(side)
        if track.state[0] == State.ABSENT:
            continue
        seen = hands.get(side)
        out[side] = Observation(
            right=float(slot == SIDES.index("right")) if seen is None else seen.right,
            presence=float(reading.present[slot]) if seen is None else seen.presence,
            confidence=float(track.confidence[0]),
            points2d=track.seen2d[0],
            sigma2d=track.seen2d_sigma[0],
            points3d=track.seen3d[0],
            sigma3d=track.seen3d_sigma[0],
            visibility=track.visibility[0],
            crop=reading.crop if seen is None else seen.crop,
        )
    return out


def _one_frame(hands: Mapping[Side, Observation], size: tuple[int, int]) -> Take:
    """A take of one picture that holds these observations."""
    tracks = {side: HandTrack.absent(1) for side in SIDES}
    for side, seen in hands.items():
        tracks[side] = replace(
            tracks[side],
            state=np.full(1, State.SEEN, np.uint8),
            confidence=np.array([seen.confidence]),
            seen2d=seen.points2d[None],
            seen2d_sigma=seen.sigma2d[None],
            seen3d=seen.points3d[None],
            seen3d_sigma=seen.sigma3d[None],
            visibility=seen.visibility[None],
        )
    return Take(
        meta={"width": size[0], "height": size[1]},
        frame=np.zeros(1, np.int32),
        time=np.zeros(1),
        K=np.eye(3),
        dist=np.zeros(5),
        left=tracks["left"],
        right=tracks["right"],
        betas=np.zeros(BETA_COUNT),
        size=1.0,
    )


def held(contact: Array, time: Array) -> Array:
    """Probabilities (R, 6, 6) at rising times (R,), steadied: a contact that began stays until it is clearly over."""
    out = contact.copy()
    on = np.zeros(contact.shape[1:], bool)
    for k in range(len(contact)):
        if k and time[k] - time[k - 1] > _LONGEST:
            on[:] = False
        on = np.where(on, contact[k] >= _CONTACT_OFF, contact[k] >= _CONTACT_ON)
        out[k] = np.where(on, np.maximum(contact[k], _CONTACT_ON), contact[k])
    return out
