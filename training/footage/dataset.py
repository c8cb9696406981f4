# SPDX-License-Identifier: GPL-3.0-or-later
"""Training crops with full truth: a stream of them, or shards on disk, made by several processes.

    python -m training.footage.dataset --out DIR --shards 30 --rows 1000 --processes 2 [--test] [--seed 0]

Shard k holds the same rows whatever the number of processes, and is skipped when it is there: a
stopped run is resumed by the same command. Each shard is a folder:

    image.npy     (N, 224, 224, 3) u1   RGB crop, cut as the tracker cuts
    points2d.npy  (N, 21, 2) f4         crop pixels, integer = pixel centre
    points3d.npy  (N, 21, 3) f4         metres, axes of the crop's own camera (x right, y down, z along the crop's ray)
    visible.npy   (N, 21) u1            1 where the point is seen
    use_2d.npy    (N, 21) u1            0 where the label is not to be trusted
    flags.npy     (N, 3) u1             has 3D truth; shows a hand; of the side the crop was cut for
    second.npy    (N,) u1               another hand of the same scene is in the crop
    truth.npz     rotation (N, 16, 4), translation (N, 3) in the crop's camera, betas (N, 10), size (N,), K (N, 3, 3)
                  of the crop, box (N, 5) in the whole picture, mirrored (N,), situation seed (N, 3)

Rows without the hand the crop was cut for have zeros for truth: about one in twenty shows the other
hand, as when a tracker strays, and as many show none.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from . import looks, poses, two_hands
from .crops import CROP_SIZE, Crop, Jitter, draw_crop
from .scene import Scene
from .situations import Mixture, Sampler

Array = NDArray[np.float64]

NOTHING_SHARE: Final = 0.05
STRAY_SHARE: Final = 0.05
MIN_VISIBLE: Final = 5
"""Crops with fewer seen points are drawn anew."""
MIN_AREA: Final = 0.015
"""... and those of which the hand covers less than this share."""
_TRIES: Final = 12
_POOL: Final = 1500
"""poses that are drawn at once where they are not recorded ones"""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What a set of shards is made of; the same settings and seed give the same rows."""

    seed: int = 0
    test: bool = False
    style: looks.Style = looks.STANDARD
    mixture: Mixture = field(default_factory=Mixture)
    jitter: Jitter = field(default_factory=Jitter)
    recorded: bool = True
    """with recorded poses; without, what they are worth can be told"""


@dataclass(frozen=True)
class Row:
    """One training crop."""

    crop: Crop
    shows_hand: bool
    right_side: bool
    second: bool
    """another hand of the scene is in the crop"""
    seed: tuple[int, int, int]


def stream(settings: Settings, shard: int) -> Iterator[Row]:
    """Endless rows of one shard, always the same for the same settings."""
    start = np.random.SeedSequence([settings.seed, int(settings.test), shard])
    random = np.random.default_rng(start)
    touching = two_hands.load().chosen(test=settings.test) if two_hands.PATTERN_FILE.exists() else None
    given = None if settings.recorded else poses.sample(random, _POOL, test=settings.test, recorded=False)
    sampler = Sampler(random, test=settings.test, mixture=settings.mixture, patterns=touching, angles=given)
    number = 0
    while True:
        for attempt in range(_TRIES):
            seed = (shard, number, attempt)
            row = draw_row(settings, sampler, seed)
            if row is not None:
                yield row
                break
        number += 1


def draw_row(settings: Settings, sampler: Sampler, seed: tuple[int, int, int]) -> Row | None:
    """One row of a seed; None where too little of the hand is seen."""
    sequence = np.random.SeedSequence([settings.seed, int(settings.test), *seed])
    scene_seed, grain = sequence.spawn(2)
    random = np.random.default_rng(scene_seed)
    scene = looks.dressed(sampler.scene(random), random, style=settings.style, test=settings.test)
    hand = int(random.integers(len(scene.hands)))
    pick = random.random()
    if pick < NOTHING_SHARE:
        return _nothing(scene, hand, settings, random, grain, seed)
    crop = draw_crop(scene, hand, grain, jitter=settings.jitter)
    seen = crop.target.visible.sum() >= MIN_VISIBLE and (crop.picture.side == 2).mean() >= MIN_AREA
    if not seen:
        return None
    second = bool((crop.picture.side == 1).mean() > 0.003)
    if pick < NOTHING_SHARE + STRAY_SHARE and len(scene.hands) == 2:
        return _stray(crop, seed)
    return Row(crop, True, True, second, seed)


