# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures for the card: held-out crops with what was known, true and said regions, true and said surface.

python -m training.maps.card --shards DIR --run DIR --out docs/pictures
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from training.detnet.shards import find
from training.detnet.trunk import TAPS as TRUNK_TAPS

from .data import MapData
from .export import load
from .surface import colours

_SIZE: Final = 168
_ROWS: Final = 6
_COLOURS: Final = np.array([[0, 0, 0], [255, 96, 64], [64, 160, 255]], np.uint8)
"""no hand, left, right"""


def tile(image: NDArray[np.uint8], known: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A crop with the known points (2, 21, 2), shares of the crop."""
    out = cv2.resize(image, (_SIZE, _SIZE))
    for slot in range(2):
        for x, y in known[slot] * _SIZE:
            cv2.circle(out, (round(float(x)), round(float(y))), 2, _COLOURS[slot + 1].tolist(), -1, cv2.LINE_AA)
    return np.asarray(out, np.uint8)


def grown(cells: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(56, 56, 3) as large as a tile."""
    return np.asarray(cv2.resize(cells, (_SIZE, _SIZE), interpolation=cv2.INTER_NEAREST), np.uint8)


@torch.no_grad()
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    data = MapData(find(options.shards, complete=list(TRUNK_TAPS)[-1]))
    rows = data.base.validation
    rows = rows[data.base.labels["pair"][rows] > 0]
    rows = rows[:: max(len(rows) // (2 * _ROWS), 1)][: 2 * _ROWS]
    _, maps = data.targets(rows)
    points, known = data.told(rows)
    out = load(options.run).heads(data.features(rows), points, known)
    lines = []
    for k, image in enumerate(data.images(rows)):
        tiles = [tile(image, np.where(known[k, :, None, None] > 0, points[k], -9.0).astype(np.float32))]
        answers = ((maps.classes[k], maps.code[k]), (out["logits"][k].argmax(0), out["code"][k]))
        tiles += [grown(_COLOURS[classes.numpy()]) for classes, _ in answers]
        for classes, code in answers:
            shown = colours(code.permute(1, 2, 0).numpy())
            shown[classes.numpy() == 0] = 0
            tiles.append(grown(shown))
        lines.append(np.concatenate(tiles, axis=1))
    sheet = np.concatenate([np.concatenate(lines[:_ROWS]), np.concatenate(lines[_ROWS:])], axis=1)
    cv2.imwrite(str(options.out / "maps_crops.jpg"), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
