# SPDX-License-Identifier: GPL-3.0-or-later
"""Crops of hands of either side, and of none, with the taps of the shared trunk: what the judge learns from.

    python -m training.regions.crops --shards DIR --data DIR --out DIR

Crops of hands are those DetNet learns from (training/footage/dataset.py and training/detnet/real.py), half of them
mirrored. Crops of none are those drawn without hands, cuts that miss the hand of a drawn crop, streets, photographs
without people, and faces and clothes of people where no palm is near. Writes

    features_14.npy, features_7.npy  (N, C, S, S) f2   the trunk's taps
    labels.npy                       (N, 3) u1         shows a hand, it is a right one, the picture is a real one
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.footage import open_footage
from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.crops import HAND_INPUT, Image, cut
from blender_handmocap.engine.see.landmarks import HAND_MODEL
from blender_handmocap.engine.see.palms import PalmDetector
from training.detnet.real import EMPTY, SIGNS
from training.detnet.shards import find
from training.footage import pictures

Random = np.random.Generator

TAPS: Final = ("features_14", "features_7")

_MISSING_SHARE: Final = 0.12
"""Drawn crops of which a cut that misses the hand is taken as well."""
_MOST_INSIDE: Final = 3
"""Keypoints in such a cut."""
_EVERY: Final = 6
"""frames"""
_CUTS: Final = 2
"""of each frame"""
_OF_PHOTOGRAPH: Final = 24
_WITH_PEOPLE: Final = ("astronaut", "grace_hopper", "friends", "seeding", "Wine", "life", "umang")
"""Beginnings of the names of photographs that show people, or may."""
_FAINT_PALM: Final = 0.08
"""A palm as doubtful as this near a cut keeps it out."""


@dataclass(frozen=True)
class Labelled:
    """A crop and what it shows."""

    image: Image
    hand: bool
    right: bool = False
    real: bool = False


def of_shard(folder: Path, random: Random) -> Iterator[Labelled]:
    """A shard's rows, half of them mirrored, and cuts that miss the hand."""
    images = np.load(folder / "image.npy", mmap_mode="r")
    flags, points = np.load(folder / "flags.npy"), np.load(folder / "points2d.npy")
    real = folder.name.startswith("real")
    second = np.zeros(len(flags)) if real else np.load(folder / "second.npy")
    for image, (_, hand, own), keypoints, other in zip(images, flags, points, second, strict=True):
        mirrored = random.random() < 0.5
        yield Labelled(image[:, ::-1] if mirrored else image, bool(hand), bool(own) != mirrored, real)
        if hand and own and not other and random.random() < _MISSING_SHARE:
            missed = _missing(image, keypoints, random)
            if missed is not None:
                yield Labelled(missed, hand=False, real=real)


def _missing(image: Image, points: NDArray[np.float32], random: Random) -> Image | None:
    """A part of a crop with next to nothing of its hand."""
    for _ in range(8):
        side = HAND_INPUT * random.uniform(0.3, 0.6)
        centre = random.uniform(0.3 * side, HAND_INPUT - 0.3 * side, 2)
        if (np.abs(points - centre).max(1) < side / 2).sum() <= _MOST_INSIDE:
            turn = random.uniform(-np.pi, np.pi)
            return cut(np.ascontiguousarray(image), np.array([*centre, side, side, turn]), HAND_INPUT, replicate=True)
    return None


def empty_photographs() -> list[str]:
    """Names of photographs in the cache that show nobody."""
    return [name for name in pictures.fetched() if not name.startswith(_WITH_PEOPLE)]


def of_nobody(data: Path, random: Random) -> Iterator[Labelled]:
    """Streets and photographs."""
    frames = [
        frame.image for frame in open_footage(str(data / "no_hands" / EMPTY)).frames() if not frame.index % _EVERY
    ]
    frames += [pictures.photograph(name) for name in empty_photographs()] * (_OF_PHOTOGRAPH // _CUTS)
    for frame in frames:
        height, width = frame.shape[:2]
        for _ in range(_CUTS):
            side = min(height, width) * np.exp(random.uniform(-2.2, 0.2))
            place = random.uniform([0, 0], [width, height])
            crop = np.array([*place, side, side, random.uniform(-np.pi, np.pi)])
            yield Labelled(cut(np.ascontiguousarray(frame), crop, HAND_INPUT, replicate=True), hand=False, real=True)


def of_people(data: Path, palms: PalmDetector, random: Random) -> Iterator[Labelled]:
    """Faces, hair, clothes: cuts of signers that lie far from anything like a palm."""
    for name in SIGNS:
        for frame in open_footage(str(data / "signs" / f"{name}.mkv")).frames():
            if frame.index % _EVERY:
                continue
            height, width = frame.image.shape[:2]
            near = [palm.keypoints[:5].mean(0) for palm in palms.detect(frame.image, threshold=_FAINT_PALM)]
            for _ in range(_CUTS):
                # Hands are low in these pictures; faces are in the upper half.
                place = random.uniform([0.2 * width, 0.05 * height], [0.8 * width, 0.5 * height])
                side = height * np.exp(random.uniform(-1.9, -0.6))
                if all(np.linalg.norm(place - palm) > side for palm in near):
                    crop = np.array([*place, side, side, random.uniform(-np.pi, np.pi)])
                    yield Labelled(cut(frame.image, crop, HAND_INPUT, replicate=True), hand=False, real=True)


def every(shards: Path, data: Path, palms: PalmDetector, random: Random) -> Iterator[Labelled]:
    """All of them."""
    for folder in find(shards):
        yield from of_shard(folder, random)
    yield from of_nobody(data, random)
    yield from of_people(data, palms, random)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cv2.setNumThreads(1)
    runtime, random = Runtime.choose("cpu", 1), np.random.default_rng(options.seed)
    trunk = runtime.network(HAND_MODEL, outputs=TAPS)
    taps: dict[str, list[NDArray[np.float16]]] = {name: [] for name in TAPS}
    labels = []
    for row in every(options.shards, options.data, PalmDetector(runtime), random):
        for name, values in trunk(row.image[None]).items():
            taps[name].append(values[0].astype(np.float16))
        labels.append((row.hand, row.right, row.real))
        if len(labels) % 1000 == 0:
            logging.info("%d crops", len(labels))
    options.out.mkdir(parents=True, exist_ok=True)
    for name, rows in taps.items():
        np.save(options.out / f"{name}.npy", np.stack(rows))
    np.save(options.out / "labels.npy", np.array(labels, np.uint8))
    return 0


if __name__ == "__main__":
    sys.exit(main())
