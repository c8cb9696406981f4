# SPDX-License-Identifier: GPL-3.0-or-later
"""Which track is the left hand and which the right.

Online (`SideAssigner`) evidence is gathered as pictures come. Offline (`decide_sides`) the whole
clip is decided again: tracks are cut wherever they might have changed hands, and the pieces are
given to the left hand, the right hand or nobody so that the clip as a whole is most plausible.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..hand.names import SIDES, Side
from ..settings import Hands
from .crops import Array
from .observation import Observation

IntArray = NDArray[np.int64]

NOBODY: Final = -1
_LOGIT_LIMIT: Final = 3.0

# Online
_EVIDENCE_LIMIT: Final = 30.0
_SWAP_MARGIN: Final = 12.0
"""Evidence that two tracks, or a track and its own past, must gather against their sides to change them."""
_SECOND_HAND: Final = 6.0
"""Evidence from which a second hand of a side that is taken is somebody else's."""

# Offline
_EVIDENCE_WEIGHT: Final = 0.5
_ODDS_WEIGHT: Final = 0.4
"""of what the network of both hands says of a side: it is asked seldom, and does not share the eyes' errors"""
_SECOND_WORTH: Final = 1.5
"""by which a hand counts more that is seen apart from another one: if both look like one side's, one is more often
mistaken than somebody else's"""
_DOUBT: Final = 0.05
"""Confidence under which a piece is better left out."""
_NEVER_SEEN_WELL: Final = 0.15
"""The same for a whole track of a clip: what is followed but never seen well is no hand, or a useless one."""
_LINK_WEIGHT: Final = 0.1
_LINK_LIMIT: Final = 3.0
_GLIMPSE: Final = 0.1
"""seconds of sure sight in all below which a side was not there ..."""
_WHOLE_CLIP: Final = 1.0
"""... in clips that last so many seconds"""
_LONG_GAP: Final = 0.3
"""Seconds without a picture of the hand after which it may have been exchanged."""
_TAKEN_OVER: Final = 0.35
"""hand boxes between a track that loses its hand, or finds it again, and the one that sees it in between"""
_CLOSE: Final = 0.5
"""Distance of two hands, in hand boxes, at which tracks may have been exchanged."""
_FLIP_SPAN: Final = 9
"""Pictures that must agree before and after for a change of handedness to be believed."""
_FLIP_LEAST: Final = 1.0
_JUMP: Final = 0.8
"""Hand boxes between two pictures from which a track may have jumped to another hand."""
_EXCHANGE_COST: Final = 8.0
"""Evidence it takes to believe that what was one side's hand a moment ago is the other's now, in the same place."""
_MOMENT: Final = 0.12
"""seconds"""
_SAME_PLACE: Final = 0.4
"""hand boxes, beside what a hand can move in that time"""
_UPON: Final = 0.35
"""Distance of two hands, in hand boxes, at which one may be a second look at the other."""
_OWN_EVIDENCE: Final = 1.0
"""Evidence of its side by which such a one is a hand of its own."""
_STATES_KEPT: Final = 256


def evidence(right: float, confidence: float) -> float:
    """What one picture says for the right hand (positive) or the left."""
    clipped = min(max(right, 1e-4), 1 - 1e-4)
    logit = float(np.log(clipped / (1 - clipped)))
    return confidence * min(max(logit, -_LOGIT_LIMIT), _LOGIT_LIMIT)


