# SPDX-License-Identifier: GPL-3.0-or-later
"""Hands followed from picture to picture.

A known hand is looked for where it will be; palms and regions are searched only when a hand is
missing. Every look is judged: no hand, or one of another side than the track's, is not followed. Which
side a track is in the end, is left to `identity`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from .crops import Array, Image, difference
from .judge import Judgement, logit
from .landmarks import HandNetwork, SeenHand
from .palms import Palm, PalmDetector
from .regions import Region
from .search import Area, SearchPlan

PRESENT: Final = 0.5
"""Presence from which a crop holds a hand."""

_STILL_PRESENT: Final = 0.35
"""Presence up to which a hand that was followed well is not given up."""
_WELL_FOLLOWED: Final = 0.85
_STRENGTH_MEMORY: Final = 0.2
_SETTLED: Final = (0.04, 0.07, 0.09)
"""Shift, log size and angle up to which the old crop still fits: a crop that follows every tremble
feeds the tremble back."""
_MOVED: Final = (0.15, 0.25, 0.45)
"""Shift, log size and angle from which the network looks again: it saw the hand badly cut."""
_REFINEMENTS: Final = 2
"""Looks after a palm was found: the crop from a palm is rough."""
_FOLLOWED: Final = 0.8
"""Share of the velocity that is trusted for the next picture."""
_FARTHEST: Final = 0.5
"""A prediction moves a crop at most by this share of its side."""
_VELOCITY_MEMORY: Final = 0.5
_SAME_HAND: Final = 0.25
"""Mean distance of corresponding points, in shares of the hand's box, under which two tracks are on one hand."""
_SAME_PALM: Final = 0.35
"""Distance of palm centres, in shares of the crop's side, under which a new palm is a tracked one."""
_REMEMBERED_SECONDS: Final = 1.5
"""For so long a lost hand may come back as the same track."""
_RETURN_REACH: Final = 1.5
"""Crop sides within which a returning hand is taken for the lost one."""
_CERTAIN_PALM: Final = 0.5
_DOUBTFUL_PRESENCE: Final = 0.8
"""Presence that a hand from a doubtful place, or from a part of the picture, needs."""
_JUDGED_PRESENCE: Final = 0.85
_JUDGED_DOUBTFUL: Final = 0.9
"""The same where a judge speaks, who knows more hands, and takes more for hands."""
_CERTAIN_REGION: Final = 0.5
_MOST_CANDIDATES: Final = 4
"""Places of one search at which the hand network looks."""
_REFUSED_SECONDS: Final = 0.03
"""For so long a place that turned out to hold no hand is not looked at again."""
_SAME_LOOK: Final = (0.3, 0.5, 0.7)
"""Shift, log size and angle of a crop up to which a place that was refused is not looked at again."""
_SAME_REGION: Final = 0.3
"""Shift of the crops, in shares of a side, under which a region is of a tracked hand of its side."""
_PALM_POINTS: Final = (0, 5, 9, 13, 17)

_SIDE_MEMORY: Final = 0.95
_SIDE_LEARNT: Final = 0.4
_SIDE_LIMIT: Final = 6.0
_SIDE_STEP: Final = 3.0
"""How a track's side follows the looks, in logits: a known side stands against four or five looks in a row."""
_SIDE_HEARD: Final = 0.5
"""Share of what others say of a side, in logits, that is added at once."""
_SIDE_DOUBT: Final = 1.5
"""Logit of handedness under which a new hand is shown both ways, as a right and as a left one."""
_OPPOSITE: Final = 0.6
"""Difference of handedness from which two hands in one place are two."""


@dataclass(frozen=True)
class Track:
    """One hand being followed, as of the last picture."""

    id: int
    crop: Array
    """(5,) where it was seen last"""
    points: Array
    """(21, 2) pixels"""
    velocity: Array
    """(2,) pixels a second"""
    right: float
    """how likely it is a right hand, from all that was seen of it"""
    time: float
    """seconds, when it was seen last"""
    strength: float = 1.0
    """running mean of how sure it was that a hand is there"""
    lost: bool = False

    @property
    def least_presence(self) -> float:
        """Presence that the next picture must show."""
        return _STILL_PRESENT if self.strength >= _WELL_FOLLOWED else PRESENT

    def predicted(self, time: float) -> Array:
        """(5,) the crop moved to where the hand should be."""
        step = self.velocity * ((time - self.time) * _FOLLOWED)
        length, side = float(np.linalg.norm(step)), float(self.crop[2])
        crop = self.crop.copy()
        if length > _SETTLED[0] * side:
            crop[:2] += step * min(1.0, _FARTHEST * side / length)
        return crop


