# SPDX-License-Identifier: GPL-3.0-or-later
"""Found, wrong side, duplicates, false hands: pictures made by hand."""

import numpy as np
import pytest

from benchmarks.measures import confidence, detection


def hand(x, y, side=100.0):
    """21 pixels on the diagonal of a square box with its corner at x, y."""
    return np.linspace([x, y], [x + side, y + side], 21)


def test_error2d_by_hand():
    # 5 px beside a box of 100 px at every point.
    assert detection.error2d(hand(3, 4), hand(0, 0)) == pytest.approx(0.05)


def test_error2d_ignores_points_without_truth():
    truth = hand(0, 0)
    truth[5:] = np.nan
    # The box of the known five points is 20 px, so 5 px are a quarter of it.
    assert detection.error2d(hand(3, 4), truth) == pytest.approx(0.25)
    assert detection.error2d(hand(0, 0), np.full((21, 2), np.nan)) == float("inf")


def test_found_below_a_fifth_of_the_box():
    just_in = detection.detect([hand(19.9, 0)], ["left"], [hand(0, 0)], ["left"])
    just_out = detection.detect([hand(20.1, 0)], ["left"], [hand(0, 0)], ["left"])
    assert just_in.found.all() and not just_out.found.any()
    # A poor guess that overlaps the hand is a miss, not a false hand.
    assert (just_out.false_hands, just_out.duplicates) == (0, 0)


def test_a_hand_too_many_is_told_wherever_it_lies():
    on_nothing = detection.detect([hand(0, 0), hand(300, 0)], ["left", "right"], [hand(0, 0)], ["left"])
    poor_guess = detection.detect([hand(0, 0), hand(25, 0)], ["left", "right"], [hand(0, 0)], ["left"])
    assert on_nothing.crowded and poor_guess.crowded
    assert (poor_guess.false_hands, poor_guess.duplicates) == (0, 0)
    assert not detection.detect([hand(300, 0)], ["left"], [hand(0, 0)], ["left"]).crowded


def test_wrong_side():
    seen = detection.detect([hand(2, 0)], ["right"], [hand(0, 0)], ["left"])
    assert seen.wrong_side.all() and not seen.found.any()
    assert (seen.duplicates, seen.false_hands) == (0, 0)


def test_both_sides_on_one_hand_is_found_and_a_duplicate():
    seen = detection.detect([hand(2, 0), hand(0, 0)], ["left", "right"], [hand(0, 0)], ["left"])
    assert seen.match.tolist() == [0] and not seen.wrong_side.any()
    assert seen.duplicates == 1


def test_two_of_one_side_on_one_hand():
    seen = detection.detect([hand(9, 0), hand(1, 0)], ["left", "left"], [hand(0, 0)], ["left"])
    assert seen.match.tolist() == [1] and seen.duplicates == 1


def test_stranger_is_a_false_hand():
    seen = detection.detect([hand(0, 0), hand(300, 0)], ["left", "right"], [hand(0, 0)], ["left"])
    assert seen.false_hands == 1 and seen.duplicates == 0
    nothing_there = detection.detect([hand(0, 0)], ["left"], [], [])
    assert nothing_there.false_hands == 1


def test_swapped_hands_are_two_wrong_sides():
    seen = detection.detect(
        [hand(0, 0), hand(300, 0)], ["right", "left"], [hand(0, 0), hand(300, 0)], ["left", "right"]
    )
    assert seen.wrong_side.tolist() == [True, True] and not seen.found.any()


def test_touching_hands_do_not_steal_each_others_prediction():
    # The right hand's own prediction lies on the left hand too (10 px away); the left one was not seen at all.
    seen = detection.detect([hand(10, 0)], ["right"], [hand(0, 0), hand(10, 0)], ["left", "right"])
    assert seen.found.tolist() == [False, True]
    assert not seen.wrong_side.any() and seen.duplicates == 0


def test_one_prediction_serves_one_hand():
    seen = detection.detect([hand(5, 0)], ["left"], [hand(0, 0), hand(8, 0)], ["left", "left"])
    assert seen.match.tolist() == [-1, 0]


def test_no_predictions():
    seen = detection.detect([], [], [hand(0, 0)], ["left"])
    assert not seen.found.any() and seen.false_hands == 0


def test_predictions_with_nan_are_never_found():
    seen = detection.detect([np.full((21, 2), np.nan)], ["left"], [hand(0, 0)], ["left"])
    assert not seen.found.any()


def test_box_overlap_by_hand():
    # 10 x 10 and 10 x 10 shifted by 5 in x share 50 of 150.
    assert detection.box_iou(np.array([0, 0, 10, 10.0]), np.array([5, 0, 15, 10.0])) == pytest.approx(1 / 3)
    assert detection.box_iou(np.array([0, 0, 1, 1.0]), np.array([2, 2, 3, 3.0])) == 0.0


def test_reliability_by_hand():
    said = np.array([0.95, 0.95, 0.25, 0.25])
    right = np.array([True, False, False, False])
    table = confidence.reliability(said, right)
    assert table.count[9] == 2 and table.was[9] == 0.5 and table.said[9] == pytest.approx(0.95)
    assert table.count[2] == 2 and table.was[2] == 0.0
    # |0.95 - 0.5| for half of them, |0.25 - 0| for the other half.
    assert table.gap == pytest.approx((0.45 + 0.25) / 2)
    assert confidence.reliability(np.array([1.0]), np.array([True])).count[9] == 1
    assert np.isnan(confidence.reliability(np.zeros(0), np.zeros(0, bool)).gap)
