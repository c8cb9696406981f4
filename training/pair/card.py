# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures for the card: held-out crops with what was known of the hands and what is read of them; the worst ones.

python -m training.pair.card --shards DIR --model blender_handmocap/models/pair_crop.onnx --out docs/pictures
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.names import KEYPOINT_PARENTS
from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.detnet import DetNet
from blender_handmocap.engine.see.pair_crop import PAIR_TRUNK_MODEL
from training.detnet.shards import find
from training.detnet.trunk import TAPS

from .files import INPUTS
from .followed import Following
from .learn import Data, told

_COLOURS: Final = ((255, 96, 64), (64, 160, 255))
"""left, right"""
_COLUMNS: Final = 8
_ROWS: Final = 3
_BATCH: Final = 30


def read(model: Path, data: Data, index: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
    """What was known of the hands of rows ("seen", crop pixels) and the file's outputs."""
    runtime = Runtime.choose("cpu", 1)
    trunk, heads = runtime.network(PAIR_TRUNK_MODEL, outputs=list(TAPS)), runtime.network_from(model)
    definition = DetNet.load(runtime).blend.definition
    random = np.random.default_rng(2)
    parts: dict[str, list[NDArray[np.float32]]] = {}
    for start in range(0, len(index), _BATCH):
        rows = index[start : start + _BATCH]
        known, _ = told(data, rows, definition, random, Following(exchanged=0.0))
        given = [values.numpy() for values in known]
        out = heads(dict(zip(INPUTS, [*trunk(data.images(rows)).values(), *given], strict=True)))
        for name, values in {**out, "seen": given[0] * 224.0 - 0.5, "known": given[2][:, 6:8]}.items():
            parts.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in parts.items()}


def drawn(image: NDArray[np.uint8], points: NDArray[np.float32], shown: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A crop with the bones of both hands (2, 21, 2), of those that are `shown` (2,)."""
    out = cv2.resize(image, None, fx=1.0, fy=1.0)
    for slot, colour in enumerate(_COLOURS):
        for child, parent in enumerate(KEYPOINT_PARENTS) if shown[slot] else []:
            ends = [tuple(int(value) for value in np.rint(points[slot, max(k, 0)])) for k in (child, parent)]
            cv2.line(out, ends[0], ends[1], colour, 1, cv2.LINE_AA)
    return np.asarray(out, np.uint8)


def sheet(tiles: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Tiles in rows."""
    rows = [np.concatenate(tiles[k : k + _COLUMNS], axis=1) for k in range(0, len(tiles), _COLUMNS)]
    return np.concatenate(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    data = Data(find(options.shards, complete=list(TAPS)[-1]))
    rows = data.validation[::3]
    rows = rows[data.labels["pair"][rows] > 0]
    said = read(options.model, data, rows)
    off = np.linalg.norm(said["points"] - data.labels["points2d"][rows], axis=-1).mean((1, 2))
    for name, chosen in (
        ("pair_crops.jpg", np.linspace(0, len(rows) - 1, _COLUMNS * _ROWS // 2).astype(int)),
        ("pair_worst.jpg", np.argsort(-off)[: _COLUMNS * _ROWS // 2]),
    ):
        tiles = []
        for k in chosen:
            image = data.images(rows[k : k + 1])[0]
            tiles.append(drawn(image, said["seen"][k], said["known"][k] > 0))
            tiles.append(drawn(image, said["points"][k], np.ones(2, bool)))
        cv2.imwrite(str(options.out / name), sheet(tiles)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