@dataclass(frozen=True)
class Refused:
    """A place that looked like a hand and was none, or that of a hand that is followed."""

    crop: Array
    """(5,)"""
    time: float
    """seconds"""


@dataclass(frozen=True)
class TrackedHand:
    """What one track saw in one picture."""

    track: int
    seen: SeenHand
    motion: float
    """distance from the predicted place, in shares of the hand's box"""


@dataclass(frozen=True)
class Past:
    """A picture before the newest one, and what was seen in it."""

    image: Image
    time: float
    """seconds"""
    hands: list[SeenHand]


@dataclass
class Tracker:
    """The tracks of a clip; `step` takes its pictures in order."""

    palms: PalmDetector
    hands: HandNetwork
    plan: SearchPlan
    area: Area = field(default_factory=Area)
    tracks: list[Track] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    next_id: int = 0
    adopted: list[int] = field(default_factory=list)
    """tracks that began in the newest picture"""

    def step(self, image: Image, time: float) -> list[TrackedHand]:
        """The hands of the next picture (H, W, 3), at `time` seconds."""
        self.adopted = []
        following = [track for track in self.tracks if not track.lost]
        seen = self._follow(image, following, time)
        found = [(track, hand) for track, hand in zip(following, seen, strict=True) if hand is not None]
        kept = _without_duplicates(found)
        self._update(following, kept, time)
        result = [_tracked(track, hand, time) for track, hand in kept]
        lost = [track for track in self.tracks if track.lost]
        self.refused = [one for one in self.refused if time - one.time < _REFUSED_SECONDS]
        for search in self.plan.searches(image, len(kept), [track.predicted(time) for track in lost]):
            palms, regions = self.palms.search(image, threshold=search.threshold, part=search.part)
            known = [one.seen for one in result]
            places = _candidates(palms, regions, doubtful=search.part is not None)
            for hand in self._new_hands(image, places, known, time):
                if len(result) < self.plan.most_hands:
                    result.append(self._adopt(hand, time))
            if len(result) >= self.plan.expected_hands:
                break
        self.plan.learn(len(result))
        return result

    def give_up(self, number: int, time: float) -> None:
        """Follow a track no longer: it was no hand of its own."""
        gone = next(one for one in self.tracks if one.id == number)
        self.tracks = [one for one in self.tracks if one.id != number]
        self.adopted = [one for one in self.adopted if one != number]
        self.refused.append(Refused(gone.crop, time))

    def tell_side(self, number: int, odds: float) -> None:
        """What others say of the side of a track's hand: log odds of a right one."""
        said = _SIDE_HEARD * _limited(odds, _SIDE_STEP)
        self.tracks = [
            replace(one, right=_chance(_limited(logit(one.right) + said))) if one.id == number else one
            for one in self.tracks
        ]

    def traced_back(self, number: int, past: Iterable[Past]) -> list[tuple[int, TrackedHand]]:
        """An adopted track in the pictures before it was found, newest first, until it is lost: (pictures ago, hand).

        A hand that comes in is followed sooner than it is found; what is seen joins the hands of `past`.
        """
        track = next(one for one in self.tracks if one.id == number)
        # Time runs backwards here.
        track = replace(track, time=-track.time, velocity=-track.velocity)
        traced: list[tuple[int, TrackedHand]] = []
        for ago, earlier in enumerate(past, start=1):
            hand = self._follow(earlier.image, [track], -earlier.time)[0]
            crowded = len(earlier.hands) >= self.plan.most_hands
            if hand is None or crowded or any(_are_one(hand, other) for other in earlier.hands):
                break
            traced.append((ago, _tracked(track, hand, -earlier.time)))
            earlier.hands.append(hand)
            track = _moved_on(track, hand, -earlier.time)
        return traced

    def _follow(self, image: Image, tracks: list[Track], time: float) -> list[SeenHand | None]:
        right = [track.right for track in tracks]
        seen = self.hands.look(image, [track.predicted(time) for track in tracks], right)
        # A hand that changed its mind about where to go is looked for where it was, too.
        again = [
            i for i, hand in enumerate(seen) if hand.there < tracks[i].least_presence and _has_moved(tracks[i], time)
        ]
        for i, hand in zip(
            again, self.hands.look(image, [tracks[i].crop for i in again], [right[i] for i in again]), strict=True
        ):
            seen[i] = hand
        badly = [i for i, hand in enumerate(seen) if hand.there >= _STILL_PRESENT and _exceeds(hand, _MOVED)]
        for i, hand in zip(
            badly,
            self.hands.look(image, [seen[i].followed_crop for i in badly], [right[i] for i in badly]),
            strict=True,
        ):
            seen[i] = hand if hand.there >= seen[i].there else seen[i]
        return [
            hand if self._is_hand(hand, track.least_presence) else None
            for track, hand in zip(tracks, seen, strict=True)
        ]

    def _is_hand(self, hand: SeenHand, least: float) -> bool:
        return hand.there >= least and self.area.holds(hand.screen[list(_PALM_POINTS), :2].mean(0))

    def _new_hands(
        self, image: Image, candidates: Iterable[_Candidate], known: list[SeenHand], time: float
    ) -> list[SeenHand]:
        fresh: list[SeenHand] = []
        looked = 0
        for candidate in candidates:
            others = [*known, *fresh]
            if looked == _MOST_CANDIDATES or any(candidate.is_of(hand) for hand in others):
                continue
            if any(_is_same_look(candidate.crop, one.crop) for one in self.refused):
                continue
            looked += 1
            hand = self._looked_at(image, candidate)
            if self._is_hand(hand, candidate.least_presence(hand)) and not any(
                _are_one(hand, other) for other in others
            ):
                fresh.append(hand)
            else:
                self.refused.append(Refused(candidate.crop, time))
        return fresh

    def _looked_at(self, image: Image, candidate: _Candidate) -> SeenHand:
        """A candidate, looked at until the crop fits; where its side is in doubt, both ways."""
        hand = self.hands.look(image, [candidate.crop], [candidate.right])[0]
        for _ in range(_REFINEMENTS):
            if hand.there < PRESENT / 2:
                return hand
            hand = self.hands.look(image, [hand.followed_crop], [hand.is_right])[0]
        if hand.judged is not None and abs(logit(hand.is_right)) < _SIDE_DOUBT:
            other = self.hands.look(image, [hand.crop], [1.0 if hand.is_right < PRESENT else 0.0])[0]
            right = _chance((logit(hand.is_right) + logit(other.is_right)) / 2)
            kept = other if (right > PRESENT) != (hand.is_right > PRESENT) else hand
            hand = replace(kept, judged=Judgement(hand=(hand.there + other.there) / 2, right=right))
        return hand

    def _update(self, following: list[Track], kept: list[tuple[Track, SeenHand]], time: float) -> None:
        seen = {track.id: hand for track, hand in kept}
        updated = []
        for track in self.tracks:
            if track.id in seen:
                updated.append(_moved_on(track, seen[track.id], time))
            elif time - track.time <= _REMEMBERED_SECONDS:
                updated.append(replace(track, lost=True))
        self.tracks = updated

    def _adopt(self, hand: SeenHand, time: float) -> TrackedHand:
        """A new track, or the lost one that this hand is."""
        candidates = [track for track in self.tracks if track.lost and _may_return(track, hand, time)]
        if candidates:
            old = min(candidates, key=lambda track: difference(track.predicted(time), hand.crop)[0])
            track = _moved_on(replace(old, lost=False, velocity=np.zeros(2), time=time), hand, time)
            self.tracks = [track if one.id == old.id else one for one in self.tracks]
        else:
            points = hand.screen[:, :2]
            track = Track(self.next_id, hand.followed_crop, points, np.zeros(2), hand.is_right, time, hand.there)
            self.next_id += 1
            self.tracks = [*self.tracks, track]
            # What was lost and comes back is bridged better than it is seen in between.
            self.adopted.append(track.id)
        return TrackedHand(track=track.id, seen=hand, motion=0.0)


