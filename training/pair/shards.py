# SPDX-License-Identifier: GPL-3.0-or-later
"""Shards of crops around both hands: made by several processes, resumed by the same command.

    python -m training.pair.shards --out DIR --shards 20 --pictures 400 [--crops 3] [--maps] [--test] [--seed 0]

Shard k holds the same rows whatever the number of processes, and is skipped when it is there. Each is a folder:

    image.npy        (N, 224, 224, 3) u1   RGB crop
    present.npy      (N, 2) u1             hands in the order of SIDES, as the crop shows them
    pair.npy         (N,) u1               a left and a right hand that belong together
    points2d.npy     (N, 2, 21, 2) f4      crop pixels, integer = pixel centre
    points3d.npy     (N, 2, 21, 3) f4      metres, axes of a camera that looks along the crop's own ray
    visible.npy      (N, 2, 21) u1
    palm.npy         (N,) f4               metres
    gap.npy          (N, 6, 6) f4          metres between CONTACT_PARTS of the left and of the right hand
    sides.npy        (N, 56, 56) u1        0 no hand, 1 left, 2 right
    strangers.npy    (N,) u1               two hands of one side: `points2d` and the like say nothing
    laid.npy         (N,) u1               how two real hands came together (`Laid`); missing: all rows are drawn
    surface.npy      (N, 56, 56, 3) f4     with --maps: point of the canonical right hand at rest, metres, 0: no hand
    depth.npy        (N, 56, 56) f4        with --maps: metres along the crop's own ray, 0: no hand
    features_*.npy                         the trunk's taps, made with the shard

The crops of one picture stand together.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import multiprocessing
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from training.detnet.taps import compute, session
from training.footage import two_hands
from training.footage.crops import CROP_SIZE
from training.footage.situations import Sampler

from .pictures import Situations, Truth, drawn_crops

LABELS: Final = ("present", "pair", "strangers", "points2d", "points3d", "visible", "palm", "gap", "sides")
LAID: Final = "laid"
MAPS: Final = ("surface", "depth")
_TRIES: Final = 12

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What a set of shards is made of; the same settings and seed give the same rows."""

    seed: int = 0
    test: bool = False
    crops: int = 3
    """cut from each picture"""
    situations: Situations = field(default_factory=Situations)
    maps: bool = False
    """keep what every cell shows as well"""


def stream(settings: Settings, shard: int) -> Iterator[list[tuple[NDArray[np.uint8], Truth]]]:
    """The crops of one picture after the other, always the same for the same settings."""
    start = [settings.seed, int(settings.test), shard]
    random = np.random.default_rng(np.random.SeedSequence(start))
    patterns = two_hands.load().chosen(test=settings.test)
    sampler = Sampler(random, test=settings.test, mixture=settings.situations.mixture, patterns=patterns)
    number = 0
    while True:
        for attempt in range(_TRIES):
            seed = np.random.SeedSequence([*start, number, attempt])
            made = drawn_crops(sampler, settings.situations, seed, settings.crops, test=settings.test)
            if made is not None:
                yield made
                break
        number += 1


def write_shard(folder: Path, settings: Settings, shard: int, pictures: int) -> float:
    """Write one shard with its taps. Returns crops a second."""
    started = time.perf_counter()
    rows = pictures * settings.crops
    made = itertools.chain.from_iterable(itertools.islice(stream(settings, shard), pictures))
    write_rows(folder, made, rows, (*LABELS, *(MAPS if settings.maps else ())))
    return rows / (time.perf_counter() - started)


def write_rows(folder: Path, made: Iterable[tuple[NDArray[np.uint8], Truth]], count: int, names: Sequence[str]) -> None:
    """Write `count` crops as a shard with its taps; it appears under its name only when it is whole."""
    unfinished = folder.with_name(folder.name + ".partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    image = np.lib.format.open_memmap(
        unfinished / "image.npy", mode="w+", dtype=np.uint8, shape=(count, CROP_SIZE, CROP_SIZE, 3)
    )
    truths: list[Truth] = []
    for shown, truth in itertools.islice(made, count):
        image[len(truths)] = shown
        truths.append(truth)
    image.flush()
    for name in names:
        np.save(unfinished / f"{name}.npy", _column(truths, name))
    compute(unfinished, session(1))
    unfinished.replace(folder)


def read_labels(folder: Path) -> dict[str, NDArray[Any]]:
    """The labels of a shard, by name."""
    labels = {name: np.load(folder / f"{name}.npy") for name in LABELS}
    laid = folder / f"{LAID}.npy"
    labels[LAID] = np.load(laid) if laid.exists() else np.zeros(len(labels["palm"]), np.uint8)
    return labels


def _column(truths: Sequence[Truth], name: str) -> NDArray[Any]:
    values = np.array([getattr(truth, name) for truth in truths])
    return values.astype(np.float32) if values.dtype == np.float64 else values.astype(np.uint8)


def _job(task: tuple[Path, Settings, int, int]) -> tuple[str, float]:
    cv2.setNumThreads(1)
    folder, settings, shard, pictures = task
    return folder.name, write_shard(folder, settings, shard, pictures)


def make(out: Path, settings: Settings, shards: Sequence[int], pictures: int, processes: int = 1) -> int:
    """Write the shards that are missing; how many those were."""
    side = "test" if settings.test else "train"
    tasks = [(out / f"{side}-{settings.seed:03d}-{k:05d}", settings, k, pictures) for k in shards]
    tasks = [task for task in tasks if not task[0].exists()]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for done, (name, speed) in enumerate(pool.imap_unordered(_job, tasks), start=1):
            log.info("%s: %.1f crops/s (%d of %d)", name, speed, done, len(tasks))
    return len(tasks)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shards", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="number of the first shard")
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--crops", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--maps", action="store_true", help="keep what every cell shows as well")
    parser.add_argument("--test", action="store_true", help="draw from the sources kept for testing")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    settings = Settings(seed=options.seed, test=options.test, crops=options.crops, maps=options.maps)
    shards = range(options.first, options.first + options.shards)
    make(options.out, settings, shards, options.pictures, options.processes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
