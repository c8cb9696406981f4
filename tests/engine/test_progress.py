# SPDX-License-Identifier: GPL-3.0-or-later
"""What people read while they wait."""

import io

import pytest

from blender_handmocap.engine.progress import Progress, Reporter, Stage, describe


@pytest.mark.parametrize(("stage", "done", "total", "rate", "left", "words"), [
    ("seeing", 120, 600, 45.1, 10.6, "Seeing 120/600 frames, 45.1/s, 11 s left"),
    ("seeing", 3, None, 0.0, None, "Seeing 3 frames"),
    ("solving", 36, 36, 80.0, 0.0, "Solving 36/36 hands, 80.0/s"),
    ("writing", 1, 20, 0.0, None, "Writing 1/20 frames"),
])  # fmt: skip
def test_a_line_says_what_is_known(
    stage: Stage, done: int, total: int | None, rate: float, left: float | None, words: str
) -> None:
    assert describe(Progress(stage, done, total), rate=rate, left=left) == words


def test_every_stage_begins_and_ends_on_a_line_of_its_own() -> None:
    stream = io.StringIO()
    reporter = Reporter("lines", stream)
    stages: tuple[Stage, ...] = ("seeing", "solving")
    for stage in stages:
        for done in range(1, 11):
            reporter(Progress(stage, done, 10))
    lines = stream.getvalue().splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["Seeing", "1/10"], ["Seeing", "10/10"], ["Solving", "1/10"], ["Solving", "10/10"],
    ]  # fmt: skip
