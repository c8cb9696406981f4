# SPDX-License-Identifier: GPL-3.0-or-later
"""One line: how far a take is from the ground truth of its clip. Run by `build.py demo`.

python -m examples.demo_accuracy TAKE TRUTH
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measures import points
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.take import Take, load_take

MILLIMETRES = 1000.0


def accuracy(take: Take, truth: Take) -> str:
    """The hands of the truth that were found, and the mean errors of those."""
    own, common = _common_frames(take, truth)
    seen = wanted = 0
    predicted, true = [], []
    for side in SIDES:
        there = truth.track(side).present[common]
        found = there & take.track(side).present[own]
        # A frame the take does not reach counts as a hand not found.
        wanted, seen = wanted + int(truth.track(side).present.sum()), seen + int(found.sum())
        predicted.append(take.track(side).points[own][found])
        true.append(truth.track(side).points[common][found])
    if not seen:
        return f"Accuracy: none of the {wanted} hands of the ground truth was found."
    ours, theirs = np.concatenate(predicted) * MILLIMETRES, np.concatenate(true) * MILLIMETRES
    pose, turned = points.pa_mpjpe_mm(ours, theirs).mean(), points.root_mpjpe_mm(ours, theirs).mean()
    place = np.median(points.place_mm(ours, theirs))
    return (
        f"Accuracy against the clip's ground truth: {seen} of {wanted} hands found, "
        f"joints {pose:.1f} mm off in pose, {turned:.1f} mm with orientation, hands {place:.0f} mm in space (median)."
    )


def _common_frames(take: Take, truth: Take) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the same source frames in both."""
    _, own, common = np.intersect1d(take.frame, truth.frame, return_indices=True)
    return own, common


def main() -> int:
    """Write the line."""
    take, truth = (load_take(Path(argument)) for argument in sys.argv[1:3])
    sys.stdout.write(f"{accuracy(take, truth)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
