# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables on top of the page, and the list of keys."""

import json

from benchmarks import overview, report
from benchmarks.keys import MEASURES

FIGURES = {"set": "two_views", "mode": "best", "revision": "abc", "n": 3, "frames": 2}


def told_of(**methods):
    every = {method: {**dict.fromkeys(MEASURES), **values} for method, values in methods.items()}
    return {**FIGURES, "mediapipe": None, **every}


def test_only_what_was_measured_is_shown(tmp_path):
    kept = overview.kept({}, told_of(ours={"found": 0.5, "pa_mpjpe_mm": 7.25}, mediapipe={"found": 0.25}))
    kept = overview.kept(
        kept, {**told_of(ours={"found": 1.0, "ms_per_frame_mean": 20.0}), "set": "small", "mode": "live"}
    )
    overview.write(kept, tmp_path / "figures.json")
    assert overview.read(tmp_path / "figures.json") == kept == json.loads((tmp_path / "figures.json").read_text())
    text = overview.tables(kept, ("small", "two_views"))
    assert text.index("| small, live | – | 100.0 |") < text.index("| two_views, best | 25.0 | 50.0 |")
    assert "| two_views, best | – | – | – | – | – | 7.2 | – |" in text
    assert "Joint rotations" not in text
    # Only live runs tell a time.
    assert "| small, live | – | 20.0 |" in text and text.count("two_views, best |") == 2


def test_a_new_run_replaces_the_old_one():
    first = overview.kept({}, told_of(ours={"found": 0.5}, floor={"pa_mpjpe_mm": 1.0}))
    second = overview.kept(first, told_of(ours={"found": 0.75}))
    assert list(second) == ["two_views, best"] and "floor" not in second["two_views, best"]


def test_rows_of_a_set_have_a_table_of_their_own():
    values = dict.fromkeys(MEASURES)
    figures = told_of(ours={"found": 0.5})
    assert "Row by row" not in overview.tables(overview.kept({}, figures), ())
    figures["rows"] = {
        "cycles": {
            "ours": {**values, "n": 6, "found": 0.5, "pa_mpjpe_mm": 30.0, "pa_mpjpe_mm_found": 10.0},
            "mediapipe": {**values, "n": 6, "found": 0.25},
            "mediapipe_best": {**values, "n": 6, "pa_mpjpe_mm": 40.0},
            "mediapipe_fit": values,
        }
    }
    kept = overview.kept({}, figures)
    assert set(kept["two_views, best"]["rows"]["cycles"]) == {"ours", "mediapipe", "mediapipe_best", "mediapipe_fit"}
    assert "| two_views, best, cycles | 6 | 25.0 | 50.0 | 40.0 | 30.0 | – | – | 10.0 | – |" in overview.tables(kept, ())


def test_the_way_from_mediapipes_fit_to_the_floor_is_told_for_sets_and_rows():
    def methods(fit, ours, floor):
        return {
            "mediapipe_fit": {"n": 4, "pa_mpjpe_mm": fit, "root_mpjpe_mm": 40.0, "angle_rmse_visible_deg": 20.0},
            "ours": {"n": 4, "pa_mpjpe_mm": ours, "root_mpjpe_mm": 50.0, "angle_rmse_visible_deg": 15.0},
            "floor": {"n": 4, "pa_mpjpe_mm": floor, "root_mpjpe_mm": 20.0},
        }

    figures = told_of(**methods(14.0, 8.0, 2.0))
    values = dict.fromkeys(MEASURES)
    figures["rows"] = {
        "cycles": {name: {**values, **one} for name, one in methods(9.0, 10.0, 1.0).items()},
        "alone": {"ours": {**values, "pa_mpjpe_mm": 10.0}},
    }
    text = overview.tables(overview.kept({}, figures), ())
    # (14 - 8) / (14 - 2); root got worse by half of what there is to gain.
    assert "| two_views, best | 14.0 | 8.0 | 2.0 | 50 | 40.0 | 50.0 | 20.0 | -50 | 20.0 | 15.0 | 75 |" in text
    assert "| two_views, best, cycles | 9.0 | 10.0 | 1.0 | -12 | 40.0" in text
    assert text.count("two_views, best, alone |") == 1
    # Figures kept before visible joints were are still told.
    old = overview.kept({}, figures)
    for method in ("mediapipe_fit", "ours"):
        del old["two_views, best"][method]["angle_rmse_visible_deg"]
    assert "| -50 | – | – | – |" in overview.tables(old, ())


def test_steadiness_is_shown_beside_what_it_costs():
    kept = overview.kept({}, told_of(ours={"amplitude_kept_6hz": 0.5, "contact_recall": 0.25, "jitter_mm": 1.0}))
    text = overview.tables(kept, ())
    assert "| two_views, best | – | – | – | – | 50.0 | – |" in text
    assert "| two_views, best | – | – | – | 25.0 | – | – |" in text


def test_the_page_lists_every_key():
    document = report.DOCUMENT.read_text(encoding="utf-8")
    assert report.replaced(document, "keys", report.keys_table()) == document
