# SPDX-License-Identifier: GPL-3.0-or-later
"""CSV: one row a frame and hand, for spreadsheets and other programs."""

from __future__ import annotations

import csv
from pathlib import Path

from ..hand.names import JOINT_NAMES, KEYPOINT_NAMES, SIDES
from ..take import State, Take

HEADER = [
    "frame", "time_s", "side", "state", "confidence", "wrist_x_m", "wrist_y_m", "wrist_z_m",
    *(f"{name}_q{part}" for name in JOINT_NAMES for part in "wxyz"),
    *(f"{name}_{axis}_m" for name in KEYPOINT_NAMES for axis in "xyz"),
]  # fmt: skip


def write_csv(take: Take, path: Path) -> None:
    """Rows only for frames in which the hand is there; metres, camera axes, quaternions w,x,y,z."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for index in range(len(take)):
            for side in SIDES:
                track = take.track(side)
                if not track.present[index]:
                    continue
                numbers = [*track.translation[index], *track.rotation[index].ravel(), *track.points[index].ravel()]
                writer.writerow(
                    [
                        int(take.frame[index]),
                        f"{take.time[index]:.6f}",
                        side,
                        State(int(track.state[index])).name.lower(),
                        f"{track.confidence[index]:.4f}",
                        *(f"{number:.7g}" for number in numbers),
                    ]
                )