def _is_same_look(first: Array, second: Array) -> bool:
    """Whether two crops show the hand network the same: turned away or of another size, it sees another hand."""
    return all(value < limit for value, limit in zip(difference(first, second), _SAME_LOOK, strict=True))


def are_same_hand(first: SeenHand, second: SeenHand) -> bool:
    """Whether two observations are of one hand: every point of one lies on the same point of the other."""
    distance = np.linalg.norm(first.screen[:, :2] - second.screen[:, :2], axis=1).mean()
    return bool(distance < _SAME_HAND * min(_extent(first.screen), _extent(second.screen)))


def _are_one(first: SeenHand, second: SeenHand) -> bool:
    """The same, unless clearly a left and a right one: hands laid on each other have their points in common."""
    return are_same_hand(first, second) and abs(first.is_right - second.is_right) < _OPPOSITE


def _without_duplicates(found: list[tuple[Track, SeenHand]]) -> list[tuple[Track, SeenHand]]:
    """Of two tracks on one hand the one stays whose side the hand has, then the one it is nearer to."""
    kept: list[tuple[Track, SeenHand]] = []
    for track, hand in sorted(found, key=lambda pair: _mismatch(*pair)):
        if not any(_are_one(hand, other) for _, other in kept):
            kept.append((track, hand))
    return sorted(kept, key=lambda pair: pair[0].id)


