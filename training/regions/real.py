# SPDX-License-Identifier: GPL-3.0-or-later
"""Real pictures for the region finder: people with pseudo-labelled hands, and places without anybody.

    python -m training.regions.real --data DIR --out DIR

Only the folders that the data's README allows for training are read. A hand counts where the hand network is certain
of it and says the opposite side of the mirrored picture. Where a person's second hand was not found, its side is
UNKNOWN: nothing is taught about it but that it is not where the first one is. The folder is like those of `pictures`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.footage_pictures import read_picture
from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.crops import PALM_INPUT, Image, crop_of_hand, cut, square_around
from blender_handmocap.engine.see.landmarks import HandNetwork
from blender_handmocap.engine.see.palms import PalmDetector
from training.detnet.nobody import empty_photographs
from training.detnet.real import EMPTY, SIGNS, STOCK, hands_of, thinned
from training.footage import pictures as photographs
from training.footage.crops import crop_matrix

from .pictures import ABSENT, THERE, UNKNOWN, save_rows

Array = NDArray[np.float64]
Random = np.random.Generator

_EVERY: Final = 4
"""frames"""
_EVERY_DIGIT: Final = 3
"""pictures"""
_EVERY_STREET: Final = 6
_OF_PHOTOGRAPH: Final = 8
_AGREE: Final = 0.08
"""mean distance of both looks at a hand, in shares of its box, up to which it is kept"""
_PART_SHARE: Final = 0.4
"""Pictures of which a part is shown."""


@dataclass(frozen=True)
class Row:
    """One picture as the palm detector is shown it."""

    image: Image
    points: Array
    """(2, 21, 2)"""
    present: Array
    """(2,)"""


def people(data: Path) -> Iterator[tuple[Image, bool]]:
    """Pictures with hands, and whether all that is not labelled is known to be empty."""
    for path in sorted((data / "digits").rglob("*.JPG"))[::_EVERY_DIGIT]:
        small = read_picture(path)
        if small is not None:
            grown = cv2.resize(small, (300, 300), interpolation=cv2.INTER_CUBIC)
            yield np.asarray(cv2.copyMakeBorder(grown, 90, 90, 90, 90, cv2.BORDER_REPLICATE), np.uint8), True
    for movie in [*(data / "signs" / f"{name}.mkv" for name in SIGNS), *(data / "stock" / name for name in STOCK)]:
        for image in thinned(movie, _EVERY):
            yield image, movie.suffix != ".mkv"


def places(data: Path) -> Iterator[Image]:
    """Pictures without hands."""
    yield from thinned(data / "no_hands" / EMPTY, _EVERY_STREET)
    for name in empty_photographs():
        for _ in range(_OF_PHOTOGRAPH):
            yield photographs.photograph(name)


def _part(image: Image, around: Array | None, random: Random) -> Array:
    """(5,) all of the picture, or a part of it."""
    height, width = image.shape[:2]
    whole = square_around(width, height)
    if random.random() >= _PART_SHARE:
        return whole
    if around is None:
        side = min(width, height) * np.exp(random.uniform(-1.6, 0.0))
        centre = random.uniform([0, 0], [width, height])
    else:
        side = float(np.clip(around[2] * np.exp(random.uniform(0.2, 1.2)), 48.0, 1.3 * whole[2]))
        centre = around[:2] + random.normal(size=2) * 0.15 * side
    return np.array([*centre, side, side, 0.0])


def labelled(image: Image, complete: bool, palms: PalmDetector, network: HandNetwork, random: Random) -> Iterator[Row]:
    """A picture whose hands were seen for certain; nothing where none was."""
    known: dict[int, Array] = {}
    for seen, again in hands_of(image, palms, network):
        points = (seen.screen[:, :2] + again.screen[:, :2]) / 2
        box = float(np.ptp(points, axis=0).max())
        apart = np.linalg.norm(seen.screen[:, :2] - again.screen[:, :2], axis=1).mean() / max(box, 1.0)
        side = int(seen.right > 0.5)
        if apart > _AGREE or side in known:
            return
        known[side] = points
    if not known:
        return
    first = next(iter(known.values()))
    crop = _part(image, crop_of_hand(first), random)
    matrix = crop_matrix(crop, PALM_INPUT)
    points, present = np.zeros((2, 21, 2)), np.full(2, ABSENT if complete else UNKNOWN)
    for side, there in known.items():
        points[side] = there @ matrix[:, :2].T + matrix[:, 2]
        inside = ((points[side] >= 0) & (points[side] < PALM_INPUT)).all(1).mean()
        present[side] = THERE if inside > 0.4 else UNKNOWN
    yield Row(cut(image, crop, PALM_INPUT, replicate=False), points, present)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    runtime, random = Runtime.choose("cpu", 1), np.random.default_rng(options.seed)
    palms, network = PalmDetector(runtime), HandNetwork(runtime)
    rows = [
        row for image, complete in people(options.data) for row in labelled(image, complete, palms, network, random)
    ]
    hands = len(rows)
    for image in places(options.data):
        shown = cut(np.ascontiguousarray(image), _part(image, None, random), PALM_INPUT, replicate=False)
        rows.append(Row(shown, np.zeros((2, 21, 2)), np.full(2, ABSENT)))
    order = [rows[i] for i in random.permutation(len(rows))]
    seen = [np.repeat(row.present[:, None] == THERE, 21, 1) for row in order]
    save_rows(options.out, [r.image for r in order], [r.points for r in order], seen, [r.present for r in order])
    sys.stdout.write(f"{hands} pictures with hands, {len(rows) - hands} without\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
