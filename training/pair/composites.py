# SPDX-License-Identifier: GPL-3.0-or-later
"""Shards of crops around real hands: two cut-outs laid over each other, one alone, and streets without any.

    python -m training.pair.composites --fitted FITTED.npz --data DIR --out SHARDS/composites-000-00000
        [--pictures 800] [--crops 3] [--single 0.2] [--sheet SHEET.jpg]

Hands that `training.detnet.fitted` keeps are pasted as for DetNet and cut as the drawn ones are, with the labels of
`training.pair.shards --maps`: places and forms of both hands are those of their fits, those of covered points, too;
regions are the hands' own masks. How two hands that never met stand to each other is said of none (`Laid`), but
which one lies in front. Every eighth stretch of hands is seen in the last pictures alone, on which no run trains.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.see.crops import Image, cut, turned
from blender_handmocap.engine.see.fusion import ray_rotation
from training.detnet.composites import backdrop, cutout_of, worn
from training.detnet.fitted import FittedHands
from training.detnet.real import empty
from training.footage.compositing import Composite, Cutout, composed
from training.footage.crops import CROP_SIZE, crop_matrix
from training.footage.cutouts import laid, pasted
from training.footage.render import SIDE_LABEL

from .pictures import LEAST_INSIDE, Laid, Situations, Truth, cells, palm_length, strayed
from .shards import LABELS, LAID, MAPS, write_rows

Array = NDArray[np.float64]
Random = np.random.Generator
Row = tuple[Image, Truth]

_ALONE: Final = 0.2
"""share of pictures that show one hand, unless told otherwise"""
_NOTHING: Final = 0.06
"""... and of those that show none"""
_HELD_BACK: Final = 10
"""pictures at the end that no run trains on"""
_STRETCH: Final = 8
"""hands that follow each other in the file are much alike"""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Placed:
    """A pasted hand in a crop."""

    piece: Cutout
    matrix: Array
    """(2, 3) canvas pixels to crop pixels"""
    places: Array
    """(21, 2) crop pixels"""
    points: Array
    """(21, 3) metres, axes of the crop's camera: where a hand of the mean size would be seen like that"""


def placed(piece: Cutout, crop: Array, focal: float) -> Placed:
    """A pasted hand as a crop (5,) shows it, before a camera of a focal length in crop pixels."""
    assert piece.points3d is not None
    matrix = crop_matrix(crop)
    places = piece.keypoints2d @ matrix[:, :2].T + matrix[:, 2]
    turn = np.eye(3)
    turn[:2, :2] = turned(float(crop[4])).T
    shares = (places - CROP_SIZE / 2) / focal
    # Seen beside the middle of the crop as it was seen in the middle of its own picture.
    axes = ray_rotation(np.append(shares.mean(0), 1.0))
    form = (piece.points3d - piece.points3d[0]) @ turn.T @ axes.T
    return Placed(piece, matrix, places, form + _distance(form, shares))


def focal_of(piece: Cutout) -> float:
    """Pixels: the focal length at which a hand's points are seen where they are."""
    assert piece.points3d is not None
    rays, places = piece.points3d[:, :2] / piece.points3d[:, 2:], piece.keypoints2d
    rays, places = rays - rays.mean(0), places - places.mean(0)
    return float((rays * places).sum() / (rays**2).sum())


def _distance(form: Array, shares: Array) -> Array:
    """(3,) where a form (21, 3) must be to be seen at shares (21, 2) of its distance, by least squares."""
    ones, zeros = np.ones(len(form)), np.zeros(len(form))
    design = np.concatenate(
        [np.stack([ones, zeros, -shares[:, 0]], axis=1), np.stack([zeros, ones, -shares[:, 1]], axis=1)]
    )
    seen = np.concatenate([shares[:, k] * form[:, 2] - form[:, k] for k in range(2)])
    found: Array = np.linalg.lstsq(design, seen, rcond=None)[0]
    return found


def truth_of(made: Composite, crop: Array) -> Truth:
    """What is known of a crop (5,) of pasted hands."""
    focals = [focal_of(piece) for piece in made.cutouts]
    focal = float(np.exp(np.mean(np.log(np.maximum(focals, 1.0))))) * CROP_SIZE / float(crop[2])
    truth = Truth.of_none(palm_length(np.zeros(10)))
    row, column, within = cells(crop_matrix(crop), *made.side.shape)
    sides = np.where(within, made.side[row, column], 0).astype(np.uint8)
    for piece, seen in zip(made.cutouts, made.visible, strict=True):
        slot, hand = SIDES.index(piece.side), placed(piece, crop, focal)
        shown = ((hand.places >= -0.5) & (hand.places <= CROP_SIZE - 0.5)).all(-1)
        mine = sides == SIDE_LABEL[piece.side]
        if shown.sum() < LEAST_INSIDE:
            sides[mine] = 0
            continue
        truth.present[slot] = 1
        truth.points2d[slot], truth.points3d[slot], truth.visible[slot] = hand.places, hand.points, seen & shown
        assert piece.surface is not None and piece.points3d is not None
        truth.surface[mine] = piece.surface[row, column][mine]
        truth.depth[mine] = (piece.depth[row, column] - piece.points3d[0, 2])[mine] + hand.points[0, 2]
    both = bool(truth.present.all())
    return replace(truth, pair=both, sides=sides, laid=_order(made) if both else Laid.DRAWN)