def _mismatch(track: Track, hand: SeenHand) -> float:
    jump = np.linalg.norm(hand.screen[:, :2] - track.points, axis=1).mean() / _extent(hand.screen)
    return abs(track.right - hand.is_right) + float(jump) + (1.0 - hand.there)


def _moved_on(track: Track, hand: SeenHand, time: float) -> Track:
    passed = time - track.time
    points = hand.screen[:, :2]
    velocity = track.velocity
    if passed > 0:
        measured = (points - track.points)[list(_PALM_POINTS)].mean(0) / passed
        velocity = velocity + (measured - velocity) * _VELOCITY_MEMORY
    new_crop = hand.followed_crop
    settled = all(value <= limit for value, limit in zip(difference(hand.crop, new_crop), _SETTLED, strict=True))
    return Track(
        id=track.id,
        crop=hand.crop if settled else new_crop,
        points=points,
        velocity=velocity,
        right=_side_after(track.right, hand),
        time=time,
        strength=track.strength + (hand.there - track.strength) * _STRENGTH_MEMORY,
    )


def _side_after(right: float, hand: SeenHand) -> float:
    """How likely a track is a right hand after another look at it."""
    said = _limited(logit(hand.is_right), _SIDE_STEP) * hand.there
    return _chance(_limited(_SIDE_MEMORY * logit(right) + _SIDE_LEARNT * said))


def _limited(odds: float, limit: float = _SIDE_LIMIT) -> float:
    return float(np.clip(odds, -limit, limit))


def _chance(logit: float) -> float:
    return float(1.0 / (1.0 + np.exp(-logit)))


def _tracked(track: Track, hand: SeenHand, time: float) -> TrackedHand:
    step = track.velocity * ((time - track.time) * _FOLLOWED)
    missed = np.linalg.norm((hand.screen[:, :2] - track.points)[list(_PALM_POINTS)].mean(0) - step)
    return TrackedHand(track=track.id, seen=hand, motion=float(missed) / _extent(hand.screen))


def _has_moved(track: Track, time: float) -> bool:
    return difference(track.predicted(time), track.crop)[0] > _SETTLED[0]


def _exceeds(hand: SeenHand, limits: tuple[float, float, float]) -> bool:
    return any(value > limit for value, limit in zip(difference(hand.crop, hand.followed_crop), limits, strict=True))


@dataclass(frozen=True)
class _Candidate:
    """A place where there may be a hand that is not followed yet."""

    crop: Array
    right: float | None
    """whether it is a right hand, None: unknown"""
    certain: bool
    palm: Palm | None = None

    def least_presence(self, hand: SeenHand) -> float:
        """Presence that what was seen here must have to be a hand."""
        if hand.judged is None:
            return PRESENT if self.certain else _DOUBTFUL_PRESENCE
        return _JUDGED_PRESENCE if self.certain else _JUDGED_DOUBTFUL

    def is_of(self, hand: SeenHand) -> bool:
        """Whether a known hand is what was found here."""
        if self.palm is not None:
            centre = hand.screen[list(_PALM_POINTS), :2].mean(0)
            middle = self.palm.keypoints[[0, 1, 2, 3, 4]].mean(0)
            return bool(np.linalg.norm(centre - middle) < _SAME_PALM * hand.crop[2] / 2)
        same_side = self.right is None or abs(self.right - hand.is_right) < _OPPOSITE
        return same_side and difference(self.crop, hand.followed_crop)[0] < _SAME_REGION


def _candidates(palms: Iterable[Palm], regions: Iterable[Region], *, doubtful: bool) -> list[_Candidate]:
    """What one search found: regions, which know their side, then palms; `doubtful`: none of it is certain."""
    return [
        *(
            _Candidate(region.crop, float(region.side == "right"), not doubtful and region.score >= _CERTAIN_REGION)
            for region in regions
        ),
        *(_Candidate(palm.crop, None, not doubtful and palm.score >= _CERTAIN_PALM, palm) for palm in palms),
    ]


def _may_return(track: Track, hand: SeenHand, time: float) -> bool:
    near = difference(track.predicted(time), hand.crop)
    sides_agree = abs(track.right - hand.is_right) < _OPPOSITE
    return near[0] < _RETURN_REACH and near[1] < np.log(2.0) and sides_agree


def _extent(points: Array) -> float:
    return max(float(np.ptp(points[:, :2], axis=0).max()), 1.0)
