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
from itertools import chain
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.crops import HAND_INPUT, Image, cut
from blender_handmocap.engine.see.landmarks import HAND_MODEL
from blender_handmocap.engine.see.palms import PalmDetector
from training.detnet import nobody
from training.detnet.shards import find

Random = np.random.Generator

TAPS: Final = ("features_14", "features_7")

_MISSING_SHARE: Final = 0.12
"""Drawn crops of which a cut that misses the hand is taken as well."""
_MOST_INSIDE: Final = 3
"""Keypoints in such a cut."""


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


def every(shards: Path, data: Path, palms: PalmDetector, random: Random) -> Iterator[Labelled]:
    """All of them."""
    for folder in find(shards):
        yield from of_shard(folder, random)
    for image in chain(nobody.places(data, random), nobody.people(data, palms, random)):
        yield Labelled(image, hand=False, real=True)


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
