# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole pictures as the palm detector is shown them, drawn, with the keypoints of every hand in them.

    python -m training.regions.pictures --out DIR --shards 16 --rows 500 [--seed 0]

Shard k holds the same rows whatever the number of processes, and is skipped when it is there. Each is a folder:

    image.npy    (N, 192, 192, 3) u1   RGB, letterboxed with black as the palm detector does
    points.npy   (N, 2, 21, 2) f4      pixels of it, hands in the order of SIDES
    visible.npy  (N, 2, 21) u1         1 where the point is seen
    present.npy  (N, 2) u1             ABSENT, THERE, HARDLY or UNKNOWN
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.see.crops import PALM_INPUT, crop_of_hand, square_around
from training.footage import looks, two_hands
from training.footage.crops import crop_matrix, crop_scene, keypoints2d
from training.footage.render import Picture, draw
from training.footage.scene import Scene
from training.footage.situations import Mixture, Sampler

Array = NDArray[np.float64]
Random = np.random.Generator

ABSENT, THERE, HARDLY, UNKNOWN = 0, 1, 2, 3
"""What `present` holds: no such hand; one to be found; one of which next to nothing is seen; nobody knows."""

_MIXTURE: Final = Mixture(touching=0.3, near=0.2, apart=0.15, nearest=0.17, farthest=2.3)
_STYLE: Final = replace(
    looks.STANDARD, glove=0.08, held=0.22, in_front=0.2, face=0.3, dark=0.15, motion=0.12, sleeve=0.55, coarse=0.4
)
_NOTHING_SHARE: Final = 0.08
_PORTRAIT_SHARE: Final = 0.12
_PART_SHARE: Final = 0.35
"""Pictures of which only a part is shown, as after a hand was lost, or a tile."""
_MIN_VISIBLE: Final = 6
_HARDLY_VISIBLE: Final = 2
"""Points that must be seen of a hand that is to be found; with fewer it counts for nothing, with next to none it is
absent."""
_MIN_AREA: Final = 0.05
"""Share of its box (of the keypoints) that a hand must cover itself."""
_SMALLEST: Final = 9.0
"""Longer side of a hand's box, pixels of the input, from which it is to be found."""


def _shown(random: Random, scene: Scene) -> Array:
    """(5,) the square of the picture that is shown: all of it, or a part."""
    whole = square_around(scene.width, scene.height)
    if random.random() >= _PART_SHARE:
        return whole
    if random.random() < 0.5:
        hand = crop_of_hand(keypoints2d(scene, int(random.integers(len(scene.hands)))))
        side = float(np.clip(hand[2] * np.exp(random.uniform(0.0, 1.0)), 48.0, 1.5 * whole[2]))
        centre = hand[:2] + random.normal(size=2) * 0.2 * side
    else:
        side = 0.7 * min(scene.width, scene.height)
        low, high = np.full(2, side / 2), np.array([scene.width, scene.height]) - side / 2
        centre = random.uniform(low, high)
    return np.array([centre[0], centre[1], side, side, 0.0])


def _portrait(scene: Scene) -> Scene:
    """The middle of the picture as a phone held upright would take it."""
    width = round(scene.height * 9 / 16)
    K = scene.K.copy()
    K[0, 2] += (width - scene.width) / 2
    return replace(scene, K=K, width=width)


