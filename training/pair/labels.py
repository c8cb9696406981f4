# SPDX-License-Identifier: GPL-3.0-or-later
"""What DetNet's shards say about both hands, without drawing them again: one file of labels a shard.

A row's seed makes its scene once more; the crop and the hand it was cut for are in the shard, and
the scene must agree with them. Keys (hands in the order of SIDES, as the crop shows them):

    known (N,) u1              the row can be used
    present (N, 2) u1          the crop holds that hand, seen or hidden behind the other
    points2d (N, 2, 21, 2) f4  crop pixels, integer = pixel centre
    points3d (N, 2, 21, 3) f4  metres, axes of a camera that looks along the crop's own ray
    palm (N,) f4               palm length of the performer, metres
    gap (N, 6, 6) f4           metres between CONTACT_PARTS of the left and of the right hand, at most mesh_gap.FAR

python -m training.pair.labels --shards DIR --out DIR
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.names import CONTACT_PARTS, SIDES
from training.detnet.shards import find
from training.footage import mesh_gap, two_hands
from training.footage.crops import CROP_SIZE, crop_scene, ray_rotation
from training.footage.dataset import Settings
from training.footage.scene import HandPose
from training.footage.situations import Sampler
from training.footage.surface import hand_model

log = logging.getLogger(__name__)

Array = NDArray[np.float64]

LEAST_INSIDE: Final = 8
"""points of a hand that must lie in the crop for it to be there"""
_SAME: Final = 1e-3
"""largest difference of quaternions, and of places in metres, between the scene made again and the shard"""
LEFT: Final = SIDES.index("left")
RIGHT: Final = SIDES.index("right")


@dataclass(frozen=True)
class Other:
    """The hand beside the one a crop was cut for, in the crop's terms."""

    points2d: Array
    points3d: Array
    gap: Array


def labels_of(folder: Path, settings: Settings) -> dict[str, NDArray[Any]]:
    """The labels of one shard that was written with these settings."""
    truth = dict(np.load(folder / "truth.npz"))
    flags, second = np.load(folder / "flags.npy"), np.load(folder / "second.npy")
    count = len(flags)
    own, empty = flags[:, 0] > 0, flags[:, 1] == 0
    out: dict[str, NDArray[Any]] = {
        "known": (own | empty).astype(np.uint8),
        "present": np.zeros((count, 2), np.uint8),
        "points2d": np.zeros((count, 2, 21, 2), np.float32),
        "points3d": np.zeros((count, 2, 21, 3), np.float32),
        "palm": np.ones(count, np.float32),
        "gap": np.full((count, len(CONTACT_PARTS), len(CONTACT_PARTS)), mesh_gap.FAR, np.float32),
    }
    out["present"][own, RIGHT] = 1
    out["points2d"][own, RIGHT] = np.load(folder / "points2d.npy")[own]
    out["points3d"][own, RIGHT] = np.load(folder / "points3d.npy")[own]
    for row in np.flatnonzero(own):
        rest = hand_model("right").rest(truth["betas"][row].astype(np.float64), float(truth["size"][row]) or None)
        out["palm"][row] = rest.palm_length
    sampler = _sampler(settings, int(truth["seed"][0, 0]))
    for row in np.flatnonzero(own & (second > 0)):
        other = _other(sampler, settings, truth, row)
        if other is None:
            out["known"][row] = 0
            continue
        inside = ((other.points2d >= 0) & (other.points2d < CROP_SIZE)).all(-1).sum()
        if inside >= LEAST_INSIDE:
            out["present"][row, LEFT] = 1
            out["points2d"][row, LEFT], out["points3d"][row, LEFT] = other.points2d, other.points3d
            out["gap"][row] = other.gap
    return out


def _sampler(settings: Settings, shard: int) -> Sampler:
    """As the shard's own, so that the same seeds draw the same scenes."""
    random = np.random.default_rng(np.random.SeedSequence([settings.seed, int(settings.test), shard]))
    patterns = two_hands.load().chosen(test=settings.test)
    return Sampler(random, test=settings.test, mixture=settings.mixture, patterns=patterns)


def _other(sampler: Sampler, settings: Settings, truth: dict[str, NDArray[Any]], row: int) -> Other | None:
    """None where the scene made again is not the one that was drawn."""
    seed = [settings.seed, int(settings.test), *(int(part) for part in truth["seed"][row])]
    scene = sampler.scene(np.random.default_rng(np.random.SeedSequence(seed).spawn(2)[0]))
    if len(scene.hands) != len(SIDES):
        return None
    hands = crop_scene(scene, truth["box"][row].astype(np.float64)).hands
    if truth["mirrored"][row]:
        hands = tuple(hand.mirrored() for hand in hands)
    by_side = {hand.side: hand for hand in hands}
    right, left = by_side["right"], by_side["left"]
    moved = np.abs(right.translation - truth["translation"][row]).max()
    turned = np.abs(right.rotation - truth["rotation"][row]).max()
    if max(moved, turned) > _SAME:
        return None
    points = _keypoints(left, scene.betas, scene.size)
    K = truth["K"][row].astype(np.float64)
    projected = points[:, :2] / np.maximum(points[:, 2:], 1e-6) * [K[0, 0], K[1, 1]] + K[:2, 2]
    meshes = [_mesh(hand, scene.betas, scene.size) for hand in (right, left)]
    gap = mesh_gap.measure_meshes(*meshes)[2]
    return Other(projected, points @ ray_rotation(K).T, gap)


def _keypoints(hand: HandPose, betas: Array, size: float | None) -> Array:
    model = hand_model(hand.side)
    return model.pose(hand.rotation[None], hand.translation[None], model.rest(betas, size)).keypoints[0]


def _mesh(hand: HandPose, betas: Array, size: float | None) -> Array:
    model = hand_model(hand.side)
    return model.vertices(hand.rotation[None], hand.translation[None], model.rest(betas, size))[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0, help="the seed the shards were written with")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options.out.mkdir(parents=True, exist_ok=True)
    for folder in find(options.shards):
        target = options.out / f"{folder.name}.npz"
        if target.exists():
            continue
        began = time.monotonic()
        labels = labels_of(folder, Settings(seed=options.seed, test=folder.name.startswith("test")))
        temporary = target.with_suffix(".tmp.npz")
        np.savez_compressed(temporary, **labels)
        temporary.replace(target)
        both = int((labels["present"].sum(1) == len(SIDES)).sum())
        lost = int(len(labels["known"]) - labels["known"].sum())
        log.info("%s: %d with both hands, %d unknown, %.0f s", folder.name, both, lost, time.monotonic() - began)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
