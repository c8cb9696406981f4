# SPDX-License-Identifier: GPL-3.0-or-later
"""How many pictures a second the renderer makes on this machine.

    python -m training.footage.speed [--processes 2] [--pictures 60] [--size 224]

Draws the same two-hand scenes with everything on ("full") and without the dear effects ("plain"),
and says what else the machine was doing: the load, and the share of a core each process got.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from .looks import PLAIN, STANDARD, dressed
from .render import Quality, draw
from .scene import Scene
from .situations import Mixture, Sampler

_TWO_HANDS = Mixture(touching=0.5, near=0.5, apart=0.0, nearest=0.35, farthest=0.6)


def _scenes(seed: int, count: int, size: int, quality: Quality) -> list[Scene]:
    random = np.random.default_rng(seed)
    sampler = Sampler(random, mixture=_TWO_HANDS, pool=60)
    scenes = []
    for _ in range(count):
        scene = dressed(sampler.scene(random), random, style=STANDARD if quality == "full" else PLAIN)
        # A square picture in which the hands fill most of the width.
        middle = np.mean([hand.translation for hand in scene.hands], axis=0)
        focal = 1.6 * size * middle[2] / 0.45
        centre = (size - 1) / 2 - focal * middle[:2] / middle[2]
        K = np.array([[focal, 0.0, centre[0]], [0.0, focal, centre[1]], [0.0, 0.0, 1.0]])
        scenes.append(replace(scene, K=K, width=size, height=size))
    return scenes


def _timed(task: tuple[int, int, int, Quality]) -> tuple[float, float]:
    """Wall and processor seconds for the pictures of one process, after a first round that loads and compiles."""
    seed, count, size, quality = task
    cv2.setNumThreads(1)
    scenes = _scenes(seed, count, size, quality)
    for scene in scenes:
        draw(scene, quality=quality)
    wall, processor = time.perf_counter(), time.process_time()
    for number, scene in enumerate(scenes):
        draw(scene, number, quality=quality)
    return time.perf_counter() - wall, time.process_time() - processor


def measure(processes: int, pictures: int, size: int) -> dict[str, dict[str, float]]:
    """Pictures a second by the clock, and a processor second, for both qualities."""
    out = {}
    for quality in ("full", "plain"):
        tasks: list[tuple[int, int, int, Quality]] = [(seed, pictures, size, quality) for seed in range(processes)]  # type: ignore[misc]
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            times = pool.map(_timed, tasks, chunksize=1)
        wall, processor = max(t for t, _ in times), sum(t for _, t in times)
        out[quality] = {
            "images_per_second": processes * pictures / wall,
            "images_per_cpu_second": processes * pictures / processor,
            "cpu_share": processor / (processes * wall),
        }
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--size", type=int, default=224)
    options = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    measured = measure(options.processes, options.pictures, options.size)
    result = {
        "size": options.size,
        "processes": options.processes,
        "cores": os.cpu_count(),
        "load_before": load,
        "load_after": os.getloadavg()[0],
        **measured,
    }
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
