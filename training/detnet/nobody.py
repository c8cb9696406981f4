# SPDX-License-Identifier: GPL-3.0-or-later
"""Crops of real pictures that show no hand: streets, photographs without people, faces and clothes of signers, and
what in streets and photographs looks most like a hand to the engine's search.

    python -m training.detnet.nobody --data DIR --out SHARDS/nobody-000-00000

Only the folders that the data's README allows for training are read. The folder is a shard like the drawn ones.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.crops import HAND_INPUT, Image, cut, square_around
from blender_handmocap.engine.see.palms import PalmDetector
from blender_handmocap.engine.see.regions import RegionFinder
from blender_handmocap.engine.see.search import tiles_of
from training.footage import pictures

from .real import EMPTY, SIGNS, thinned, write

Random = np.random.Generator

_EVERY: Final = 6
"""frames"""
_CUTS: Final = 2
"""of each frame"""
_OF_PHOTOGRAPH: Final = 24
_WITH_PEOPLE: Final = ("astronaut", "grace_hopper", "friends", "seeding", "Wine", "life", "umang")
"""Beginnings of the names of photographs that show people, or may."""
_FAINT_PALM: Final = 0.08
"""A palm as doubtful as this near a cut keeps it out."""
_FAINT_REGION: Final = 0.1
_MISTAKES: Final = 2
"""of each part of a picture that is searched"""


def empty_photographs() -> list[str]:
    """Names of photographs in the cache that show nobody."""
    return [name for name in pictures.fetched() if not name.startswith(_WITH_PEOPLE)]


def streets(data: Path) -> Iterator[Image]:
    """Pictures of a street with cars and nobody near."""
    return thinned(data / "no_hands" / EMPTY, _EVERY)


def photographs() -> Iterator[Image]:
    """Photographs without people."""
    for name in empty_photographs():
        yield np.ascontiguousarray(pictures.photograph(name))


def places(data: Path, random: Random) -> Iterator[Image]:
    """Cuts of streets and photographs."""
    for frame in chain(streets(data), list(photographs()) * (_OF_PHOTOGRAPH // _CUTS)):
        height, width = frame.shape[:2]
        for _ in range(_CUTS):
            side = min(height, width) * np.exp(random.uniform(-2.2, 0.2))
            place = random.uniform([0, 0], [width, height])
            crop = np.array([*place, side, side, random.uniform(-np.pi, np.pi)])
            yield cut(frame, crop, HAND_INPUT, replicate=True)


def mistaken(data: Path, palms: PalmDetector, random: Random) -> Iterator[Image]:
    """The places of streets and photographs that a search would look at, though faintly, near where it would."""
    for picture in chain(streets(data), photographs()):
        for part in [square_around(picture.shape[1], picture.shape[0]), *tiles_of(picture.shape[1], picture.shape[0])]:
            found, regions = palms.search(picture, threshold=_FAINT_PALM, part=part, least_region=_FAINT_REGION)
            for one in [*found, *regions][:_MISTAKES]:
                crop = one.crop.copy()
                crop[:2] += random.normal(0.0, 0.1, 2) * crop[2]
                crop[2:4] *= np.exp(random.normal(0.0, 0.15))
                yield cut(picture, crop, HAND_INPUT, replicate=True)


def people(data: Path, palms: PalmDetector, random: Random) -> Iterator[Image]:
    """Faces, hair, clothes: cuts of signers that lie far from anything like a palm."""
    for name in SIGNS:
        for image in thinned(data / "signs" / f"{name}.mkv", _EVERY):
            height, width = image.shape[:2]
            near = [palm.keypoints[:5].mean(0) for palm in palms.detect(image, threshold=_FAINT_PALM)]
            for _ in range(_CUTS):
                # Hands are low in these pictures; faces are in the upper half.
                place = random.uniform([0.2 * width, 0.05 * height], [0.8 * width, 0.5 * height])
                side = height * np.exp(random.uniform(-1.9, -0.6))
                if all(np.linalg.norm(place - palm) > side for palm in near):
                    crop = np.array([*place, side, side, random.uniform(-np.pi, np.pi)])
                    yield cut(image, crop, HAND_INPUT, replicate=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cv2.setNumThreads(1)
    random = np.random.default_rng(options.seed)
    runtime = Runtime.choose("cpu", 1)
    palms = PalmDetector(runtime, RegionFinder(runtime))
    nothing = [*places(options.data, random), *people(options.data, palms, random)]
    nothing += mistaken(options.data, palms, random)
    write(options.out, [], nothing, random)
    logging.info("%d crops of none", len(nothing))
    return 0


if __name__ == "__main__":
    sys.exit(main())