def _letterboxed(picture: Picture, scene: Scene, crop: Array) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The drawn square with black beyond the picture, and where the picture is (192, 192)."""
    inverse = cv2.invertAffineTransform(crop_matrix(crop, PALM_INPUT))
    pixel = np.arange(PALM_INPUT, dtype=np.float64)
    x, y = inverse[0, 0] * pixel + inverse[0, 2], inverse[1, 1] * pixel + inverse[1, 2]
    inside = ((y > -0.5) & (y < scene.height - 0.5))[:, None] & ((x > -0.5) & (x < scene.width - 0.5))
    return picture.image * inside[..., None], inside


def row(
    sampler: Sampler, random: Random, grain: np.random.SeedSequence
) -> tuple[NDArray[np.uint8], Array, Array, Array]:
    """One picture (192, 192, 3), points (2, 21, 2), visible (2, 21), present (2,)."""
    scene = sampler.scene(random)
    if random.random() < _PORTRAIT_SHARE and scene.width > scene.height:
        scene = _portrait(scene)
    scene = looks.dressed(scene, random, style=_STYLE, test=sampler.test)
    crop = _shown(random, scene)
    shown = random.random() >= _NOTHING_SHARE
    picture = draw(crop_scene(scene, crop, PALM_INPUT), grain, hands_shown=shown)
    image, inside = _letterboxed(picture, scene, crop)
    points, visible, present = np.zeros((2, 21, 2)), np.zeros((2, 21)), np.zeros(2)
    for hand in picture.hands if shown else ():
        side = SIDES.index(hand.pose.side)
        points[side] = hand.keypoints2d
        columns, rows = np.clip(np.rint(hand.keypoints2d), 0, PALM_INPUT - 1).astype(int).T
        visible[side] = hand.visible & inside[rows, columns]
        present[side] = _presence(picture, inside, side, points[side], visible[side])
    return image, points, visible, present


def _presence(picture: Picture, inside: NDArray[np.bool_], side: int, points: Array, visible: Array) -> int:
    if visible.sum() < _HARDLY_VISIBLE:
        return ABSENT
    extent = np.maximum(np.ptp(points, axis=0), 1.0)
    area = float(((picture.side == side + 1) & inside).sum()) / float(extent.prod())
    good = visible.sum() >= _MIN_VISIBLE and area >= _MIN_AREA and extent.max() >= _SMALLEST
    return THERE if good else HARDLY


def write_shard(folder: Path, seed: int, shard: int, rows: int, *, test: bool = False) -> float:
    """Write one shard; it appears under its name only when it is whole. Returns pictures a second."""
    started = time.perf_counter()
    random = np.random.default_rng(np.random.SeedSequence([seed, 77, int(test), shard]))
    sampler = Sampler(random, test=test, mixture=_MIXTURE, patterns=two_hands.load().chosen(test=test))
    made = []
    for number in range(rows):
        scene_seed, grain = np.random.SeedSequence([seed, 77, int(test), shard, number]).spawn(2)
        made.append(row(sampler, np.random.default_rng(scene_seed), grain))
    image, points, visible, present = zip(*made, strict=True)
    save_rows(folder, image, points, visible, present)
    return rows / (time.perf_counter() - started)


def save_rows(
    folder: Path,
    image: Sequence[NDArray[np.uint8]],
    points: Sequence[Array],
    visible: Sequence[Array],
    present: Sequence[Array],
) -> None:
    """Write a shard's folder whole."""
    unfinished = folder.with_name(folder.name + ".partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    np.save(unfinished / "image.npy", np.stack(image))
    np.save(unfinished / "points.npy", np.stack(points).astype(np.float32))
    np.save(unfinished / "visible.npy", np.stack(visible).astype(np.uint8))
    np.save(unfinished / "present.npy", np.stack(present).astype(np.uint8))
    unfinished.replace(folder)


def _job(task: tuple[Path, int, int, int, bool]) -> tuple[str, float]:
    cv2.setNumThreads(1)
    folder, seed, shard, rows, test = task
    return folder.name, write_shard(folder, seed, shard, rows, test=test)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    tasks = [
        (options.out / f"drawn-{options.seed:03d}-{k:05d}", options.seed, k, options.rows, False)
        for k in range(options.shards)
    ]
    tasks = [task for task in tasks if not task[0].exists()]
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for name, speed in pool.imap_unordered(_job, tasks):
            logging.info("%s: %.1f pictures/s", name, speed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
