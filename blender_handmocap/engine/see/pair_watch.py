# SPDX-License-Identifier: GPL-3.0-or-later
"""When and where the network of both hands looks: at hands that are near each other, at lost ones, at hidden ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..camera import Camera
from .crops import Array, Image
from .pair_crop import (
    DOUBTED,
    LIKELY,
    PRESENT,
    SAME_HAND,
    Expected,
    PairCropNet,
    PairReading,
    distance_apart,
    known_alone,
    longer_side,
)

_STALE: Final = 2.5
"""by which the errors of a pair grow until the next picture"""
_ASKED_AGAIN: Final = 0.15
"""seconds until the partner of a single hand is asked for again after there was surely none"""
_NEAR: Final = 0.8
"""hands whose nearest points are this near, in longer sides of a hand's box, are looked at together"""
_OVER: Final = 0.7
"""mean distance of corresponding points, in longer sides of a hand's box, under which two hands may be one"""
_SURE_SIDE: Final = 0.97
"""Two hands whose sides are as sure and not the same are two, unless each lies where the other one does."""
_NO_DOUBT: Final = 0.2
"""probability of the other side under which nobody is asked about a hand's"""
_NO_PARTNER: Final = 0.7
"""up to which probability of a partner two doubtful hands are one"""
_SURE: Final = 0.5
"""confidence of a hand beside which another one, that is doubted, is asked for anew"""
_TRUSTED: Final = 0.8
"""confidence of a hand from which what is told of it does not mislead"""
_REMEMBERED_ONLY: Final = 0.0
"""confidence of a hand that was not found in the picture"""
_SEEN_WELL: Final = 0.6
"""confidence of a hand on whose forearm another one, that has less, is doubtful"""
_SURELY_NONE: Final = 0.15
"""probability of a second hand under which that is no hand"""
_FOREARM: Final = 0.5
"""palm lengths it is wide to either side at the wrist, and by which it may stray a palm length farther"""
_CLOSER: Final = 3
"""looks at a partner that nobody saw, each from where the last one read it"""
_NOBODY: Final = 0.01
"""probability of a partner under which it is not asked for again at once"""
_LEAST_CHANCE: Final = 1e-3
"""what is said of a partner that is surely not there: 0 is said where nobody was asked"""
_REMEMBERED: Final = 0.6
"""seconds for which a pair that was seen tells where to look for it"""


