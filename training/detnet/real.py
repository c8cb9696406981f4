# SPDX-License-Identifier: GPL-3.0-or-later
"""Real crops for training: hands of people with pseudo-labels in the picture, and cars as pictures of none.

    python -m training.detnet.real --data DIR --out SHARDS/real-000-00000

Only the folders that the data's README allows for training are read. A hand is seen by MediaPipe as it
is and mirrored; where both agree, their mean, moved into the model's own definition, is a label for the
finger joints and tips. Depth has no label. The folder is a shard like the drawn ones.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.footage import open_footage
from blender_handmocap.engine.footage_pictures import read_picture
from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.crops import HAND_INPUT, Image, cut, square_around
from blender_handmocap.engine.see.landmarks import HandNetwork, SeenHand
from blender_handmocap.engine.see.palms import PalmDetector
from training.footage.crops import Jitter, crop_matrix, jittered

from .definition import mediapipe_map

Array = NDArray[np.float64]

SIGNS: Final = ("bird", "brother", "eat", "hungry", "learn", "milk", "no", "please", "sorry", "yes")
"""The signed words that may be trained on; the others are for judging."""
STOCK: Final = ("gesture_thumb_up.mp4", "hand_reach_open.mp4")
EMPTY: Final = "car-detection.mp4"
LABELLED: Final = (2, 3, 4, 6, 7, 8, 10, 11, 12, 14, 15, 16, 18, 19, 20)
"""Keypoints that both definitions place alike: the finger joints and tips, not the palm's corners."""

_EVERY: Final = 5
"""frames"""
_EVERY_DIGIT: Final = 2
"""pictures"""
_CROPS: Final = 2
"""of each hand"""
_AGREE: Final = 0.06
"""mean distance of both looks, in shares of the hand's box, up to which a hand is kept"""
_AGREE_POINT: Final = 0.05
"""the same for one point"""
_LEAST_PRESENCE: Final = 0.8
_REFINEMENTS: Final = 2


@dataclass(frozen=True)
class Labelled:
    """One crop and what is known of it, always a right hand."""

    image: Image
    points: Array
    """(21, 2) crop pixels"""
    use: NDArray[np.bool_]
    """(21,)"""


def thinned(movie: Path, every: int) -> Iterator[Image]:
    """The first and each further `every`th picture of a movie."""
    for frame in open_footage(str(movie)).frames():
        if frame.index % every == 0:
            yield frame.image


def pictures(data: Path) -> Iterator[tuple[str, Image]]:
    """Everything that may be trained on, and where it is from."""
    for path in sorted((data / "digits").rglob("*.JPG"))[::_EVERY_DIGIT]:
        small = read_picture(path)
        if small is not None:
            # As large as a hand usually is; the palm detector needs some wall around it.
            grown = cv2.resize(small, (300, 300), interpolation=cv2.INTER_CUBIC)
            yield "digits", np.asarray(cv2.copyMakeBorder(grown, 90, 90, 90, 90, cv2.BORDER_REPLICATE), np.uint8)
    for movie in [*(data / "signs" / f"{name}.mkv" for name in SIGNS), *(data / "stock" / name for name in STOCK)]:
        for image in thinned(movie, _EVERY):
            yield "clips", image


def hands_of(image: Image, palms: PalmDetector, network: HandNetwork) -> Iterator[tuple[SeenHand, SeenHand]]:
    """Each hand as it is, and as the mirrored picture shows it, in the terms of the unmirrored one."""
    mirrored, width = np.ascontiguousarray(image[:, ::-1]), image.shape[1]
    for palm in palms.detect(image, threshold=0.4, part=square_around(width, image.shape[0])):
        seen = network.look(image, [palm.crop])[0]
        for _ in range(_REFINEMENTS):
            seen = network.look(image, [seen.next_crop])[0]
        crop = seen.crop.copy()
        crop[0], crop[4] = width - 1 - crop[0], -crop[4]
        other = network.look(mirrored, [crop])[0]
        points = other.screen * [-1.0, 1.0, 1.0] + [width - 1, 0.0, 0.0]
        if min(seen.presence, other.presence) >= _LEAST_PRESENCE and (seen.right > 0.5) == (other.right < 0.5):
            yield seen, SeenHand(seen.crop, points, other.world, other.presence, 1.0 - other.right)