def _nothing(
    scene: Scene,
    hand: int,
    settings: Settings,
    random: np.random.Generator,
    grain: np.random.SeedSequence,
    seed: tuple[int, int, int],
) -> Row:
    """The same place without the hand: what a palm detector may take for one. Things and faces stay."""
    things = tuple(thing for thing in scene.look.things if thing.hand is None)
    if random.random() < 0.7:
        things += looks.sample_things(
            scene, random, replace(settings.style, held=0.0, in_front=0.7, face=0.5), test=settings.test
        )
        things = tuple(thing for thing in things if thing.hand is None)
    look = replace(scene.look, things=things, wear=())
    empty = replace(scene, look=look, hands_end=None)
    crop = draw_crop(empty, hand, grain, jitter=settings.jitter, hands_shown=False)
    return Row(crop, False, False, False, seed)


def _stray(crop: Crop, seed: tuple[int, int, int]) -> Row:
    """The crop as if it had been cut for the other hand: mirrored, so that it shows a left one."""
    picture = crop.picture.mirrored()
    index = crop.picture.hands.index(crop.target)
    return Row(replace(crop, picture=picture, target=picture.hands[index]), True, False, True, seed)


def write_shard(folder: Path, settings: Settings, shard: int, rows: int) -> float:
    """Write one shard; it appears under its name only when it is whole. Returns crops a second."""
    started = time.perf_counter()
    write_rows(folder, stream(settings, shard), rows)
    return rows / (time.perf_counter() - started)


def write_rows(folder: Path, drawn: Iterable[Row], rows: int) -> None:
    """Write the first `rows` of the rows `drawn`, which must be that many."""
    unfinished = folder.with_name(folder.name + ".partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    image = np.lib.format.open_memmap(
        unfinished / "image.npy", mode="w+", dtype=np.uint8, shape=(rows, CROP_SIZE, CROP_SIZE, 3)
    )
    labels = {
        "points2d": np.zeros((rows, 21, 2), np.float32),
        "points3d": np.zeros((rows, 21, 3), np.float32),
        "visible": np.zeros((rows, 21), np.uint8),
        "use_2d": np.zeros((rows, 21), np.uint8),
        "flags": np.zeros((rows, 3), np.uint8),
        "second": np.zeros(rows, np.uint8),
    }
    truth = {
        "rotation": np.tile(np.array([1.0, 0, 0, 0], np.float32), (rows, 16, 1)),
        "translation": np.zeros((rows, 3), np.float32),
        "betas": np.zeros((rows, 10), np.float32),
        "size": np.zeros(rows, np.float32),
        "K": np.zeros((rows, 3, 3), np.float32),
        "box": np.zeros((rows, 5), np.float32),
        "mirrored": np.zeros(rows, np.uint8),
        "seed": np.zeros((rows, 3), np.int64),
    }
    for i, row in zip(range(rows), drawn, strict=False):
        crop = row.crop
        image[i] = crop.picture.image
        own = row.shows_hand and row.right_side
        labels["flags"][i] = own, row.shows_hand, own
        labels["second"][i] = row.second
        truth["K"][i], truth["box"][i], truth["seed"][i] = crop.picture.scene.K, crop.box, row.seed
        truth["mirrored"][i] = crop.mirrored
        if own:
            labels["points2d"][i], labels["points3d"][i] = crop.target.keypoints2d, crop.points3d
            labels["visible"][i], labels["use_2d"][i] = crop.target.visible, 1
            truth["rotation"][i], truth["translation"][i] = crop.target.pose.rotation, crop.target.pose.translation
            truth["betas"][i], truth["size"][i] = crop.picture.scene.betas, crop.picture.scene.size or 0.0
    image.flush()
    np.savez_compressed(unfinished / "truth.npz", **truth)
    for name, values in labels.items():
        np.save(unfinished / f"{name}.npy", values)
    unfinished.replace(folder)


def _job(task: tuple[Path, Settings, int, int]) -> tuple[str, float]:
    cv2.setNumThreads(1)
    folder, settings, shard, rows = task
    return folder.name, write_shard(folder, settings, shard, rows)


def make(out: Path, settings: Settings, shards: int, rows: int, processes: int = 1) -> int:
    """Write the shards that are missing; how many those were."""
    side = "test" if settings.test else "train" if settings.recorded else "unrecorded"
    tasks = [(out / f"{side}-{settings.seed:03d}-{k:05d}", settings, k, rows) for k in range(shards)]
    tasks = [task for task in tasks if not task[0].exists()]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for done, (name, speed) in enumerate(pool.imap_unordered(_job, tasks), start=1):
            _log.info("%s: %.1f crops/s (%d of %d)", name, speed, done, len(tasks))
    return len(tasks)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shards", type=int, default=10)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test", action="store_true", help="draw from the sources kept for testing")
    parser.add_argument("--no-recordings", action="store_true", help="single hands in poses that nobody recorded")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = Settings(seed=options.seed, test=options.test, recorded=not options.no_recordings)
    make(options.out, settings, options.shards, options.rows, options.processes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