@dataclass
class SideAssigner:
    """Sides as pictures come: a track keeps its side until much speaks against it."""

    hands: Hands = "auto"
    scores: dict[int, float] = field(default_factory=dict)
    """evidence of each track, positive for right"""
    sides: dict[int, Side] = field(default_factory=dict)

    def assign(self, seen: Sequence[tuple[int, Observation]]) -> dict[Side, Observation]:
        """At most one observation a side from (track, observation) pairs of one picture."""
        for track, one in seen:
            score = self.scores.get(track, 0.0) + evidence(one.right, one.confidence)
            self.scores[track] = min(max(score, -_EVIDENCE_LIMIT), _EVIDENCE_LIMIT)
        by_track = dict(seen)
        self._change_minds(by_track)
        self._welcome(by_track)
        return {self.sides[track]: by_track[track] for track in by_track if track in self.sides and self._wanted(track)}

    def _wanted(self, track: int) -> bool:
        return self.hands in ("auto", "both") or self.sides[track] == self.hands

    def _change_minds(self, present: dict[int, Observation]) -> None:
        known = [track for track in present if track in self.sides]
        if len(known) == 2:
            first, second = known
            against = sum(-self.scores[track] * _sign(self.sides[track]) for track in known)
            if against > 2 * _SWAP_MARGIN:
                self.sides[first], self.sides[second] = self.sides[second], self.sides[first]
        elif len(known) == 1 and -self.scores[known[0]] * _sign(self.sides[known[0]]) > _SWAP_MARGIN:
            self.sides[known[0]] = _side_of(self.scores[known[0]])

    def _welcome(self, present: dict[int, Observation]) -> None:
        taken = {self.sides[track] for track in present if track in self.sides}
        fresh = [track for track in present if track not in self.sides]
        for track in sorted(fresh, key=lambda one: (-abs(self.scores[one]), one)):
            side = _side_of(self.scores[track])
            if side in taken:
                if abs(self.scores[track]) > _SECOND_HAND:
                    continue
                side = _other(side)
            if side not in taken:
                # A track that was seen earlier on this side has ended or been exchanged.
                self.sides = {one: kept for one, kept in self.sides.items() if one in present or kept != side}
                self.sides[track] = side
                taken.add(side)


def _sign(side: Side) -> float:
    return 1.0 if side == "right" else -1.0


def _side_of(score: float) -> Side:
    return "right" if score >= 0 else "left"


def _other(side: Side) -> Side:
    return "left" if side == "right" else "right"


@dataclass(frozen=True)
class Sightings:
    """Everything tracks saw in a clip, a row a hand and picture; D rows, ordered by picture."""

    frame: IntArray
    """(D,) index of the picture"""
    time: Array
    """(D,) seconds"""
    track: IntArray
    """(D,)"""
    right: Array
    """(D,) 0..1"""
    confidence: Array
    """(D,) 0..1"""
    points: Array
    """(D, 21, 2) pixels"""
    odds: Array
    """(D,) log odds of a right hand by the network of both hands; 0: says nothing"""


@dataclass(frozen=True)
class _Piece:
    """A stretch of one track on one hand."""

    rows: IntArray
    first: int
    last: int
    """picture indices"""
    start_time: float
    end_time: float
    start: Array
    end: Array
    """(2,) centres"""
    size: float
    score: float
    """evidence for right"""
    worth: float
    """what it costs to leave it out; negative when it is better left out"""
    upon: bool = False
    """nearly always in the place of another hand"""


def decide_sides(seen: Sightings, hands: Hands = "auto", *, ordered: bool = True) -> IntArray:
    """(D,) index into SIDES of every row, or NOBODY; no side twice in a picture.

    `ordered`: pictures follow one another in time; otherwise each is decided alone.
    """
    labels = np.full(len(seen.frame), NOBODY, np.int64)
    if not len(labels):
        return labels
    pieces = _pieces(seen, ordered)
    allowed = [index for index, side in enumerate(SIDES) if hands in ("auto", "both", side)]
    for piece, label in zip(pieces, _best_labels(pieces, allowed, ordered), strict=True):
        labels[piece.rows] = label
    if ordered:
        for index in range(len(SIDES)):
            if _is_glimpse(seen, labels == index):
                labels[labels == index] = NOBODY
    return labels


def _is_glimpse(seen: Sightings, own: NDArray[np.bool_]) -> bool:
    """Whether a whole clip saw a side for so short a moment that it was none: a second look at the other hand, say."""
    times = np.unique(seen.time)
    if times[-1] - times[0] < _WHOLE_CLIP:
        return False
    step = float(np.median(np.diff(times)))
    return bool(float(seen.confidence[own].sum()) * step < _GLIMPSE)