def labelled(
    image: Image, seen: SeenHand, again: SeenHand, definition: Array, random: np.random.Generator
) -> list[Labelled]:
    """Crops of one hand as a tracker might cut them; none where the two looks disagree.

    `definition` (21, 21) turns the model's own points into those that are seen.
    """
    box = float(np.ptp(seen.screen[:, :2], axis=0).max())
    apart = np.linalg.norm(seen.screen[:, :2] - again.screen[:, :2], axis=1) / max(box, 1.0)
    if apart.mean() > _AGREE:
        return []
    points = np.linalg.solve(definition, (seen.screen[:, :2] + again.screen[:, :2]) / 2)
    use = (apart < _AGREE_POINT) & np.isin(np.arange(len(points)), LABELLED)
    found = []
    for _ in range(_CROPS):
        crop = jittered(points, Jitter(), random)
        matrix = crop_matrix(crop)
        shown, inside = cut(image, crop, HAND_INPUT, replicate=True), points @ matrix[:, :2].T + matrix[:, 2]
        if seen.right < 0.5:
            shown, inside = shown[:, ::-1], inside * [-1, 1] + [HAND_INPUT - 1, 0]
        found.append(Labelled(shown, inside, use))
    return found


def empty(data: Path, count: int, random: np.random.Generator) -> Iterator[Image]:
    """Crops of streets."""
    for image in islice(thinned(data / "no_hands" / EMPTY, _EVERY), count):
        height, width = image.shape[:2]
        side = height * np.exp(random.uniform(-2.5, 0.0))
        place = random.uniform([0, 0], [width, height])
        yield cut(image, np.array([*place, side, side, random.normal()]), HAND_INPUT, replicate=True)


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
    definition = mediapipe_map()
    rows: list[Labelled] = []
    for _, image in pictures(options.data):
        for seen, again in hands_of(image, palms, network):
            rows += labelled(image, seen, again, definition, random)
    nothing = list(empty(options.data, len(rows) // 20, random))
    write(options.out, rows, nothing, random)
    sys.stdout.write(f"{len(rows)} crops of hands, {len(nothing)} of none\n")
    return 0


def write(
    folder: Path,
    rows: Sequence[Labelled],
    nothing: Sequence[Image],
    random: np.random.Generator,
    *,
    of_side: Sequence[bool] | None = None,
) -> None:
    """A shard, its rows in random order; `of_side`: which hands are of the side their crop was cut for (None: all)."""
    count = len(rows) + len(nothing)
    order = random.permutation(count)
    hand = np.arange(count) < len(rows)
    right = hand.copy()
    if of_side is not None:
        right[: len(rows)] = of_side
    points = np.zeros((count, 21, 2), np.float32)
    use = np.zeros((count, 21), np.uint8)
    for index, row in enumerate(rows):
        points[index], use[index] = row.points, row.use
    arrays = {
        "image": np.stack([*(row.image for row in rows), *nothing]),
        "points2d": points,
        "points3d": np.zeros((count, 21, 3), np.float32),
        "visible": np.zeros((count, 21), np.uint8),
        "use_2d": use,
        "flags": np.stack([np.zeros(count), hand, right], axis=-1).astype(np.uint8),
    }
    partial = folder.with_name(folder.name + ".partial")
    partial.mkdir(parents=True)
    for name, values in arrays.items():
        np.save(partial / f"{name}.npy", values[order])
    partial.replace(folder)


if __name__ == "__main__":
    raise SystemExit(main())