@dataclass
class PairWatch:
    """Lets the network look where two hands are near each other, or one of them is lost."""

    network: PairCropNet
    lost_only: bool = False
    """look only where one of two hands is lost: live, where time is short"""
    partners: bool = False
    """ask for the partner of a single hand, too"""
    last: tuple[Expected, Expected] | None = None
    """the pair as it was seen or read last"""
    time: float = -math.inf
    """seconds, when both hands were seen last: what was only read keeps no hand alive"""
    again: float = -math.inf
    """seconds, until when the partner of a single hand is not asked for"""

    def step(self, image: Image, time: float, hands: Sequence[Expected], camera: Camera) -> PairReading | None:
        """What the next picture shows of a pair; `hands`: those that were found in it. Nothing is asked about it
        afterwards."""
        try:
            return self._read(image, time, hands, camera)
        finally:
            self.network.forget()

    def _read(self, image: Image, time: float, hands: Sequence[Expected], camera: Camera) -> PairReading | None:
        if self.last is not None and not 0.0 <= time - self.time <= _REMEMBERED:
            self.last = None
        near = _nearest_two(hands)
        if near is not None and self.lost_only:
            left, right = (replace(hand, error=hand.error * _STALE) for hand in near)
            self.last, self.time = (left, right), time
            return None
        expected: Sequence[Expected] | None = near or self._remembered(hands)
        if expected is None:
            return self._partner(image, time, hands, camera)
        reading = self.network.look(image, expected, camera)
        if near is None and len(hands) == 1 and reading is not None and reading.is_one_hand:
            # What is remembered of the lost hand was the other one.
            self.last = None
            return self._partner(image, time, hands, camera)
        if reading is None or not reading.both:
            return None
        if self.partners:
            reading = self._least_misled(image, reading, expected, camera)
        left, right = reading.expected(self.network.calibration, doubt=_STALE)
        self.last = (left, right)
        if near is not None:
            self.time = time
        return reading

    def twin(self, image: Image, hands: Sequence[Expected], camera: Camera) -> int | None:
        """Index of the one of `hands` that is no hand of its own but the other one, seen twice, or its forearm; None:
        there is none.

        What lies on another hand and is not surely of the other side, or point by point where that is, is doubtful,
        and so is what is hardly seen where the forearm of one must be that is seen well.
        """
        near = _nearest_two(hands)
        if near is None:
            return None
        doubted, sure = sorted(near, key=lambda hand: hand.confidence)
        if doubted.confidence < _SEEN_WELL <= sure.confidence and _on_forearm(doubted.points, sure.points):
            reading = self.network.look(image, _alone(sure), camera)
            if reading is not None and reading.together < _SURELY_NONE:
                self.last = None
                return _index_of(doubted, hands)
        if not _may_be_one(near):
            return None
        both_sides = near[0].right <= 1.0 - _SURE_SIDE and near[1].right >= _SURE_SIDE
        if both_sides and distance_apart(near[0].points, near[1].points) > SAME_HAND:
            return None
        if self.network.partner_beside(image, near, camera) > _NO_PARTNER:
            return None
        self.last = None
        doubtful = min(near, key=lambda hand: abs(hand.right - 0.5))
        return _index_of(doubtful, hands)

    def sides(self, image: Image, hands: Sequence[Expected], camera: Camera) -> list[float]:
        """Log odds of a right hand of each, by the network that is shown more than this hand; 0: its side is in no
        doubt, or there is no time. Of two near hands (`hands` is free of twins) one is the right one: if both are said
        to be, that is doubtful, however sure."""
        odds = [0.0] * len(hands)
        if self.lost_only:
            return odds
        doubtful = [min(hand.right, 1.0 - hand.right) > _NO_DOUBT for hand in hands]
        near = _nearest_two(hands)
        pair = [] if near is None else [_index_of(hand, hands) for hand in near]
        alike = near is not None and (near[0].right >= PRESENT) == (near[1].right >= PRESENT)
        if near is not None and (alike or any(doubtful[index] for index in pair)):
            left, right = pair
            odds[right] = self.network.sides(image, near, camera)
            odds[left] = -odds[right]
        for index, hand in enumerate(hands):
            if doubtful[index] and index not in pair:
                said = self.network.sides(image, _alone(hand), camera)
                odds[index] = said if hand.right >= PRESENT else -said
        return odds

    def _partner(self, image: Image, time: float, hands: Sequence[Expected], camera: Camera) -> PairReading | None:
        """What is read beside a hand whose partner nobody saw, and how surely it is there: hidden from the first
        picture on, perhaps. Whether it is believed is decided over the whole clip.

        Of several hands the surest one is asked beside, unless one of the other side is seen as well.
        """
        if not self.partners or not hands or time < self.again:
            return None
        surest = max(hands, key=_sureness)
        slot = int(surest.right >= PRESENT)
        rivals = [hand.confidence for hand in hands if int(hand.right >= PRESENT) != slot]
        if rivals and (max(rivals) >= DOUBTED or surest.confidence < _SURE):
            return None
        reading = self.network.look(image, known_alone(surest, slot), camera)
        if reading is None:
            return None
        chance = reading.chance_of(1 - slot)
        if chance < _NOBODY:
            self.again = time + _ASKED_AGAIN
        elif chance >= LIKELY:
            reading = self._closer(image, reading, surest, slot, camera)
        return replace(reading, partner=max(chance, _LEAST_CHANCE))

    def _closer(self, image: Image, reading: PairReading, beside: Expected, slot: int, camera: Camera) -> PairReading:
        """What is read beside the hand of a slot, where the other one was read: in a crop that holds just both."""
        known = known_alone(beside, slot)
        for _ in range(_CLOSER):
            known[1 - slot] = reading.expected(self.network.calibration)[1 - slot]
            closer = self.network.look(image, known, camera)
            if closer is None or not closer.both:
                break
            reading = closer
        return reading

    def _least_misled(
        self, image: Image, reading: PairReading, expected: Sequence[Expected], camera: Camera
    ) -> PairReading:
        """The reading, or what is read beside either hand alone where the other one is not seen well: what is told of
        a hand that is wrongly seen misleads, and the network is surer without it."""
        best = reading
        for slot, hand in enumerate(expected):
            beside = expected[1 - slot]
            if hand.confidence >= _TRUSTED or beside.confidence <= _REMEMBERED_ONLY:
                continue
            alone = self.network.look(image, known_alone(beside, 1 - slot), camera)
            if alone is None or not alone.both or alone.chance_of(slot) < PRESENT:
                continue
            alone = self._closer(image, alone, beside, 1 - slot, camera)
            if alone.worst_error < best.worst_error:
                best = replace(alone, anew=(slot == 0, slot == 1))
        return best

    def _remembered(self, hands: Sequence[Expected]) -> list[Expected] | None:
        """Where both hands should be: those that were found, and the others as they were seen last."""
        if self.last is None or len(hands) > 1:
            return None
        known = [replace(hand, confidence=_REMEMBERED_ONLY) for hand in self.last]
        if hands:
            distance = [float(np.linalg.norm(hand.points - hands[0].points, axis=-1).mean()) for hand in self.last]
            known[int(np.argmin(distance))] = hands[0]
        return known

    def state(self) -> dict[str, NDArray[Any]]:
        """What the next picture depends on."""
        last = self.last or ()
        rows = {f"pair_{f.name}": np.array([getattr(hand, f.name) for hand in last]) for f in fields(Expected)}
        return {
            **rows,
            "pair_time": np.array(self.time),
            "pair_again": np.array(self.again),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from a `state`."""
        rows = [{f.name: state[f"pair_{f.name}"][k] for f in fields(Expected)} for k in range(len(state["pair_right"]))]
        hands = [
            Expected(**{**row, "right": float(row["right"]), "confidence": float(row["confidence"])}) for row in rows
        ]
        self.last = (hands[0], hands[1]) if hands else None
        self.time, self.again = float(state["pair_time"]), float(state["pair_again"])


def _may_be_one(pair: Sequence[Expected]) -> bool:
    """Whether two hands lie over each other."""
    return distance_apart(pair[0].points, pair[1].points) <= _OVER


def _alone(hand: Expected) -> list[Expected | None]:
    """What is to be told of both hands where one is known, of the side that it looks like."""
    return known_alone(hand, int(hand.right >= PRESENT))


def _index_of(hand: Expected, hands: Sequence[Expected]) -> int:
    """Where this very one of the hands stands."""
    return next(index for index, one in enumerate(hands) if one is hand)


def _on_forearm(points: Array, hand: Array) -> bool:
    """Whether the middle of points (21, 2) lies behind the wrist of a hand (21, 2), where its forearm is."""
    palm = hand[0] - hand[9]
    length = max(float(np.linalg.norm(palm)), 1.0)
    away = (points.mean(0) - hand[0]) / length
    along = float(away @ palm) / length
    across = float(np.linalg.norm(away - along * palm / length))
    return along > 0.0 and across < _FOREARM * (1.0 + along)


def _sureness(hand: Expected) -> tuple[float, float]:
    return hand.confidence, -float(hand.error.mean()) / max(longer_side(hand.points), 1.0)


def _nearest_two(hands: Sequence[Expected]) -> list[Expected] | None:
    """The left and the right one of the two hands that are nearest to each other, if they are near."""
    best: tuple[float, Expected, Expected] | None = None
    for i, first in enumerate(hands):
        for second in hands[i + 1 :]:
            gap = float(np.linalg.norm(first.points[:, None] - second.points[None], axis=-1).min())
            share = gap / max(longer_side(first.points), longer_side(second.points), 1.0)
            if share <= _NEAR and (best is None or share < best[0]):
                best = (share, first, second)
    if best is None:
        return None
    left, right = sorted(best[1:], key=lambda hand: hand.right)
    return [left, right]
