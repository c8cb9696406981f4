# SPDX-License-Identifier: GPL-3.0-or-later
"""Calibrate the confidence of observations: the coefficients of engine/see/confidence.npz.

    python -m training.mediapipe.confidence --rows training/runs/mediapipe_train.npz --judge TEST.npz [--out FILE]

A logistic model from what costs nothing to compute to whether the mean point error is below a tenth
of the hand's box. Prints how confidence and truth compare on the rows kept for testing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.see.confidence import COEFFICIENTS_FILE, FEATURES, RIGHT_SHARE, features
from blender_handmocap.engine.see.definitions import MEDIAPIPE, offsets
from blender_handmocap.engine.see.landmarks import SeenHand

from .offsets import error_shares

Array = NDArray[np.float64]
Rows = Mapping[str, NDArray[Any]]

_STEPS: Final = 50
_RIDGE: Final = 1.0
"""Prior on the coefficients of standardised features, counted as rows."""
_BINS: Final = 10
_DIRECTIONS: Final = {
    "presence": 1, "side": 1, "size": 1, "flatness": 1, "agreement": -1, "proportions": -1, "settled": -1, "inside": -1,
}  # fmt: skip
"""What each feature must speak for: a coefficient of the other sign would be chance, and is set to zero."""
_MOTION: Final = -2.0
"""Coefficient of motion, which drawn stills know nothing about: a jump by half a hand costs one logit."""


def features_of(rows: Rows) -> Array:
    """(N, 9) for every row."""
    return np.stack(
        [
            features(
                SeenHand(rows["crop"][i], rows["screen"][i], rows["world"][i], rows["presence"][i], rows["right"][i]),
                motion=0.0,
                width=int(rows["width"][i]),
                height=int(rows["height"][i]),
            )
            for i in range(len(rows["presence"]))
        ]
    )


def is_right(rows: Rows) -> NDArray[np.bool_]:
    """(N,) whether each hand was seen right; a hand where there is none was not."""
    known = np.isfinite(rows["scale"])
    right = np.zeros(len(known), bool)
    subset = {key: value[known] for key, value in rows.items()}
    right[known] = error_shares(subset, offsets(MEDIAPIPE)).mean(1) < RIGHT_SHARE
    return right


def fitted(values: Array, right: NDArray[np.bool_]) -> Array:
    """(10,) constant and coefficients, none against its direction; that of motion is given, not fitted."""
    used = [index for index, name in enumerate(FEATURES) if name in _DIRECTIONS]
    while True:
        found = logistic(values[:, used], right)
        wrong = [i for i, index in enumerate(used) if found[i + 1] * _DIRECTIONS[FEATURES[index]] < 0]
        if not wrong:
            break
        del used[max(wrong, key=lambda i: abs(found[i + 1]))]
    coefficients = np.zeros(len(FEATURES) + 1)
    coefficients[[0, *(index + 1 for index in used)]] = found
    coefficients[1 + FEATURES.index("motion")] = _MOTION
    return coefficients


def logistic(values: Array, right: NDArray[np.bool_]) -> Array:
    """(1 + F,) constant and coefficients of features (N, F) by Newton's method."""
    mean, spread = values.mean(0), np.maximum(values.std(0), 1e-6)
    design = np.column_stack([np.ones(len(values)), (values - mean) / spread])
    prior = np.append(0.0, np.full(values.shape[1], _RIDGE))
    weights = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        probability = 1.0 / (1.0 + np.exp(-design @ weights))
        gradient = design.T @ (probability - right) + prior * weights
        curvature = (design * (probability * (1 - probability))[:, None]).T @ design + np.diag(prior + 1e-9)
        weights = weights - np.linalg.solve(curvature, gradient)
    slopes = weights[1:] / spread
    return np.append(weights[0] - slopes @ mean, slopes)


def probabilities(coefficients: Array, values: Array) -> Array:
    """(N,)"""
    return np.asarray(1.0 / (1.0 + np.exp(-(coefficients[0] + values @ coefficients[1:]))))


def reliability(probability: Array, right: NDArray[np.bool_]) -> list[tuple[float, float, int]]:
    """(mean confidence, share that was right, rows) in bins of confidence."""
    bins = np.minimum((probability * _BINS).astype(int), _BINS - 1)
    present = [bins == index for index in range(_BINS) if (bins == index).any()]
    return [(float(probability[b].mean()), float(right[b].mean()), int(b.sum())) for b in present]


def calibration_error(probability: Array, right: NDArray[np.bool_]) -> float:
    """Expected calibration error: mean gap between confidence and truth over the bins."""
    return sum(abs(said - true) * count for said, true, count in reliability(probability, right)) / len(right)


def load_rows(path: Path) -> dict[str, NDArray[Any]]:
    """Rows of `samples`."""
    with np.load(path) as file:
        return {key: file[key] for key in file.files}


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--judge", type=Path, required=True, help="rows from sources kept for testing")
    parser.add_argument("--out", type=Path, default=COEFFICIENTS_FILE)
    chosen = parser.parse_args(arguments)
    rows, judged = load_rows(chosen.rows), load_rows(chosen.judge)
    coefficients = fitted(features_of(rows), is_right(rows))
    np.savez(chosen.out, features=np.array(FEATURES), coefficients=coefficients.astype(np.float32))
    for name, value in zip(("constant", *FEATURES), coefficients, strict=True):
        sys.stdout.write(f"{name:12s} {value:8.3f}\n")
    right = is_right(judged)
    probability = probabilities(coefficients, features_of(judged))
    sys.stdout.write(f"kept for testing: {len(right)} rows, {right.mean():.2f} right\n")
    for said, true, count in reliability(probability, right):
        sys.stdout.write(f"  said {said:.2f}  true {true:.2f}  ({count})\n")
    ours, presence = calibration_error(probability, right), calibration_error(judged["presence"], right)
    sys.stdout.write(f"calibration error {ours:.3f}; of the network's presence {presence:.3f}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
