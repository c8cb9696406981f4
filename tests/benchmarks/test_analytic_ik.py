# SPDX-License-Identifier: GPL-3.0-or-later
"""Closed-form rotations from points: exact where the hand's hinges allow it."""

import numpy as np
import pytest

from benchmarks.measures import angles
from benchmarks.measures.points import pa_mpjpe_mm
from benchmarks.methods import definition_map, place
from benchmarks.methods.analytic_ik import rotations_of
from blender_handmocap.engine import rotations
from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.names import KEYPOINT_COUNT
from blender_handmocap.engine.see.definitions import MEDIAPIPE, OFFSET_JOINTS, rest_offsets


def posed(side, count=40, seed=0):
    """Random hands whose joints bend and spread within their limits but do not twist."""
    random = np.random.default_rng(seed)
    hinges, hand = free_hinges(side), free_hand(side)
    low, high = hinges.limits[..., 0], hinges.limits[..., 1]
    turn = random.uniform(low, high, (count, 16, 3)) * hinges.free * 0.9
    turn[..., 2] = 0
    turn[:, [2, 3, 5, 6, 8, 9, 11, 12, 15], 1] = 0
    root = rotations.quaternion_from_vector(random.normal(0, 1.5, (count, 3)))
    rotation = rotations_from_angles(turn, hinges, root)
    translation = random.normal(0, 0.1, (count, 3)) + np.array([0, 0, 0.6])
    return rotation, hand.pose(rotation, translation, hand.rest())


@pytest.mark.parametrize("side", ["left", "right"])
def test_exact_on_hinged_hands(side):
    rotation, hand = posed(side)
    back = rotations_of(hand.keypoints * 1234.0 + 7.0, side)
    assert angles.root_rotation_deg(back, rotation).max() < 1e-4
    # The thumb's middle joint spreads too; within its limits everything comes back.
    errors = angles.joint_angle_errors_deg(back, rotation)
    assert np.percentile(errors, 99) < 1e-3, errors.max(0)


@pytest.mark.parametrize("side", ["left", "right"])
def test_points_of_another_definition(side):
    rotation, hand = posed(side, seed=1)
    offset = rest_offsets(MEDIAPIPE, free_hinges(side), side)
    seen = hand.keypoints + np.einsum("tkab,kb->tka", hand.orientation[:, list(OFFSET_JOINTS)], offset)
    errors = angles.joint_angle_errors_deg(rotations_of(seen, side, definition=MEDIAPIPE), rotation)
    naive = angles.joint_angle_errors_deg(rotations_of(seen, side), rotation)
    assert errors.mean() < 2.0 < naive.mean()


def test_place_from_points_and_pixels():
    camera = Camera.from_fov(640, 480, 60.0, distortion=(0.1, -0.05))
    _, hand = posed("right", count=5)
    for points in hand.keypoints:
        relative = points - points.mean(0)
        found = place.translation_of(relative, camera.project(points), camera)
        np.testing.assert_allclose(relative + found, points, atol=1e-6)


def test_a_place_behind_the_camera_is_none():
    camera = Camera.from_fov(640, 480, 60.0)
    points = np.random.default_rng(0).normal(0, 0.05, (KEYPOINT_COUNT, 3))
    mirrored = camera.project(-points + np.array([0, 0, 0.5]))
    assert np.isnan(place.translation_of(points, mirrored, camera)).all()


def test_definition_map_learns_where_joints_are():
    _, hand = posed("right", count=200, seed=3)
    truth = hand.keypoints * 1000
    # A method that sees every knuckle a third of the way to the wrist, in its own frame and scale.
    seen = truth.copy()
    seen[:, [5, 9, 13, 17]] = truth[:, [5, 9, 13, 17]] * 2 / 3 + truth[:, :1] / 3
    turned = np.einsum("ij,npj->npi", rotations.matrix_from_vector(np.array([0.3, 1.0, -0.4])), seen) * 0.7
    mapped = definition_map.fitted(turned[:100], truth[:100])
    np.testing.assert_allclose(mapped.sum(1), 1.0, atol=1e-3)

    before = pa_mpjpe_mm(turned[100:], truth[100:]).mean()
    after = pa_mpjpe_mm(mapped @ turned[100:], truth[100:]).mean()
    assert after < before / 3
    assert definition_map.fitted(turned[:10], truth[:10]) is None