def _pieces(seen: Sightings, ordered: bool) -> list[_Piece]:
    centres = seen.points.mean(1)
    sizes = np.maximum(np.ptp(seen.points, axis=1).max(1), 1.0)
    largest = float(np.percentile(sizes, 95))
    eyes = np.array([evidence(r, c) for r, c in zip(seen.right, seen.confidence, strict=True)])
    strength = _EVIDENCE_WEIGHT * eyes + _ODDS_WEIGHT * np.clip(seen.odds, -_LOGIT_LIMIT, _LOGIT_LIMIT)
    close = _close_pictures(seen, centres, sizes, _CLOSE)
    upon = _close_pictures(seen, centres, sizes, _UPON)
    several = np.bincount(seen.frame)[seen.frame] > 1
    worth = np.where(several & ~close, _SECOND_WORTH, 1.0)
    pieces = []
    for track in np.unique(seen.track):
        rows = np.flatnonzero(seen.track == track)
        doubt = _NEVER_SEEN_WELL if ordered and seen.confidence[rows].mean() < _NEVER_SEEN_WELL else _DOUBT
        cuts = _cuts(seen, rows, centres, sizes, close) if ordered else set(range(1, len(rows)))
        bounds = [0, *sorted(cuts), len(rows)]
        for begin, end in itertools.pairwise(bounds):
            part = rows[begin:end]
            # Other people's hands are usually farther away.
            near = float(np.sqrt(min(np.median(sizes[part]) / largest, 1.0)))
            pieces.append(
                _Piece(
                    rows=part,
                    first=int(seen.frame[part[0]]),
                    last=int(seen.frame[part[-1]]),
                    start_time=float(seen.time[part[0]]),
                    end_time=float(seen.time[part[-1]]),
                    start=centres[part[0]],
                    end=centres[part[-1]],
                    size=float(np.median(sizes[part])),
                    score=float(strength[part].sum()),
                    worth=float(((seen.confidence[part] - doubt) * worth[part]).sum()) * near,
                    upon=bool(upon[part].mean() > 0.5),
                )
            )
    return sorted(pieces, key=lambda piece: (piece.first, piece.last))


def _cuts(seen: Sightings, rows: IntArray, centres: Array, sizes: Array, close: NDArray[np.bool_]) -> set[int]:
    """Where a track's rows may change from one hand to another: positions before which to cut."""
    gaps = np.diff(seen.time[rows])
    jumps = np.linalg.norm(np.diff(centres[rows], axis=0), axis=1) / sizes[rows][1:]
    cuts = {int(i) + 1 for i in np.flatnonzero((gaps > _LONG_GAP) | (jumps > _JUMP))}
    cuts |= _taken_over(seen, rows, centres, sizes)
    near = close[rows]
    # One cut where hands come close and one where they part.
    cuts |= {int(i) + 1 for i in np.flatnonzero(near[1:] != near[:-1])}
    logits = np.clip(np.log(np.clip(seen.right[rows], 1e-4, 1) / np.clip(1 - seen.right[rows], 1e-4, 1)), -3, 3)
    return cuts | _flips(logits)


def _taken_over(seen: Sightings, rows: IntArray, centres: Array, sizes: Array) -> set[int]:
    """Where another track saw the hand that this one had lost: in one piece, it would stand in that one's way."""
    frames = seen.frame[rows]
    others = np.flatnonzero(seen.track != seen.track[rows[0]])
    cuts: set[int] = set()
    for i in np.flatnonzero(np.diff(frames) > 1):
        between = others[(seen.frame[others] > frames[i]) & (seen.frame[others] < frames[i + 1])]
        if len(between):
            ends = np.array([centres[rows[i]] - centres[between[0]], centres[rows[i + 1]] - centres[between[-1]]])
            if np.linalg.norm(ends, axis=1).min() < _TAKEN_OVER * sizes[rows[i]]:
                cuts.add(int(i) + 1)
    return cuts


def _flips(logits: Array) -> set[int]:
    """Where handedness changes its sign and stays changed."""
    if len(logits) < 2 * _FLIP_SPAN:
        return set()
    sums = np.concatenate([[0.0], np.cumsum(logits)])
    middles = np.arange(_FLIP_SPAN, len(logits) - _FLIP_SPAN + 1)
    before = (sums[middles] - sums[middles - _FLIP_SPAN]) / _FLIP_SPAN
    after = (sums[middles + _FLIP_SPAN] - sums[middles]) / _FLIP_SPAN
    change = np.where(
        (before * after < 0) & (np.minimum(abs(before), abs(after)) > _FLIP_LEAST), abs(before - after), 0
    )
    cuts: set[int] = set()
    while change.max() > 0:
        best = int(change.argmax())
        cuts.add(int(middles[best]))
        change[max(0, best - _FLIP_SPAN) : best + _FLIP_SPAN + 1] = 0
    return cuts


