# SPDX-License-Identifier: GPL-3.0-or-later
"""From truth and predictions to figures: perfect, shifted, missing and surplus hands."""

from dataclasses import replace

import numpy as np
import pytest
from test_sets import true_take

from benchmarks.figures import Figures
from benchmarks.hands import Clip, Seen, SeenHand
from benchmarks.keys import MEASURES
from benchmarks.run import verdicts
from benchmarks.sets.take_truth import clip_of
from benchmarks.summary import figures
from benchmarks.table import tabled


@pytest.fixture
def clip(tmp_path) -> Clip:
    return clip_of(tmp_path / "none.mp4", true_take(), row="all", reader=lambda: iter(()))


def perfect(clip: Clip) -> Seen:
    return Seen(
        {
            frame.index: [
                SeenHand(hand.side, hand.points2d, hand.points3d, 0.95, clip.palm_mm, rotation=hand.rotation)
                for hand in frame.hands
            ]
            for frame in clip.frames
        }
    )


def told(clip, seen):
    return figures(tabled([clip], {0: seen})).values


def test_a_perfect_method(clip):
    values = told(clip, perfect(clip))
    assert values["n"] == 10 and values["frames"] == 5
    assert values["found"] == values["both_found"] == 1.0
    for key in ("wrong_side", "duplicates", "false_hands", "crowded", "error2d"):
        assert values[key] == 0.0
    for key in (
        "pa_mpjpe_mm",
        "root_mpjpe_mm",
        "joint_mpjpe_mm",
        "mrrpe_mm",
        "place_mm",
        "angle_rmse_deg",
        "root_rotation_deg",
    ):
        assert values[key] == pytest.approx(0.0, abs=1e-4)
    assert values["pck_20mm"] == values["pck_auc_20_50mm"] == values["pcf_20mm"] == 1.0
    assert values["penetration_depth_mm"] == 0.0 and values["contact_precision"] is None


def test_a_method_that_sees_nothing_pays_the_caps(clip):
    values = told(clip, Seen({frame.index: [] for frame in clip.frames}))
    assert values["found"] == 0.0
    assert values["error2d"] == 0.5 and values["pa_mpjpe_mm"] == 50.0 and values["root_mpjpe_mm"] == 100.0
    assert values["angle_rmse_deg"] == 60.0 and values["mrrpe_mm"] == 200.0 and values["place_mm"] == 300.0
    assert values["pa_mpjpe_mm_found"] is None and values["pck_50mm"] == 0.0 and values["pcf_50mm"] == 0.0


def test_one_hand_of_two_missed(clip):
    seen = perfect(clip)
    half = Seen({index: [hand for hand in hands if hand.side == "left"] for index, hands in seen.hands.items()})
    values = told(clip, half)
    assert values["found"] == 0.5 and values["both_found"] == 0.0
    assert values["pa_mpjpe_mm"] == pytest.approx(25.0) and values["pa_mpjpe_mm_found"] == pytest.approx(0.0, abs=1e-6)
    # sqrt of the mean of 0 and 60^2
    assert values["angle_rmse_deg"] == pytest.approx(60 / 2**0.5)


def test_swapped_sides(clip):
    seen = perfect(clip)
    other = {"left": "right", "right": "left"}
    swapped = Seen({i: [replace(hand, side=other[hand.side]) for hand in hands] for i, hands in seen.hands.items()})
    values = told(clip, swapped)
    assert values["found"] == 0.0 and values["wrong_side"] == 1.0 and values["false_hands"] == 0.0


def test_place_and_relative_place(clip):
    seen = perfect(clip)
    moved = Seen(
        {
            i: [
                replace(hand, points3d=hand.points3d + (hand.side == "right") * np.array([0.0, 3.0, 4.0]))
                for hand in hands
            ]
            for i, hands in seen.hands.items()
        }
    )
    values = told(clip, moved)
    assert values["mrrpe_mm"] == pytest.approx(5.0) and values["mrrpe_plane_mm"] == pytest.approx(3.0)
    assert values["mrrpe_depth_mm"] == pytest.approx(4.0) and values["place_mm"] == pytest.approx(2.5)


def test_palm_length_given(clip):
    seen = perfect(clip)
    small = Seen(
        {
            i: [replace(hand, points3d=hand.points3d * 0.8, palm_mm=hand.palm_mm * 0.8) for hand in hands]
            for i, hands in seen.hands.items()
        }
    )
    values = told(clip, small)
    assert values["place_mm"] > 50.0 and values["place_palm_given_mm"] == pytest.approx(0.0, abs=1e-6)
    assert values["mrrpe_mm"] == pytest.approx(0.2 * 400) and values["mrrpe_palm_given_mm"] == pytest.approx(
        0, abs=1e-6
    )
    assert values["mrrpe_one_depth_palm_given_mm"] == pytest.approx(0.0, abs=1e-6)


def test_frames_that_were_never_shown_do_not_count(clip):
    seen = perfect(clip)
    del seen.hands[4]
    assert told(clip, seen)["frames"] == 4


def test_a_clip_known_to_be_empty(clip):
    empty = replace(clip, frames=())
    values = told(empty, perfect(clip))
    assert values["n"] == 0 and values["false_hands"] == 2.0 and values["crowded"] == 1.0
    uncounted = replace(empty, complete=False)
    assert "false_hands" not in told(uncounted, perfect(clip))


def test_verdicts_need_more_than_luck(clip):
    rng = np.random.default_rng(0)
    clips = [replace(clip, name=str(i)) for i in range(6)]

    def noisy(size):
        return {
            n: Seen(
                {
                    i: [replace(hand, points3d=hand.points3d + rng.normal(0, size, (21, 3))) for hand in hands]
                    for i, hands in perfect(clip).hands.items()
                }
            )
            for n in range(len(clips))
        }

    good, same, bad = (figures(tabled(clips, noisy(size))) for size in (1.0, 1.0, 5.0))
    assert verdicts(good, bad)["pa_mpjpe_mm"] == "better"
    assert verdicts(bad, good)["pa_mpjpe_mm"] == "worse"
    assert verdicts(good, same)["pa_mpjpe_mm"] == "tie"
    assert verdicts(good, bad)["found"] == "tie"


def test_pictures_that_cost_nothing_do_not_hide_the_others(clip):
    seen = perfect(clip)
    seen.ms = {index: 9.0 if index == 0 else 1.0 for index in range(8)}
    told = figures(tabled([clip], {0: seen})).values
    assert told["ms_per_frame"] == 1.0 and told["ms_per_frame_mean"] == 2.0


def test_every_key_is_always_there(clip):
    empty = figures(tabled([replace(clip, frames=())], {0: Seen({0: []})})).as_json()
    full = figures(tabled([clip], {0: perfect(clip)})).as_json()
    assert set(MEASURES) == set(empty) - {"intervals"} == set(full) - {"intervals", "reliability"}
    assert empty["pa_mpjpe_mm"] is None and full["pa_mpjpe_mm"] is not None
    for key in MEASURES:
        unit = next((u for u in ("mm3", "mm", "deg", "ms", "mb") if f"_{u}" in key), None)
        assert unit is None or unit in MEASURES[key].lower().replace("degrees", "deg").replace("^", ""), key
    with pytest.raises(KeyError):
        Figures().set("no_such_key", 1.0)
