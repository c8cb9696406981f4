# SPDX-License-Identifier: GPL-3.0-or-later
"""Crops of two real hands over each other: cut-outs of fitted hands, pasted in the order of their depth.

    python -m training.detnet.composites --fitted FITTED.npz --out SHARDS/composites-000-00000 [--rows N]

The labels are the fit's points in the picture, those the other hand covers, too: there both hands were seen
before one was laid over the other. Depth has no label. About one row in ten is cut for the hand that is not
there: it shows a hand of the wrong side.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.names import FOREARM_PART
from blender_handmocap.engine.see.crops import HAND_INPUT, Image, cut
from blender_handmocap.engine.see.fusion import ray_rotation
from training.footage import looks, scenery
from training.footage.compositing import Cutout
from training.footage.crops import Jitter, crop_matrix, jittered
from training.footage.cutouts import pasted, spread
from training.footage.lens import develop
from training.footage.render import SIDE_LABEL, draw

from .fitted import FittedHands
from .real import Labelled, write

CANVAS: Final = 448
"""pixels a side of the pictures that hands are pasted into"""
_STRAY_SHARE: Final = 0.1
_LINEAR: Final = ((np.arange(256) / 255.0) ** 2.2).astype(np.float32)
_WEAR: Final = replace(looks.STANDARD, dark=0.0, coarse=0.2)
"""of the lens: photographs are worn already"""

log = logging.getLogger(__name__)


def cutout_of(hands: FittedHands, index: int) -> Cutout:
    """One fitted hand, ready to be pasted."""
    scene, side = hands.scene(index), hands.side(index)
    drawn = draw(scene, quality="plain")
    truth = drawn.hands[0]
    axes = ray_rotation(np.append(truth.keypoints3d.mean(0)[:2] / truth.keypoints3d.mean(0)[2], 1.0))
    hand = (drawn.side == SIDE_LABEL[side]) & (drawn.part != 1 + FOREARM_PART)
    rows, columns = np.mgrid[: scene.height, : scene.width]
    rays = np.stack([(columns - scene.K[0, 2]) / scene.K[0, 0], (rows - scene.K[1, 2]) / scene.K[1, 1]], axis=-1)
    along = (rays @ axes[:2, 2] + axes[2, 2]).astype(np.float32)
    return Cutout(
        image=hands.image[index],
        # Without its outermost pixels, which hold some of what lay behind.
        mask=cv2.erode(hands.mask[index], np.ones((3, 3), np.uint8)).astype(np.float32),
        depth=spread(drawn.depth * along, hand),
        side=side,
        keypoints2d=truth.keypoints2d,
        visible=truth.visible,
        points3d=truth.keypoints3d @ axes,
        surface=spread(drawn.correspondence, hand),
    )


def backdrop(random: np.random.Generator) -> Image:
    """What hands are pasted over."""
    behind = scenery.backdrop(looks.sample_backdrop(random, _WEAR), CANVAS, CANVAS)
    return np.asarray(np.clip(behind ** (1 / 2.2) * 255.0, 0, 255), np.uint8)


def row(pieces: Sequence[Cutout], random: np.random.Generator) -> tuple[Labelled, bool]:
    """A crop of one of two pasted hands, and whether it is of the side that it was cut for."""
    made = pasted(random, pieces, backdrop(random))
    target = int(random.integers(2))
    points = made.keypoints2d[target]
    box = jittered(points, Jitter(), random)
    matrix = crop_matrix(box)
    shown = cut(worn(made.image, random), box, HAND_INPUT, replicate=True)
    inside = points @ matrix[:, :2].T + matrix[:, 2]
    stray = bool(random.random() < _STRAY_SHARE)
    # Crops show right hands; one that was cut for the other hand shows a left one.
    if (made.sides[target] == "left") != stray:
        shown, inside = shown[:, ::-1], inside * [-1, 1] + [HAND_INPUT - 1, 0]
    use = np.full(21, not stray)
    return Labelled(np.ascontiguousarray(shown), inside, use), not stray


def worn(image: Image, random: np.random.Generator) -> Image:
    """The picture as another camera would deliver it."""
    return develop(_LINEAR[image], looks.sample_lens(random, _WEAR), random, quick=True)


def sheet(images: NDArray[np.uint8], points: NDArray[np.floating], count: int = 24) -> NDArray[np.uint8]:
    """The first rows with their points, RGB."""
    tiles = []
    for image, mine in zip(images[:count], points[:count], strict=True):
        tile = image.copy()
        for x, y in mine[mine.any(-1)]:
            cv2.circle(tile, (round(float(x)), round(float(y))), 2, (60, 255, 60), -1)
        tiles.append(tile)
    return np.vstack([np.hstack(tiles[k : k + 6]) for k in range(0, len(tiles) - 5, 6)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fitted", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--sheet", type=Path, help="a picture of the first ones, to look at")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    cv2.setNumThreads(1)
    random, hands = np.random.default_rng(options.seed), FittedHands.read(options.fitted)
    pieces = [cutout_of(hands, index) for index in range(len(hands))]
    made = [row(pieces, random) for _ in range(options.rows)]
    write(options.out, [one for one, _ in made], [], random, of_side=[right for _, right in made])
    if options.sheet is not None:
        images, points = (np.load(options.out / f"{name}.npy", mmap_mode="r") for name in ("image", "points2d"))
        cv2.imwrite(str(options.sheet), np.ascontiguousarray(sheet(images, points)[:, :, ::-1]))
    log.info("%d rows of %d hands", options.rows, len(hands))
    return 0


if __name__ == "__main__":
    sys.exit(main())
