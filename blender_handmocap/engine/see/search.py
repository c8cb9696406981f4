# SPDX-License-Identifier: GPL-3.0-or-later
"""When and where palms are searched: not in every picture, harder after a loss, more rarely the longer in vain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ..settings import Box
from .crops import Array, Image, square_around

_CERTAIN: Final = 0.5
_DOUBTFUL: Final = 0.3
_LAST_REGION: Final = 1.6
"""Side of the square around a lost hand, in sides of its crop."""
_TILE_SHARE: Final = 0.7
"""Side of a tile, of the picture's shorter side; smaller ones find faces and lamps."""
_EAGER_FRAMES: Final = 6
"""Pictures after a loss in which it is searched every time."""


@dataclass(frozen=True)
class Search:
    """One run of the palm detector."""

    threshold: float
    part: Array | None = None
    """(5,) the part of the picture; None: all of it"""


@dataclass(frozen=True)
class Area:
    """Where the performer's hands may be: boxes in shares of the picture."""

    width: int = 1
    height: int = 1
    region: Box | None = None
    ignore: tuple[Box, ...] = ()

    def holds(self, point: Array) -> bool:
        """Whether a pixel (2,) is inside the region and outside of every ignored box."""
        x, y = (float(point[0]) + 0.5) / self.width, (float(point[1]) + 0.5) / self.height
        if self.region is not None and not _inside(self.region, x, y):
            return False
        return not any(_inside(box, x, y) for box in self.ignore)


def _inside(box: Box, x: float, y: float) -> bool:
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


@dataclass
class SearchPlan:
    """Chooses the searches of each picture, and remembers how the last ones went."""

    expected_hands: int = 2
    most_hands: int = 2
    """so many hands are followed at most"""
    interval: int = 5
    """pictures between searches while a hand is missing and nothing is found"""
    patience: int = 0
    """searches in vain after which the interval doubles, after as many again triples ...; 0: it stays"""
    longest_interval: int = 4
    """... up to this"""
    idle_interval: int = 0
    """pictures between searches while every expected hand is there, for others that may be the performer's; 0: none"""
    tiles_at_once: int = 1
    """parts of the picture that are searched closely with a search; 0: none"""
    tile_interval: int = 1
    """so many searches to one that also looks at tiles"""
    known: int = 0
    """hands in the last picture"""
    waited: int = field(default=10**6)
    """pictures since the last search"""
    eager: int = 0
    """pictures left in which it is searched every time"""
    next_tile: int = 0
    searched: int = 0
    """searches since a hand came or went"""

    def searches(self, image: Image, present: int, lost: Sequence[Array]) -> list[Search]:
        """What to search in this picture, most promising first; `lost`: crops of hands lost lately."""
        if present < self.known:
            self.eager = _EAGER_FRAMES
        self.waited += 1
        if present >= self.expected_hands:
            self.eager = 0
            if not self.idle_interval or self.waited < self.idle_interval or present >= self.most_hands:
                return []
            self.waited = 0
            return [Search(_CERTAIN)]
        due = self.waited >= self.interval_now
        if not (due or (self.eager > 0 and lost)):
            return []
        self.eager = max(self.eager - 1, 0)
        around = [Search(_DOUBTFUL, _widened(crop)) for crop in lost]
        if not due:
            return around[:1]
        self.waited = 0
        self.searched += 1
        whole = Search(_DOUBTFUL if present == 0 or lost else _CERTAIN)
        return [*around[:1], whole, *self._tiles(image)]

    @property
    def interval_now(self) -> int:
        """Pictures between searches by now: what long was not there is not looked for in every picture."""
        if not self.patience:
            return self.interval
        rarer = self.interval * (1 + self.searched // self.patience)
        return max(self.interval, min(rarer, self.longest_interval))

    def learn(self, present: int) -> None:
        """Tell how many hands the picture had in the end."""
        if present != self.known:
            self.searched = 0
        self.known = present

    def _tiles(self, image: Image) -> list[Search]:
        tiles = tiles_of(image.shape[1], image.shape[0])
        if not tiles or not self.tiles_at_once or self.searched % self.tile_interval:
            return []
        chosen = [tiles[(self.next_tile + i) % len(tiles)] for i in range(min(self.tiles_at_once, len(tiles)))]
        self.next_tile = (self.next_tile + len(chosen)) % len(tiles)
        return [Search(_CERTAIN, tile) for tile in chosen]


def tiles_of(width: int, height: int) -> list[Array]:
    """Overlapping squares (5,) that cover a picture, centre first; none for pictures of a few pixels."""
    side = _TILE_SHARE * min(width, height)
    if side < 64:
        return []
    across = _starts(width, side)
    down = _starts(height, side)
    tiles = [np.array([x + side / 2, y + side / 2, side, side, 0.0]) for y in down for x in across]
    middle = square_around(width, height)[:2]
    return sorted(tiles, key=lambda tile: float(np.abs(tile[:2] - middle).max()))


def _starts(length: int, side: float) -> Array:
    """Even starts of spans of `side` that overlap by about a third."""
    count = max(1, int(np.ceil((length - side) / (side * 0.67))) + 1)
    return np.linspace(0.0, length - side, count)


def _widened(crop: Array) -> Array:
    side = crop[2] * _LAST_REGION
    return np.array([crop[0], crop[1], side, side, 0.0])
