# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the palm detector's trunk over shards once, each picture as it is and mirrored, and keep its taps.

    python -m training.regions.taps --shards DIR

Both looks are changed in colour, light and noise first, since the trunk is frozen and cached taps cannot be. Writes
beside a shard's pictures trunk_24.npy, features_24.npy, features_12.npy (N, 2, C, S, S) f2; disposable.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.palms import PALM_MODEL

log = logging.getLogger(__name__)

TAPS: Final = {"trunk_24": 128, "features_24": 128, "features_12": 256}
"""Channels of each tap."""
GRID: Final = {"trunk_24": 24, "features_24": 24, "features_12": 12}

Image = NDArray[np.uint8]


def changed(image: Image, random: np.random.Generator) -> Image:
    """The picture (192, 192, 3) in another light, before another camera; what is black stays black."""
    light = image.astype(np.float32) / 255.0
    if random.random() < 0.7:
        light = light ** float(np.exp(random.normal() * 0.25))
        light = light * np.exp(random.normal(size=3) * 0.07 + random.normal() * 0.2).astype(np.float32)
    if random.random() < 0.12:
        light = light * float(random.uniform(0.15, 0.6))
    if random.random() < 0.15:
        grey = light.mean(2, keepdims=True)
        light = grey + (light - grey) * float(random.uniform(0.0, 0.8))
    if random.random() < 0.25:
        light = cv2.GaussianBlur(light, (0, 0), float(random.uniform(0.3, 1.2)))
    if random.random() < 0.3:
        noise = random.normal(size=light.shape).astype(np.float32) * float(random.exponential(0.02))
        light = light + noise * (image.max(2, keepdims=True) > 0)
    return np.clip(light * 255.0 + 0.5, 0, 255).astype(np.uint8)


def compute(folder: Path, runtime: Runtime, seed: int = 0) -> int:
    """Write a shard's taps; the rows."""
    network = runtime.network(PALM_MODEL, outputs=tuple(TAPS))
    images = np.load(folder / "image.npy")
    random = np.random.default_rng([seed, len(images)])
    stores = {
        name: np.lib.format.open_memmap(
            folder / f"{name}.tmp", "w+", np.float16, (len(images), 2, width, GRID[name], GRID[name])
        )
        for name, width in TAPS.items()
    }
    for i, image in enumerate(images):
        looks = np.stack([changed(image, random), changed(image[:, ::-1], random)])
        for name, values in network(looks).items():
            stores[name][i] = values
    for name, store in stores.items():
        store.flush()
        (folder / f"{name}.tmp").replace(folder / f"{name}.npy")
    return len(images)


def compute_missing(root: Path, runtime: Runtime) -> None:
    """Write the taps of every whole shard under `root` that has none."""
    for folder in find(root):
        if not (folder / f"{list(TAPS)[-1]}.npy").exists():
            log.info("%s: %d pictures", folder.name, compute(folder, runtime))


def find(root: Path) -> list[Path]:
    """Folders under `root` that hold a whole shard, in name order."""
    return sorted(path.parent for path in root.glob("*/present.npy") if path.parent.suffix != ".partial")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cv2.setNumThreads(1)
    compute_missing(options.shards, Runtime.choose("cpu", 1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