def _close_pictures(seen: Sightings, centres: Array, sizes: Array, closeness: float) -> NDArray[np.bool_]:
    """(D,) rows whose hand is within so many hand boxes of another one in the same picture."""
    close = np.zeros(len(seen.frame), bool)
    for shift in range(1, len(close)):
        same = seen.frame[shift:] == seen.frame[:-shift]
        if not same.any():
            break
        first, second = np.flatnonzero(same), np.flatnonzero(same) + shift
        near = np.linalg.norm(centres[first] - centres[second], axis=1) < closeness * np.minimum(
            sizes[first], sizes[second]
        )
        close[first[near]] = close[second[near]] = True
    return close


def _best_labels(pieces: list[_Piece], allowed: list[int], ordered: bool) -> list[int]:
    """Labels of least total cost: evidence against, what is left out, and jumps between a side's pieces.

    The best way up to a piece depends only on the last piece of each side, so this is exact as
    long as the states fit.
    """
    states: dict[tuple[int, ...], tuple[float, _Chain | None]] = {(NOBODY,) * len(SIDES): (0.0, None)}
    for number, piece in enumerate(pieces):
        following: dict[tuple[int, ...], tuple[float, _Chain | None]] = {}

        def offer(state: tuple[int, ...], cost: float, chain: _Chain, into: dict = following) -> None:  # type: ignore[type-arg]
            if state not in into or cost < into[state][0]:
                into[state] = (cost, chain)

        for last, (cost, chain) in states.items():
            offer(last, cost + piece.worth, _Chain(NOBODY, chain))
            for label in allowed:
                before = None if last[label] == NOBODY else pieces[last[label]]
                if before is not None and before.last >= piece.first:
                    continue
                others = [pieces[at] for other, at in enumerate(last) if other != label and at != NOBODY]
                second_look = piece.upon and any(one.last >= piece.first for one in others)
                against = max(0.0, (_OWN_EVIDENCE if second_look else 0.0) - piece.score * _sign(SIDES[label]))
                link = 0.0
                if ordered:
                    link = _link_cost(before, piece) + sum(_exchange_cost(one, before, piece) for one in others)
                state = (*last[:label], number, *last[label + 1 :])
                offer(state, cost + against + link, _Chain(label, chain))
        best = sorted(following.items(), key=lambda entry: entry[1][0])[:_STATES_KEPT]
        states = dict(best)
    chain = min(states.values(), key=lambda entry: entry[0])[1]
    labels = []
    while chain is not None:
        labels.append(chain.label)
        chain = chain.before
    return labels[::-1]


@dataclass(frozen=True)
class _Chain:
    label: int
    before: _Chain | None


def _link_cost(before: _Piece | None, piece: _Piece) -> float:
    """How odd it is that one hand was last there and is now here; as odd as can be when it was never seen."""
    if before is None:
        return _LINK_WEIGHT * _LINK_LIMIT
    gap = max(piece.start_time - before.end_time, 0.0)
    size = max(before.size, piece.size)
    distance = float(np.linalg.norm(piece.start - before.end)) / size / (1.0 + 4.0 * gap)
    growth = abs(float(np.log(piece.size / before.size))) / (1.0 + gap)
    return _LINK_WEIGHT * min(distance + growth, _LINK_LIMIT)


def _exchange_cost(other: _Piece, before: _Piece | None, piece: _Piece) -> float:
    """What it costs to give a side the hand that the other side had just here, and has not any more."""
    if not _goes_on(other, piece) or (before is not None and _goes_on(before, piece)):
        return 0.0
    return _EXCHANGE_COST


def _goes_on(before: _Piece, piece: _Piece) -> bool:
    """Whether a piece begins where and when another one has just ended."""
    if not 0.0 < piece.start_time - before.end_time <= _MOMENT:
        return False
    distance = float(np.linalg.norm(piece.start - before.end)) / max(before.size, piece.size)
    return distance <= _SAME_PLACE + _JUMP
