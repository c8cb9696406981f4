# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the shared trunk over shards once and keep its taps, so that heads train without it.

python -m training.detnet.taps --shards DIR
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from blender_handmocap.engine.hand.free import HAND_FILE

from .shards import find
from .trunk import TAPS

log = logging.getLogger(__name__)

HAND_NETWORK = HAND_FILE.with_name("mediapipe_hand.onnx")
_BATCH = 16


def session(threads: int) -> onnxruntime.InferenceSession:
    """The converted hand network."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(HAND_NETWORK), options, providers=["CPUExecutionProvider"])


def compute(folder: Path, network: onnxruntime.InferenceSession, taps: Sequence[str] = tuple(TAPS)) -> int:
    """Write a shard's features_*.npy; the last one appears only when all are whole. Returns the rows."""
    images = np.load(folder / "image.npy", mmap_mode="r")
    names = list(taps)
    stores = {}
    for start in range(0, len(images), _BATCH):
        for name, values in zip(names, network.run(names, {"image": images[start : start + _BATCH]}), strict=True):
            if name not in stores:
                stores[name] = np.lib.format.open_memmap(
                    folder / f"{name}.tmp", "w+", np.float16, (len(images), *values.shape[1:])
                )
            stores[name][start : start + len(values)] = values
    for name, store in stores.items():
        store.flush()
        (folder / f"{name}.tmp").replace(folder / f"{name}.npy")
    return len(images)


def compute_missing(root: Path, network: onnxruntime.InferenceSession) -> None:
    """Write the taps of every whole shard under `root` that has none."""
    for folder in find(root):
        if not (folder / f"{list(TAPS)[-1]}.npy").exists():
            start = time.monotonic()
            rows = compute(folder, network)
            log.info("%s: %d crops, %.0f/s", folder.name, rows, rows / (time.monotonic() - start))


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    compute_missing(options.shards, session(options.threads))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
