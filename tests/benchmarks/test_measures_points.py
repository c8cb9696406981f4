# SPDX-License-Identifier: GPL-3.0-or-later
"""Point measures against numbers worked out by hand."""

import numpy as np
import pytest

from benchmarks.measures import alignment, caps, pair, points

SQUARE = np.zeros((1, 21, 3))
SQUARE[0, :4] = [[0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 0, 2]]
SQUARE[0, 4:] = np.nan

TURN_Z = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def four(*rows):
    """A hand (1, 21, 3) of which only the first points are known."""
    hand = np.full((1, 21, 3), np.nan)
    hand[0, : len(rows)] = rows
    return hand


def test_procrustes_removes_rotation_scale_and_translation():
    moved = 3.0 * SQUARE @ TURN_Z.T + [10.0, -20.0, 700.0]
    np.testing.assert_allclose(points.pa_mpjpe_mm(moved, SQUARE), [0.0], atol=1e-9)


def test_procrustes_does_not_mirror():
    mirrored = SQUARE * [-1.0, 1.0, 1.0]
    assert points.pa_mpjpe_mm(mirrored, SQUARE)[0] > 0.5


def test_procrustes_scale_by_hand():
    # Arms of 1 along x and of 1 along y against arms of 3 and 1: no rotation helps, centred sums are
    # <p, t> = 2*3 + 2*1 = 8 and <p, p> = 4, so the scale is 2: the points miss by 1 each.
    predicted = four([1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0])
    truth = four([3, 0, 0], [-3, 0, 0], [0, 1, 0], [0, -1, 0])
    np.testing.assert_allclose(points.pa_errors_mm(predicted, truth)[0, :4], 1.0, atol=1e-9)
    assert np.isnan(points.pa_errors_mm(predicted, truth)[0, 4:]).all()


def test_too_few_points_are_not_measured():
    assert np.isnan(points.pa_mpjpe_mm(four([0, 0, 0], [1, 0, 0], [0, 1, 0]), SQUARE)).all()


def test_root_error_by_hand():
    # Wrist on wrist; <p, t> = 2*2 + 0 = 4 over <p, p> = 4 + 4: scale 1/2. Point 1 lands at 1 of 2, point 2 at
    # (0, 0, 1) where (0, 2, 0) is right: distances 0, 1, sqrt(5).
    predicted = four([5, 5, 5], [7, 5, 5], [5, 5, 7])
    truth = four([0, 0, 0], [2, 0, 0], [0, 2, 0])
    np.testing.assert_allclose(points.root_errors_mm(predicted, truth)[0, :3], [0, 1, 5**0.5], atol=1e-9)
    np.testing.assert_allclose(points.root_mpjpe_mm(predicted, truth), [(1 + 5**0.5) / 3], atol=1e-9)


def test_root_error_needs_the_wrist():
    truth = SQUARE.copy()
    truth[0, 0] = np.nan
    assert np.isnan(points.root_mpjpe_mm(SQUARE, truth)[0])


def test_rotation_counts_in_the_root_error_only():
    turned = SQUARE @ TURN_Z.T
    assert points.root_mpjpe_mm(turned, SQUARE)[0] > 1.0
    np.testing.assert_allclose(points.pa_mpjpe_mm(turned, SQUARE), [0.0], atol=1e-9)


def test_pck_and_auc_by_hand():
    errors = np.array([[10.0, 35.0, 60.0, np.nan]])
    assert points.pck(errors, 20.0) == pytest.approx(1 / 3)
    assert points.pck(errors, 50.0) == pytest.approx(2 / 3)
    assert points.auc_20_50mm(errors) == pytest.approx((1 + 0.5 + 0) / 3)
    grid = np.linspace(20, 50, 3001)
    sampled = np.mean([points.pck(errors, threshold) for threshold in grid])
    assert points.auc_20_50mm(errors) == pytest.approx(sampled, abs=1e-3)
    assert np.isnan(points.pck(np.array([np.nan]), 20.0))


