# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine's own eyes say of the hands of a shard's crops, kept beside its labels.

    python -m training.pair.eyes --shards SHARDS [--only train-006] [--processes 1]

Hands that touch are seen wrongly in ways of their own: two hands as one, a hand where half of the other one is, fingers
of both. No drawn noise is like that, and the errors that the eyes state tell little of it. So each hand of a crop is
followed there as a tracker would: looked for near its place, then once more where it was seen. `eyes.npz` of a shard:

    asked       (N, 2) u1         the hand is there and was looked for; hands in the order of SIDES
    known       (N, 2) u1         it was seen, or something that was taken for it
    points      (N, 2, 21, 2) f4  crop shares, in the definition of a take's points
    error       (N, 2, 21) f4     stated, the same unit
    form        (N, 2, 21, 3) f4  palm lengths from the wrist, axes of a camera that looks along the crop's own ray
    form_error  (N, 2, 21) f4
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import sys
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.hand.names import KEYPOINT_COUNT
from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.crops import Image, crop_of_hand
from blender_handmocap.engine.see.detnet import DetNet
from blender_handmocap.engine.see.fusion import observed
from blender_handmocap.engine.see.judge import load_or_explain as load_judge
from blender_handmocap.engine.see.landmarks import HandNetwork, SeenHand
from blender_handmocap.engine.see.pair_crop import PRESENT, Expected, in_crop
from blender_handmocap.engine.see.pair_given import SeenPair
from blender_handmocap.engine.see.tracker import are_same_hand
from training.detnet.shards import find
from training.detnet.trunk import TAPS

from .heads import CROP, HANDS
from .losses import targets
from .shards import read_labels

Array = NDArray[np.float64]

EYES: Final = "eyes.npz"
_SHIFT: Final = 0.07
_SIZE: Final = 0.1
_TURN: Final = 0.15
"""by which a tracker's crop strays from where the hand is: its sides, logarithm, radians"""
_LATE: Final = 0.25
"""share of the hands whose crop is an old one ..."""
_LATER: Final = 2.5
"""... and strays so much more"""
_OTHER_SIDE: Final = 0.06
"""share of the hands that are followed as if they were of the other side"""
_WHOLE: Final = np.array([CROP / 2, CROP / 2, CROP, CROP, 0.0])

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EyesSaid:
    """What the eyes said of both hands of B crops; arrays as in SeenPair."""

    asked: NDArray[np.bool_]
    """(B, 2) hands that were looked for"""
    known: NDArray[np.bool_]
    """(B, 2)"""
    points: Array
    error: Array
    form: Array
    form_error: Array

    def rows(self, index: NDArray[np.int64]) -> EyesSaid:
        """Those crops, in full precision."""
        return EyesSaid(
            self.asked[index] > 0,
            self.known[index] > 0,
            *(np.asarray(getattr(self, name)[index], np.float64) for name in _SAID),
        )


_SAID: Final = ("points", "error", "form", "form_error")
_SHAPES: Final[dict[str, tuple[int, ...]]] = {
    "asked": (HANDS,),
    "known": (HANDS,),
    "points": (HANDS, KEYPOINT_COUNT, 2),
    "error": (HANDS, KEYPOINT_COUNT),
    "form": (HANDS, KEYPOINT_COUNT, 3),
    "form_error": (HANDS, KEYPOINT_COUNT),
}


def read_eyes(folders: Sequence[Path], counts: Sequence[int]) -> EyesSaid:
    """What was said of all rows of shards of so many rows each; of those that the eyes did not look at, nothing."""
    parts: list[Mapping[str, NDArray[Any]]] = []
    for folder, count in zip(folders, counts, strict=True):
        file = folder / EYES
        if file.exists():
            with np.load(file, allow_pickle=False) as kept:
                parts.append({name: kept[name] for name in _SHAPES})
        else:
            parts.append({name: np.zeros((count, *shape), np.float32) for name, shape in _SHAPES.items()})
    return EyesSaid(**{name: np.concatenate([part[name] for part in parts]) for name in _SHAPES})


