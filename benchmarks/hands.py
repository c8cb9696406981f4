# SPDX-License-Identifier: GPL-3.0-or-later
"""What is compared: true hands on one side, seen hands on the other, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.names import Side
from blender_handmocap.engine.take import Take

from .measures.contact import Touching

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]
"""(H, W, 3) RGB"""


@dataclass(frozen=True)
class TrueHand:
    """One hand as it really was in one frame; NaN where a set does not know."""

    side: Side
    points2d: Array
    """(21, 2) pixels, distorted, as in the picture"""
    points3d: Array
    """(21, 3) mm, camera axes"""
    visible: NDArray[np.bool_]
    """(21,)"""
    rotation: Array | None = None
    """(16, 4) as in a Take"""
    translation: Array | None = None
    """(3,) wrist, metres, as in a Take"""
    touching: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(21, bool))
    """(21,) points near skin that touches the other hand"""


@dataclass(frozen=True)
class TrueFrame:
    """All hands that are known of one frame."""

    index: int
    """number of the frame in its source, from 0"""
    hands: tuple[TrueHand, ...]
    contact: NDArray[np.bool_] | None = None
    """(6, 6) which parts of the left hand touch which of the right, names.CONTACT_PARTS order; None if unknown"""
    skin: Touching | None = None
    """the surface points that touch, on the free hand's mesh; None if unknown"""


@dataclass(frozen=True)
class Shape:
    """The true performer of a clip made from our own hand."""

    betas: Array
    """(10,)"""
    size: float
    """palm length in metres"""


@dataclass(frozen=True)
class Clip:
    """Pictures in order, with what is true of some of them."""

    name: str
    row: str
    """the row of the table it belongs to: seen families, unseen families, cycles; else the set's name"""
    source: Path
    """the movie, or the picture"""
    ordered: bool
    """frames follow each other in time"""
    rate: Fraction
    """frames a second; of stills 1"""
    K: Array | None
    """(3, 3) pixels; None if unknown"""
    dist: Array
    """(5,) OpenCV's k1 k2 p1 p2 k3"""
    frames: tuple[TrueFrame, ...]
    """those with truth, in order; without any, hands are only counted"""
    complete: bool
    """no frame holds a hand that is not listed, so a hand reported elsewhere is false"""
    pictures: Callable[[], Iterator[tuple[int, Picture]]]
    """reads (index, picture) from the first to the last frame needed; ends early where the source is damaged"""
    shape: Shape | None = None

    @property
    def palm_mm(self) -> float | None:
        """The performer's palm length, wrist joint to middle knuckle, if the truth says it."""
        if self.shape is not None:
            return self.shape.size * 1000.0
        lengths = [
            float(np.linalg.norm(hand.points3d[9] - hand.points3d[0])) for frame in self.frames for hand in frame.hands
        ]
        known = [length for length in lengths if np.isfinite(length)]
        return float(np.median(known)) if known else None


@dataclass(frozen=True)
class Label:
    """What an eye says of one frame with both hands."""

    boxes: dict[Side, Array]
    """(4,) x0, y0, x1, y1 pixels"""
    wrists: dict[Side, Array]
    """(2,) pixels"""
    nearer: Side | None
    """the hand in front where they overlap"""
    touch: bool | None
    """skin on skin; None where it cannot be told"""
    parts: NDArray[np.bool_] | None
    """(6, 6) left part, right part, names.CONTACT_PARTS order"""
    hidden: dict[Side, tuple[int, ...]]
    """keypoints that cannot be seen"""


@dataclass(frozen=True)
class TestSet:
    """What one benchmark runs over."""

    __test__ = False  # not a test class, whatever pytest makes of its name

    name: str
    clips: tuple[Clip, ...]
    skipped: tuple[str, ...] = ()
    """entries that could not be used, a sentence each"""
    note: str = ""
    """what the reader of the table must know: where the truth comes from, what it cannot judge"""
    labels: tuple[dict[int, Label], ...] = ()
    """as `clips`: frame -> what an eye says; empty for sets with measured truth"""
    judges_2d: bool = True
    """False when the truth's pixels come from a method under test"""
    apart: tuple[str, ...] = ()
    """rows that are told by themselves and counted in no figure of the whole set; their clips come last"""

    @property
    def counted(self) -> tuple[Clip, ...]:
        """The clips the figures of the whole set are made of: the first ones of `clips`."""
        return tuple(clip for clip in self.clips if clip.row not in self.apart)


@dataclass(frozen=True)
class SeenHand:
    """One hand as a method reports it."""

    side: Side
    points2d: Array
    """(21, 2) pixels"""
    points3d: Array
    """(21, 3) mm, camera axes; placed in the camera if `placed`, else only relative to each other"""
    confidence: float
    """0..1, as the method says"""
    palm_mm: float
    """the palm length the method assumed for the place"""
    placed: bool = True
    rotation: Array | None = None
    """(16, 4) as in a Take"""


@dataclass
class Seen:
    """What a method reports of one clip."""

    hands: dict[int, list[SeenHand]]
    """frame index -> hands"""
    ms: dict[int, float] = field(default_factory=dict)
    """frame index -> milliseconds the method itself took"""
    take: Take | None = None
    """ours: shape, contacts and stages for the measures that need them"""
    stages_ms: dict[str, float] = field(default_factory=dict)
    """mean milliseconds a frame by stage"""
    peak_mb: float | None = None

    def of(self, index: int) -> list[SeenHand]:
        """The hands reported in a frame."""
        return self.hands.get(index, [])
