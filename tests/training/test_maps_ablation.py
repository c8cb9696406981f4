# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of what real and drawn pictures are worth to the maps."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("numba")
pytest.importorskip("scipy")

from training.maps.ablation import HEAD, RUNS, line, table


def test_the_table_of_real_and_drawn_pictures() -> None:
    errors = dict.fromkeys(("overlap", "wrong_side", "code_median", "within", "pixels", "pixels_hidden"), 0.25)
    assert line("both", "real", errors) == "| both | real | 0.25 | 25 % | 0.250 | 0.25 | 0.2 | 0.2 |"
    told = table({name: {"drawn": errors, "real": errors} for name in RUNS}).splitlines()
    assert len(told) == 2 + 2 * len(RUNS) and told[0] == HEAD.splitlines()[0]
    # Each of the other two is what is left of the first without the one or the other.
    both, drawn, real = RUNS.values()
    assert set(both) == {*drawn, *real} and not set(drawn) & set(real)
