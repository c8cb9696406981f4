# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw the pictures of DetNet's card: its learning curves, how its confidence compares, what it sees.

    python -m training.detnet.card --runs RUN RUN --shards TEST_DIR --model blender_handmocap/models/detnet.onnx

Needs matplotlib. The crops are drawn from sources kept for testing, from the best seen to the worst.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.names import KEYPOINT_PARENTS
from blender_handmocap.engine.see.detnet import Blend
from training.mediapipe.confidence import reliability

from .blend import Looked, drawn, is_right, kept, learned_of, look, signs

matplotlib.use("Agg")
from matplotlib import pyplot as plt

Array = NDArray[np.float64]

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "pictures"
_PALM: Final = 90.0
"""millimetres, wrist to middle knuckle of a grown-up's hand"""
_COLUMNS, _ROWS = 8, 4
_TRUTH, _SEEN = (90, 220, 90), (60, 140, 255)
_QUALITY: Final = 82


def curves(runs: Sequence[Path], out: Path) -> None:
    """Held-out errors over the crops seen, one run after the other."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2))
    before = 0
    for number, run in enumerate(runs):
        points = [json.loads(line) for line in (run / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
        seen, colour = [before + point["used"] for point in points], f"C{number}"
        for name, style, whose in (("aligned", "-", "all points"), ("aligned_hidden", ":", "hidden ones")):
            errors = [point[name] * _PALM for point in points]
            axes[0].plot(seen, errors, style, color=colour, label=whose if run is runs[0] else None)
        axes[1].plot(seen, [point["pixels"] for point in points], color=colour, label=run.name)
        before = seen[-1]
    axes[0].set_ylabel("PA, mm for a palm of 90")
    axes[1].set_ylabel("pixels of a 224 crop")
    for one in axes:
        one.set_xlabel("crops seen")
        one.grid(alpha=0.3)
        one.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(out, dpi=110)


def calibration(looked: Looked, blend: Blend, out: Path) -> None:
    """Confidence against how often it is right; expected errors of points against true ones."""
    every = looked.of(kept(looked))
    hands = every.of(every.own)
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.4))
    said = 1.0 / (1.0 + np.exp(-(blend.confidence[0] + signs(every) @ blend.confidence[1:])))
    bins = reliability(said, is_right(every, blend))
    axes[0].plot([a for a, _, _ in bins], [b for _, b, _ in bins], "o-")
    axes[0].plot([0, 1], [0, 1], "k:", lw=1)
    axes[0].set(xlabel="confidence of a hand", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
    expected = np.stack([one.error_2d for one in learned_of(hands)]).ravel()
    true = np.linalg.norm(np.stack([one.points for one in learned_of(hands)]) - hands.points2d, axis=-1).ravel()
    edges = np.quantile(expected, np.linspace(0, 1, 11))
    group = np.clip(np.searchsorted(edges, expected, side="right") - 1, 0, 9)
    axes[1].plot([expected[group == g].mean() for g in range(10)], [true[group == g].mean() for g in range(10)], "o-")
    axes[1].plot([0, edges[-1]], [0, edges[-1]], "k:", lw=1)
    axes[1].set(xlabel="expected error of a point, pixels of the crop", ylabel="true error")
    for one in axes:
        one.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(out, dpi=110)


def sheet(folder: Path, looked: Looked, blend: Blend, out: Path) -> None:
    """Crops from the best seen to the worst; green: truth, orange: DetNet alone."""
    chosen = np.flatnonzero(kept(looked) & looked.own)
    hands = looked.of(kept(looked) & looked.own)
    pixels = np.stack([one.points for one in learned_of(hands)])
    order = np.argsort(np.linalg.norm(pixels - hands.points2d, axis=-1).mean(1))
    images = np.load(folder / "image.npy", mmap_mode="r")
    picked = order[np.linspace(0, len(order) - 1, _COLUMNS * _ROWS).astype(int)]
    tiles = [_marked(np.array(images[chosen[i]]), hands.points2d[i], pixels[i]) for i in picked]
    rows = [np.hstack(tiles[r * _COLUMNS : (r + 1) * _COLUMNS]) for r in range(_ROWS)]
    cv2.imwrite(str(out), np.vstack(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])


def _marked(image: NDArray[np.uint8], truth: Array, seen: Array) -> NDArray[np.uint8]:
    for points, colour in ((truth, _TRUTH), (seen, _SEEN[::-1])):
        whole = np.round(points).astype(int)
        for k, parent in enumerate(KEYPOINT_PARENTS):
            if parent >= 0:
                cv2.line(image, whole[k].tolist(), whole[parent].tolist(), colour, 1, cv2.LINE_AA)
    return np.asarray(cv2.resize(image, (150, 150), interpolation=cv2.INTER_AREA), np.uint8)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=600, help="how many of the first crops are looked at")
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    curves(options.runs, options.out / "detnet_curves.png")
    folders = drawn(options.shards)[:1]
    looked, blend = look(folders, options.model, lambda count: np.arange(min(count, options.rows)))
    calibration(looked, blend, options.out / "detnet_calibration.png")
    sheet(folders[0], looked, blend, options.out / "detnet_crops.jpg")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
