# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.see.confidence import FEATURES, calibrated, features
from blender_handmocap.engine.see.fusion import expected_errors, fused_points, ray_rotation, visibility
from blender_handmocap.engine.see.landmarks import SeenHand

KNUCKLES = [5, 9, 13, 17]
CAMERA = Camera.from_focal(640, 480, 600.0)


def posed(direction: np.ndarray, distance: float = 0.6) -> np.ndarray:
    """(21, 3) a gently bent right hand facing the camera, its wrist along a ray."""
    hand = free_hand("right")
    bend = np.zeros((1, 16, 3))
    bend[0, 1:, 2] = 0.2
    bend[0, 0] = [1.2, 0.4, 0.3]
    wrist = direction / direction[2] * distance
    return hand.pose(rotations.quaternion_from_vector(bend), wrist[None], hand.rest()).keypoints[0]


def perfect(points: np.ndarray, ray: np.ndarray) -> SeenHand:
    """What a network without error would say of a hand it sees along `ray`."""
    along = ray_rotation(ray).T
    turned = (points - points.mean(0)) @ along.T
    pixels = CAMERA.project(points)
    scale = np.ptp(pixels, axis=0).max() / np.ptp(turned[:, :2], axis=0).max()
    screen = np.column_stack([pixels, turned[:, 2] * scale])
    crop = np.array([*CAMERA.project(points).mean(0), 200.0, 200.0, 0.0])
    return SeenHand(crop=crop, screen=screen, world=turned, presence=0.99, right=0.99)


@pytest.mark.parametrize("direction", [(0, 0, 1), (0.4, 0, 1), (-0.3, 0.3, 1), (0.1, -0.4, 1)])
def test_the_crops_ray_is_undone(direction: tuple[float, float, float]) -> None:
    points = posed(np.array(direction, float))
    ray = CAMERA.rays(CAMERA.project(points).mean(0))
    found = fused_points(perfect(points, ray), CAMERA)
    relative = points - points[0]
    expected = relative / np.linalg.norm(relative[KNUCKLES], axis=1).mean()
    turn = rotations.vector_from_matrix(rotations.aligning_rotation(found, expected))
    assert np.degrees(np.linalg.norm(turn)) < 2.0
    assert np.abs(found - expected).mean() < 0.03


def test_points_are_relative_to_the_wrist_in_palm_bones() -> None:
    points = posed(np.array([0.2, 0.1, 1.0]))
    found = fused_points(perfect(points, np.array([0.2, 0.1, 1.0])), CAMERA)
    assert (found[0] == 0).all()
    assert np.linalg.norm(found[KNUCKLES], axis=1).mean() == pytest.approx(1.0)


def test_ray_rotation_turns_the_axis_the_shortest_way() -> None:
    ray = np.array([0.3, -0.5, 0.9])
    turn = ray_rotation(ray)
    np.testing.assert_allclose(turn @ [0, 0, 1], ray / np.linalg.norm(ray))
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert abs(rotations.vector_from_matrix(turn)[2]) < 1e-12


def test_errors_grow_with_the_hand_and_with_doubt() -> None:
    seen = perfect(posed(np.array([0.0, 0, 1])), np.array([0.0, 0, 1]))
    sure, unsure = expected_errors(seen, 1.0), expected_errors(seen, 0.2)
    assert (unsure[0] > sure[0]).all() and (unsure[1] > sure[1]).all()
    near = perfect(posed(np.array([0.0, 0, 1]), distance=0.3), np.array([0.0, 0, 1]))
    assert expected_errors(near, 1.0)[0].mean() == pytest.approx(2 * sure[0].mean(), rel=0.2)


def test_points_outside_of_the_picture_are_not_visible() -> None:
    points = np.array([[10.0, 10.0], [639.0, 479.0], [645.0, 20.0], [900.0, 20.0]])
    assert visibility(points, 640, 480).tolist()[:2] == [1.0, 1.0]
    assert 0.0 < visibility(points, 640, 480)[2] < 1.0 and visibility(points, 640, 480)[3] == 0.0


def test_signs_of_trouble_lower_the_confidence() -> None:
    seen = perfect(posed(np.array([0.0, 0, 1])), np.array([0.0, 0, 1]))
    good = features(seen, motion=0.02, width=640, height=480)
    assert len(good) == len(FEATURES) and np.isfinite(good).all()
    broken = np.random.default_rng(0).normal(size=(21, 3)) * 0.05
    bad = [
        features(SeenHand(seen.crop, seen.screen, seen.world, 0.5, 0.99), motion=0.02, width=640, height=480),
        features(SeenHand(seen.crop, seen.screen, broken, 0.99, 0.99), motion=0.02, width=640, height=480),
        features(seen, motion=1.5, width=640, height=480),
    ]
    assert all(calibrated(one) < calibrated(good) for one in bad)
    assert calibrated(bad[1]) >= 0.0 and calibrated(good) <= 1.0


def test_degenerate_hands_have_finite_features() -> None:
    flat = np.zeros((21, 3))
    seen = SeenHand(np.array([0.0, 0, 10, 10, 0]), flat, flat, 0.5, 0.5)
    assert np.isfinite(features(seen, motion=0.0, width=4, height=4)[:4]).all()