def _order(made: Composite) -> Laid:
    by_side = {piece.side: float(np.median(piece.depth[piece.mask > 0.5])) for piece in made.cutouts}
    return Laid.LEFT_IN_FRONT if by_side["left"] < by_side["right"] else Laid.RIGHT_IN_FRONT


def alone(random: Random, piece: Cutout, behind: Image) -> Composite:
    """One cut-out on a square backdrop."""
    size = behind.shape[0]
    piece = piece.mirrored() if random.random() < 0.5 else piece
    return composed(behind, [laid(random, piece, size * random.uniform(0.4, 0.6, 2), size)])


def crops(made: Composite, situations: Situations, random: Random, count: int) -> Iterator[Row]:
    """Crops of one picture as trackers of different skill might cut them, every other one in the mirror."""
    image = worn(made.image, random)
    for _ in range(count):
        crop = strayed([points.copy() for points in made.keypoints2d], situations, random)
        shown, truth = cut(image, crop, CROP_SIZE, replicate=True), truth_of(made, crop)
        if random.random() < 0.5:
            shown, truth = np.ascontiguousarray(shown[:, ::-1]), truth.mirrored()
        yield shown, truth


def no_hands(image: Image) -> Row:
    """A crop of a street."""
    return image, Truth.of_none(palm_length(np.zeros(10)))


def rows(
    hands: FittedHands, streets: Sequence[Image], random: Random, pictures: int, count: int, single: float = _ALONE
) -> Iterator[Row]:
    """`count` crops of each of so many pictures, a share of them of a `single` hand; one of `streets` is shown once."""
    held = np.arange(len(hands)) // _STRETCH % _STRETCH == _STRETCH - 1
    situations, left = Situations(), list(streets)
    for number in range(pictures):
        last = held if held.any() and number >= pictures - _HELD_BACK else ~held
        pool = np.flatnonzero(last)
        if len(left) >= count and random.random() < _NOTHING:
            yield from (no_hands(left.pop()) for _ in range(count))
            continue
        pick = random.choice(pool, 2, replace=len(pool) < 2)
        behind = backdrop(random)
        if random.random() < single:
            made = alone(random, cutout_of(hands, int(pick[0])), behind)
        else:
            made = pasted(random, [cutout_of(hands, int(index)) for index in pick], behind)
        yield from crops(made, situations, random, count)


def sheet(folder: Path, count: int = 24) -> Image:
    """Rows of a shard with their points (left red, right blue; hidden ones small) beside their regions and depth."""
    names = ("image", "points2d", "visible", "present", "sides", "depth", LAID)
    columns = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
    colours = np.array([[0, 0, 0], [255, 90, 60], [60, 140, 255]], np.uint8)
    tiles = []
    for index in np.linspace(0, len(columns["image"]) - 1, count).astype(int):
        tile = columns["image"][index].copy()
        for slot in range(len(SIDES)):
            if columns["present"][index, slot]:
                for place, seen in zip(columns["points2d"][index, slot], columns["visible"][index, slot], strict=True):
                    at = (round(float(place[0])), round(float(place[1])))
                    cv2.circle(tile, at, 3 if seen else 1, colours[slot + 1].tolist(), -1, cv2.LINE_AA)
        sides, depth = columns["sides"][index], columns["depth"][index]
        shown = depth[sides > 0]
        middle = float(np.median(shown)) if len(shown) else 0.0
        light = np.clip(0.6 - (depth - middle) / 0.2, 0.15, 1.0)[..., None]
        regions = (colours[sides] * light).astype(np.uint8)
        size = (CROP_SIZE, CROP_SIZE)
        tiles.append(np.hstack([tile, cv2.resize(regions, size, interpolation=cv2.INTER_NEAREST)]))
    return np.vstack([np.hstack(tiles[k : k + 4]) for k in range(0, len(tiles) - 3, 4)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fitted", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=800)
    parser.add_argument("--crops", type=int, default=3)
    parser.add_argument("--single", type=float, default=_ALONE, help="share of pictures that show one hand")
    parser.add_argument("--sheet", type=Path, help="a picture of some rows, to look at")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    cv2.setNumThreads(1)
    random, hands = np.random.default_rng([options.seed, 71]), FittedHands.read(options.fitted)
    count = options.pictures * options.crops
    streets = list(empty(options.data, int(_NOTHING * count), random))
    made = rows(hands, streets, random, options.pictures, options.crops, options.single)
    write_rows(options.out, made, count, (*LABELS, LAID, *MAPS))
    if options.sheet is not None:
        cv2.imwrite(str(options.sheet), np.ascontiguousarray(sheet(options.out)[:, :, ::-1]))
    log.info("%d rows of %d hands", count, len(hands))
    return 0


if __name__ == "__main__":
    sys.exit(main())
