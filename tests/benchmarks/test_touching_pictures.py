# SPDX-License-Identifier: GPL-3.0-or-later
"""Which frames of touching hands are shown as the worst."""

from __future__ import annotations

import numpy as np

from benchmarks.touching_pictures import Frame, sheet, worst


def frame(clip: str, index: int, error: float) -> Frame:
    return Frame(clip, index, error, np.full((200, 400, 3), index, np.uint8))


def test_the_worst_frames_are_of_several_clips_and_not_neighbours() -> None:
    frames = [frame("a", i, 100.0 - i) for i in range(5)] + [frame("b", 9, 50.0), frame("c", 1, 97.5)]
    assert [(one.clip, one.index) for one in worst(frames, 4)] == [("a", 0), ("a", 2), ("c", 1), ("b", 9)]
    assert [(one.clip, one.index) for one in worst(frames, 1)] == [("a", 0)]


def test_a_sheet_has_full_rows() -> None:
    shown = sheet([frame("a", i, 1.0) for i in range(1, 6)])
    assert shown.shape == (400, 1600, 3)
    assert shown[0, 0, 0] == 1 and shown[250, 50, 0] == 5 and shown[250, 1000, 0] == 0