def test_worst_point_of_a_frame():
    worst = points.worst_of(np.array([[1.0, 7.0, np.nan], [np.nan, np.nan, np.nan]]))
    assert worst[0] == 7.0 and np.isnan(worst[1])


def test_place_by_hand():
    moved = SQUARE + np.array([3.0, 4.0, 12.0])
    np.testing.assert_allclose(points.place_vector_mm(moved, SQUARE), [[3, 4, 12]])
    np.testing.assert_allclose(points.place_mm(moved, SQUARE), [13.0])


def test_joint_alignment_keeps_rotation_and_relative_place():
    left, right = SQUARE[:, None], SQUARE[:, None] + [100.0, 0.0, 0.0]
    both = np.concatenate([left, right], 1)
    np.testing.assert_allclose(pair.joint_mpjpe_mm(both * 1.7 + [1.0, 2.0, 3.0], both), [0.0], atol=1e-9)
    nearer = both.copy()
    nearer[:, 1] += [0.0, 0.0, 30.0]
    # Moving one of two equal hands by 30 mm in depth leaves 15 mm a point, scale unchanged but for what 30 mm of
    # depth adds to 100 mm of spread.
    assert pair.joint_mpjpe_mm(nearer, both)[0] == pytest.approx(15.0, abs=1.5)


def test_joint_alignment_by_hand():
    # Two points a hand on a line: predicted spread 2, true spread 4: scale 2 and everything fits but the last pair.
    predicted = np.full((1, 2, 21, 3), np.nan)
    truth = predicted.copy()
    predicted[0, 0, 0], predicted[0, 1, 0] = [-1, 0, 0], [1, 0, 0]
    truth[0, 0, 0], truth[0, 1, 0] = [-2, 0, 0], [2, 0, 3]
    # Centred truth is (-2, 0, -1.5), (2, 0, 1.5); <p, t> = 4, <p, p> = 2: scale 2 leaves 1.5 mm at both.
    np.testing.assert_allclose(pair.joint_mpjpe_mm(predicted, truth), [1.5])


def test_relative_root_by_hand():
    truth = np.array([[[0.0, 0.0, 500.0], [100.0, 0.0, 500.0]]])
    predicted = np.array([[[10.0, 0.0, 500.0], [113.0, 4.0, 488.0]]])
    np.testing.assert_allclose(pair.relative_root_vector_mm(predicted, truth), [[3, 4, -12]])
    np.testing.assert_allclose(pair.mrrpe_mm(predicted, truth), [13.0])
    np.testing.assert_allclose(pair.mrrpe_plane_mm(predicted, truth), [5.0])
    np.testing.assert_allclose(pair.mrrpe_depth_mm(predicted, truth), [12.0])


def test_palm_length_scales_about_the_camera():
    wrists = np.array([[[10.0, 0.0, 500.0], [60.0, 0.0, 400.0]]])
    np.testing.assert_allclose(pair.at_palm_length(wrists, np.array([80.0]), np.array([100.0])), wrists * 1.25)


def test_one_depth_keeps_the_picture():
    wrists = np.array([[[50.0, 0.0, 500.0], [80.0, 40.0, 400.0]]])
    flat = pair.at_one_depth(wrists)
    np.testing.assert_allclose(flat[..., 2], 450.0)
    np.testing.assert_allclose(flat[..., :2] / flat[..., 2:], wrists[..., :2] / wrists[..., 2:])
    np.testing.assert_allclose(flat[0, 0], [45, 0, 450])


def test_missed_hands_cost_the_cap():
    errors = np.array([10.0, 80.0, 5.0, np.nan, 7.0])
    missed = np.array([False, False, True, False, False])
    measurable = np.array([True, True, True, True, False])
    charged = caps.with_misses("pa_mpjpe_mm", errors, missed, measurable)
    np.testing.assert_array_equal(charged, [10.0, 50.0, 50.0, 50.0, np.nan])


def test_shared_weight_ignores_what_either_lacks():
    other = SQUARE.copy()
    other[0, 1] = np.nan
    np.testing.assert_array_equal(alignment.shared_weight(SQUARE, other)[0, :5], [1, 0, 1, 1, 0])
