# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure where MediaPipe sees the joints of our hand: the 21 x 3 table of engine/see/mediapipe_offsets.npz.

    python -m training.mediapipe.offsets --rows training/runs/mediapipe_train.npz [--judge TEST.npz] [--out FILE]

Every seen hand with known pose gives two linear equations a keypoint for its offset in the hinge
frame of the joint it moves with (see engine/see/definitions.py); outliers are weighted down.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.free import free_hinges
from blender_handmocap.engine.hand.names import KEYPOINT_COUNT, KEYPOINT_NAMES, SIDES
from blender_handmocap.engine.see.definitions import MEDIAPIPE, OFFSET_JOINTS, OFFSETS_FOLDER

Array = NDArray[np.float64]
Rows = Mapping[str, NDArray[Any]]

OUT: Final = OFFSETS_FOLDER / f"{MEDIAPIPE}_offsets.npz"

_WORST: Final = 0.2
"""Mean error, in shares of the hand's box, from which a hand was not seen right and says nothing."""
_TOLERANCE: Final = 0.03
"""Errors beyond this share of the box count less and less."""
_ROUNDS: Final = 15
_RIDGE: Final = 1e-6


def fitted(rows: Rows) -> Array:
    """(21, 3) metres in hinge frames of a right hand of the model's own size."""
    usable = well_seen(rows)
    jacobian = offset_jacobians(rows)[usable]
    extent = extents(rows)[usable]
    residual = (rows["screen"][..., :2] - rows["points2d"])[usable]
    table = np.zeros((KEYPOINT_COUNT, 3))
    for _ in range(_ROUNDS):
        left = residual - np.einsum("nkab,kb->nka", jacobian, table)
        share = np.linalg.norm(left, axis=-1) / extent[:, None] / _TOLERANCE
        # Small hands have fewer pixels of the same error.
        weight = rows["visible"][usable] / (1.0 + share**2) ** 2 / extent[:, None] ** 2
        normal = np.einsum("nk,nkai,nkaj->kij", weight, jacobian, jacobian)
        normal += _RIDGE * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(3)
        moment = np.einsum("nk,nkai,nka->ki", weight, jacobian, residual)
        table = np.linalg.solve(normal, moment[..., None])[..., 0]
    return table


def well_seen(rows: Rows) -> NDArray[np.bool_]:
    """(N,) rows on the right hand, of the right side, roughly in place."""
    error = np.linalg.norm(rows["screen"][..., :2] - rows["points2d"], axis=-1).mean(1) / extents(rows)
    same_side = (rows["right"] > 0.5) == rows["true_right"]
    return np.asarray((error < _WORST) & same_side)


def extents(rows: Rows) -> Array:
    """(N,) longer side of the true hand's box, pixels."""
    return np.asarray(np.ptp(rows["points2d"], axis=1).max(1))


def offset_jacobians(rows: Rows) -> Array:
    """(N, 21, 2, 3) pixels a metre of offset."""
    x, y, z = np.moveaxis(rows["points3d"], -1, 0)
    focal = rows["K"][:, None, 0, 0]
    zero = np.zeros_like(z)
    image = np.stack(
        [np.stack([focal / z, zero, -focal * x / z**2], -1), np.stack([zero, focal / z, -focal * y / z**2], -1)], -2
    )
    frames = np.stack([_frames(side) for side in SIDES])[rows["true_right"].astype(int)]
    world = rows["orientation"][:, list(OFFSET_JOINTS)] @ frames
    return image @ world * rows["scale"][:, None, None, None]


def _frames(side: str) -> Array:
    """(21, 3, 3) hinge frames of the joints the keypoints move with; negated for the left hand (see definitions)."""
    frames = free_hinges("left" if side == "left" else "right").frame[list(OFFSET_JOINTS)]
    return -frames if side == "left" else frames


def error_shares(rows: Rows, table: Array) -> Array:
    """(N, 21) distance of seen points from true ones with offsets, in shares of the true hand's box."""
    expected = rows["points2d"] + np.einsum("nkab,kb->nka", offset_jacobians(rows), table)
    return np.linalg.norm(rows["screen"][..., :2] - expected, axis=-1) / extents(rows)[:, None]


def load_rows(path: Path) -> dict[str, NDArray[Any]]:
    """Rows of `samples` that have a true hand."""
    with np.load(path) as file:
        rows = {key: file[key] for key in file.files}
    known = np.isfinite(rows["scale"])
    return {key: value[known] for key, value in rows.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--judge", type=Path, help="rows from sources kept for testing")
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args(arguments)
    rows = load_rows(chosen.rows)
    table = fitted(rows)
    np.savez(chosen.out, offsets=np.round(table, 5).astype(np.float32))
    for name, row in zip(KEYPOINT_NAMES, table, strict=True):
        sys.stdout.write(f"{name:8s} {np.round(row * 1e3, 1)} mm\n")
    for label, judged in (("fitted on", rows), ("kept for testing", load_rows(chosen.judge) if chosen.judge else None)):
        if judged is not None:
            usable = well_seen(judged)
            before, after = (error_shares(judged, t)[usable].mean() * 100 for t in (np.zeros_like(table), table))
            sys.stdout.write(
                f"{label}: {usable.sum()} hands, 2D error {before:.2f} % of the box, {after:.2f} % with offsets\n"
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
