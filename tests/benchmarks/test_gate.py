# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate on difficulty: which sets must be how hard, and rows that are easy though their set passes."""

from benchmarks import gate
from benchmarks.figures import Figures


def told(error):
    figures = Figures()
    figures.set("pa_mpjpe_mm", error)
    return {gate.JUDGED: figures}


def test_touching_hands_must_be_harder():
    assert gate.least_pa_mm("two_touching") == 20.0
    assert gate.least_pa_mm("one_hand") == gate.least_pa_mm("one_hand_hard") == 18.0


def test_an_easy_row_is_named():
    lines = gate.rows({"seen families": told(32.4), "unseen families": told(13.2), "cycles": told(None)}, 18.0)
    assert lines.splitlines() == [
        "  seen families: 32.4 mm", "  unseen families: 13.2 mm, an easy row", "  cycles: nothing measured",
    ]  # fmt: skip
