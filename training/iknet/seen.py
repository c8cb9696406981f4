# SPDX-License-Identifier: GPL-3.0-or-later
"""What DetNet really says of hands it was not trained on, for IKNet: the role of 3DPosData in Zhou et al. 2020.

    python -m training.iknet.seen --shards DIR --model detnet.onnx --out TRAIN.npz --judge JUDGE.npz [--whole]

Rows are those that no run of DetNet trains on: the held-out ends of drawn shards, or with `--whole` all rows of
shards that were made after it. Every fifth goes to `--judge` and is never trained on. Points are those that a
capture would have: blended with MediaPipe's, in MediaPipe's definition.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.see.crops import HAND_INPUT
from blender_handmocap.engine.see.definitions import MEDIAPIPE
from blender_handmocap.engine.see.fusion import observed
from training.detnet.blend import drawn, kept, look
from training.detnet.shards import held_out

from .batches import Observed

JUDGED: Final = 5
"""every so manieth row is kept for judging"""


def observations(folders: Sequence[Path], model: Path, *, whole: bool) -> Observed:
    """What the engine sees in rows of drawn shards, with their truth."""

    def rows_of(count: int) -> NDArray[np.int64]:
        return np.arange(count) if whole else held_out(count)

    looked, blend = look(folders, model, rows_of)
    truth: dict[str, list[NDArray[np.floating]]] = {name: [] for name in ("K", "rotation", "betas")}
    for folder in folders:
        with np.load(folder / "truth.npz") as file:
            for name, parts in truth.items():
                parts.append(file[name][rows_of(len(file[name]))].astype(np.float64))
    K, rotation, betas = (np.concatenate(parts) for parts in truth.values())
    usable = np.flatnonzero(kept(looked) & looked.own)
    points, error = np.empty((len(usable), 21, 3)), np.empty((len(usable), 21))
    for number, i in enumerate(usable):
        camera = Camera(K=K[i], dist=np.zeros(5), width=HAND_INPUT, height=HAND_INPUT)
        one = observed(looked.seen[i], camera, blend, motion=0.0, size=(HAND_INPUT, HAND_INPUT))
        points[number], error[number] = one.points3d, one.sigma3d
    return Observed(points, error, rotation[usable], betas[usable], MEDIAPIPE)


def some(hands: Observed, rows: NDArray[np.bool_]) -> Observed:
    """Those of the hands."""
    return Observed(hands.points[rows], hands.error[rows], hands.rotation[rows], hands.betas[rows], hands.definition)


def save(hands: Observed, path: Path) -> None:
    """As `Observed.read` wants it."""
    np.savez_compressed(path, **vars(hands))


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--whole", action="store_true", help="all rows: shards that DetNet never saw")
    options = parser.parse_args(arguments)
    hands = observations(drawn(options.shards), options.model, whole=options.whole)
    judges = np.arange(len(hands.points)) % JUDGED == 0
    save(some(hands, ~judges), options.out)
    save(some(hands, judges), options.judge)
    sys.stdout.write(f"{(~judges).sum()} hands to train on, {judges.sum()} to judge by\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