class Eyes:
    """Follows the hands of crops as the engine would."""

    def __init__(self) -> None:
        runtime = Runtime.choose("cpu", 1)
        detnet = DetNet.load(runtime)
        judge, note = load_judge(runtime)
        if judge is None:
            raise SystemExit(note)
        self._blend = detnet.blend
        self._hands = HandNetwork(runtime, detnet, judge)

    def look(self, image: Image, places: Sequence[Array | None], focal: float, random: np.random.Generator) -> SeenPair:
        """What is seen of the hands of a crop (224, 224, 3) at places (21, 2), its pixels; None: no hand is there."""
        seen = [self._follow(image, place, slot, random) for slot, place in enumerate(places)]
        left, right = seen
        if left is not None and right is not None and are_same_hand(left, right):
            # Of two tracks on one hand one is left: the surer one.
            seen = [left, None] if left.there >= right.there else [None, right]
        middle = (CROP - 1) / 2
        camera = Camera(np.array([[focal, 0, middle], [0, focal, middle], [0, 0, 1.0]]), np.zeros(5), CROP, CROP)
        size = CROP, CROP
        expected = [
            None if hand is None else Expected.of(observed(hand, camera, self._blend, motion=0.0, size=size), slot)
            for slot, hand in enumerate(seen)
        ]
        return in_crop(expected, _WHOLE, camera)[0]

    def _follow(self, image: Image, place: Array | None, slot: int, random: np.random.Generator) -> SeenHand | None:
        """The hand of a slot of SIDES."""
        if place is None:
            return None
        crop, stray = crop_of_hand(place), _LATER if random.random() < _LATE else 1.0
        shift, size, turn = random.normal(size=2) * _SHIFT, random.normal() * _SIZE, random.normal() * _TURN
        crop[:2] += shift * stray * crop[2]
        crop[2:4] *= np.exp(size * stray)
        crop[4] += turn * stray
        right = float(slot) if random.random() >= _OTHER_SIDE else 1.0 - slot
        hand = self._hands.look(image, [crop], [right])[0]
        if hand.there >= PRESENT / 2:
            hand = self._hands.look(image, [hand.followed_crop], [right])[0]
        return hand if hand.there >= PRESENT else None


def write(folder: Path) -> float:
    """Look at all crops of a shard. Returns crops a second."""
    started = time.perf_counter()
    labels, images = read_labels(folder), np.load(folder / "image.npy", mmap_mode="r")
    truth = targets(labels)
    asked = truth.known.numpy() > 0
    eyes, random = Eyes(), np.random.default_rng(zlib.crc32(folder.name.encode()))
    said: list[SeenPair] = []
    for row, image in enumerate(images):
        places = [labels["points2d"][row, slot].astype(np.float64) if asked[row, slot] else None for slot in (0, 1)]
        said.append(eyes.look(np.ascontiguousarray(image), places, float(truth.focal[row]) * CROP, random))
    kept = {f.name: np.concatenate([getattr(one, f.name) for one in said]) for f in fields(SeenPair)}
    unfinished = folder / f"{EYES}.partial.npz"
    np.savez(
        unfinished,
        asked=asked.astype(np.uint8),
        known=kept["known"].astype(np.uint8),
        **{name: kept[name].astype(np.float32) for name in _SAID},
    )
    unfinished.replace(folder / EYES)
    return len(images) / (time.perf_counter() - started)


def _job(folder: Path) -> tuple[str, float]:
    cv2.setNumThreads(1)
    return folder.name, write(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--only", default="", help="how the names of the shards begin")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    folders = [
        folder
        for folder in find(options.shards, complete=list(TAPS)[-1])
        if folder.name.startswith(options.only) and not (folder / EYES).exists()
    ]
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for done, (name, speed) in enumerate(pool.imap_unordered(_job, folders), start=1):
            log.info("%s: %.1f crops/s (%d of %d)", name, speed, done, len(folders))
    return 0


if __name__ == "__main__":
    sys.exit(main())
