# SPDX-License-Identifier: GPL-3.0-or-later
"""Truth and prediction side by side: one row a true hand, one a pair, one a frame. No judgement yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.names import SIDES, Side

from .hands import Clip, Seen, SeenHand, TrueFrame, TrueHand
from .measures.detection import Detection, detect, error2d

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

FEW_CLIPS: Final = 5
"""With fewer clips than this, spans of SPAN frames are what the bootstrap draws."""
SPAN: Final = 30


@dataclass(frozen=True)
class FrameRow:
    """One frame that is judged."""

    clip: int
    truth: TrueFrame
    seen: tuple[SeenHand, ...]
    detection: Detection


@dataclass(frozen=True)
class HandRow:
    """One true hand, and what was seen of it."""

    clip: int
    frame: int
    truth: TrueHand
    seen: SeenHand | None
    """the prediction that found it; None: missed"""
    error2d: float
    """of that prediction; infinite if missed"""
    wrong_side: bool


@dataclass(frozen=True)
class PairRow:
    """A frame in which both hands truly are."""

    clip: int
    truth_frame: TrueFrame
    truth: tuple[TrueHand, TrueHand]
    seen: tuple[SeenHand | None, SeenHand | None]
    """left, right"""

    @property
    def found(self) -> bool:
        """Both were found."""
        return None not in self.seen


@dataclass(frozen=True)
class Table:
    """All that one method saw of one set, beside the truth."""

    clips: tuple[Clip, ...]
    hands: tuple[HandRow, ...]
    pairs: tuple[PairRow, ...]
    frames: tuple[FrameRow, ...]
    seen: tuple[Seen, ...]
    """as `clips`"""

    @property
    def found(self) -> Bools:
        """(N,) of the true hands."""
        return np.array([row.seen is not None for row in self.hands], bool)

    def unit(self, rows: Sequence[HandRow | PairRow | FrameRow]) -> Ints:
        """(N,) what the bootstrap draws: the clip, or spans of a clip where there are few of them."""
        if len({self.clips[row.clip].name for row in rows}) >= FEW_CLIPS:
            names = sorted({clip.name for clip in self.clips})
            return np.array([names.index(self.clips[row.clip].name) for row in rows], np.int64)
        return np.array([row.clip * 1_000_000 + _frame_of(row) // SPAN for row in rows], np.int64)


def _frame_of(row: HandRow | PairRow | FrameRow) -> int:
    if isinstance(row, HandRow):
        return row.frame
    return row.truth_frame.index if isinstance(row, PairRow) else row.truth.index


def tabled(clips: Sequence[Clip], seen: Mapping[int, Seen]) -> Table:
    """Match what was seen of each clip (by its place in `clips`) with the truth."""
    hands: list[HandRow] = []
    pairs: list[PairRow] = []
    frames: list[FrameRow] = []
    for number, clip in enumerate(clips):
        told = seen[number]
        for truth in clip.frames or _empty_frames(clip, told):
            if truth.index not in told.hands:
                continue  # the source broke off before it
            reported = tuple(told.of(truth.index))
            detection = detect(
                [hand.points2d for hand in reported],
                [hand.side for hand in reported],
                [hand.points2d for hand in truth.hands],
                [hand.side for hand in truth.hands],
            )
            frames.append(FrameRow(number, truth, reported, detection))
            rows = [_hand_row(number, truth.index, hand, reported, detection, i) for i, hand in enumerate(truth.hands)]
            hands.extend(rows)
            pair = _pair(rows)
            if pair is not None:
                pairs.append(PairRow(number, truth, *pair))
    return Table(tuple(clips), tuple(hands), tuple(pairs), tuple(frames), tuple(seen[i] for i in range(len(clips))))


def _empty_frames(clip: Clip, told: Seen) -> list[TrueFrame]:
    """Frames known to hold no hand at all."""
    return [TrueFrame(index, ()) for index in sorted(told.hands)] if clip.complete else []


def _hand_row(
    clip: int, frame: int, truth: TrueHand, reported: Sequence[SeenHand], detection: Detection, i: int
) -> HandRow:
    match = int(detection.match[i])
    found = reported[match] if match >= 0 else None
    error = error2d(found.points2d, truth.points2d) if found is not None else float("inf")
    return HandRow(clip, frame, truth, found, error, bool(detection.wrong_side[i]))


def _pair(
    rows: Sequence[HandRow],
) -> tuple[tuple[TrueHand, TrueHand], tuple[SeenHand | None, SeenHand | None]] | None:
    by_side: dict[Side, HandRow] = {row.truth.side: row for row in rows}
    if len(rows) != 2 or len(by_side) != 2:
        return None
    left, right = (by_side[side] for side in SIDES)
    return (left.truth, right.truth), (left.seen, right.seen)
