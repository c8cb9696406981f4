# SPDX-License-Identifier: GPL-3.0-or-later
"""Contact sheets: small enough to commit, and mistakes in their names told."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("numba")

from training.footage import sheet


def test_a_sheet_is_shrunk_and_never_larger_than_allowed(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (700, 1400, 3)).astype(np.uint8)
    sheet._written(tmp_path / "noise.jpg", noise, 700)
    assert (tmp_path / "noise.jpg").stat().st_size <= sheet.LARGEST
    assert cv2.imread(str(tmp_path / "noise.jpg")).shape == (350, 700, 3)


def test_a_row_carries_its_name_above_and_stays_as_it_was() -> None:
    row = np.full((30, 200, 3), 90, np.uint8)
    named = sheet._named(row, "clasp")
    assert np.array_equal(named[-30:], row)
    assert (named[:-30] < 128).any()


def test_an_unknown_sheet_is_told_with_the_known_ones(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        sheet.main(["paterns", "--out", str(tmp_path)])
    told = capsys.readouterr().err
    assert "paterns" in told
    assert "patterns" in told
