# SPDX-License-Identifier: GPL-3.0-or-later
"""Contact sheets of random training pictures, to look at: docs/pictures/footage_*.jpg.

    python -m training.footage.sheet [--seed 0] [--out docs/pictures]

footage_crops.jpg: 100 training crops as they are. footage_maps.jpg: some of them with side, part,
depth, surface coordinates and keypoints (green seen, red hidden).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from .dataset import Row, Settings, stream

Image = NDArray[np.uint8]

_COLUMNS: Final = 10
_MAPPED: Final = 8
_PARTS: Final = np.random.default_rng(3).integers(60, 255, (18, 3)).astype(np.uint8) * (np.arange(18) > 0)[:, None]
_SIDES: Final = np.array([[0, 0, 0], [80, 140, 255], [255, 150, 60]], np.uint8)


def mapped(row: Row) -> Image:
    """One crop beside its maps (H, 6 W, 3)."""
    picture = row.crop.picture
    points = picture.image.copy()
    for (x, y), seen in zip(row.crop.target.keypoints2d, row.crop.target.visible, strict=True):
        cv2.circle(points, (round(x), round(y)), 3, (60, 220, 60) if seen else (230, 50, 50), -1, cv2.LINE_AA)
    shown = picture.depth > 0
    near, far = (picture.depth[shown].min(), picture.depth[shown].max()) if shown.any() else (0.0, 1.0)
    depth = np.where(shown, 255 - 200 * (picture.depth - near) / max(far - near, 1e-6), 0)
    low, high = np.array([-0.19, -0.06, -0.07]), np.array([0.24, 0.04, 0.08])
    place = np.clip((picture.correspondence - low) / (high - low), 0, 1) * 255 * (picture.side > 0)[..., None]
    grey = np.repeat(depth[..., None], 3, axis=2)
    tiles = [picture.image, points, _SIDES[picture.side], _PARTS[picture.part].astype(np.uint8), grey, place]
    return np.hstack([tile.astype(np.uint8) for tile in tiles])


def sheets(seed: int, count: int = 100) -> tuple[Image, Image]:
    """The sheet of crops and the sheet of maps, RGB."""
    rows = list(islice(stream(Settings(seed=seed), 0), count))
    tiles = [row.crop.picture.image for row in rows]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % _COLUMNS)
    crops = np.vstack([np.hstack(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)])
    hands = [row for row in rows if row.shows_hand][:_MAPPED]
    return crops, np.vstack([mapped(row) for row in hands])


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, image in zip(("crops", "maps"), sheets(options.seed, options.count), strict=True):
        small = cv2.resize(image, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(options.out / f"footage_{name}.jpg"), small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return 0


if __name__ == "__main__":
    sys.exit(main())
