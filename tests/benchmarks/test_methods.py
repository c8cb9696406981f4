# SPDX-License-Identifier: GPL-3.0-or-later
"""MediaPipe's readings, the floor, and a Take as a method's report."""

import numpy as np
import pytest
from test_analytic_ik import posed
from test_sets import true_take

from benchmarks.measures.steadiness import bone_length_variation
from benchmarks.methods import floor, mediapipe_hands, mediapipe_rows
from benchmarks.methods.engine import seen_of
from benchmarks.methods.mediapipe_hands import RawClip, RawHand, reading, turned_to_camera
from blender_handmocap.engine.camera import Camera


@pytest.fixture
def raw():
    random = np.random.default_rng(0)
    world = random.normal(0, 0.04, (21, 3))
    # The picture shows x and y at 2000 px a metre, and a depth that is off by half.
    image = np.concatenate([world[:, :2] * 2000 + 300, world[:, 2:] * 1000], 1)
    return RawHand(right=0.9, image=image, world=world + np.array([0, 0, 0.01]))


def test_world_points_are_millimetres_about_their_mean(raw):
    points = reading(raw, "world")
    np.testing.assert_allclose(points.mean(0), 0.0, atol=1e-9)
    np.testing.assert_allclose(points[1] - points[0], (raw.world[1] - raw.world[0]) * 1000)


def test_best_takes_the_picture_and_the_worlds_depth(raw):
    points = reading(raw, "best")
    # Picture and world agree in x and y here, so the reading is the world's again.
    np.testing.assert_allclose(points, reading(raw, "world"), atol=1e-6)


def test_average_is_between_both(raw):
    world, average = reading(raw, "world"), reading(raw, "average")
    spread = raw.image - raw.image.mean(0)
    screen = spread * np.linalg.norm(world) / np.linalg.norm(spread)
    np.testing.assert_allclose(average, (world + screen) / 2)


def test_the_ik_row_is_our_hand_in_the_pose_mediapipe_shows():
    camera = Camera.from_fov(640, 480, 60.0)
    _, hand = posed("right", count=4, seed=6)
    hand_raw = [
        RawHand(
            right=0.9,
            image=np.concatenate([camera.project(points), points[:, 2:] * 0.0], 1),
            world=points - points.mean(0),
        )
        for points in hand.keypoints
    ]
    raw = RawClip({index: [one] for index, one in enumerate(hand_raw)}, dict.fromkeys(range(4), 1.0))
    plain = mediapipe_rows.seen(raw, "world", camera)
    modelled = mediapipe_rows.seen(raw, "world", camera, on_our_hand=True)
    assert bone_length_variation(np.stack([modelled.of(i)[0].points3d for i in range(4)])) < 1e-9
    for index in range(4):
        (a,), (b,) = plain.of(index), modelled.of(index)
        np.testing.assert_array_equal(a.rotation, b.rotation)
        assert a.palm_mm == b.palm_mm == pytest.approx(np.linalg.norm(b.points3d[9] - b.points3d[0]), rel=0.05)
        # Both are placed on the same pixels.
        np.testing.assert_allclose(camera.project(b.points3d / 1000).mean(0), b.points2d.mean(0), atol=4.0)


def test_rays_turn_what_was_seen_straight_on():
    camera = Camera.from_fov(640, 480, 60.0)
    image = np.tile(np.append(camera.K[:2, 2], 0.0), (21, 1))
    points = np.random.default_rng(0).normal(0, 30, (21, 3))
    np.testing.assert_allclose(turned_to_camera(points, image, camera.K), points, atol=1e-9)
    # A hand seen 45 degrees to the right: what points away from the viewer points along that ray.
    image[:, 0] += camera.K[0, 0]
    forward = turned_to_camera(np.tile([0.0, 0.0, 1.0], (21, 1)), image, camera.K)
    np.testing.assert_allclose(forward[0], [0.5**0.5, 0.0, 0.5**0.5], atol=1e-9)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_floor_of_our_own_hand_is_zero(side):
    _, hand = posed(side, count=8, seed=4)
    truth = hand.keypoints * 1100.0
    truth[:, 8] = np.nan
    fit = floor.fitted(truth, side)
    known = np.isfinite(truth)
    assert np.abs(fit.points - truth)[known].max() < 0.05


def test_the_floor_of_another_hand_is_not_zero():
    _, hand = posed("right", count=8, seed=4)
    truth = hand.keypoints * 1000.0
    # Fingers a fifth longer than ours, in place: no angle can make up for that.
    for first in (5, 9, 13, 17):
        truth[:, first + 1 : first + 4] = truth[:, first : first + 1] + 1.2 * (
            truth[:, first + 1 : first + 4] - truth[:, first : first + 1]
        )
    fit = floor.fitted(truth, "right")
    error = np.linalg.norm(fit.points - truth, axis=-1).mean()
    assert 0.5 < error < 8.0


def test_a_take_as_a_report():
    take = true_take(3)
    seen = seen_of(take)
    assert sorted(seen.hands) == [0, 1, 2]
    left, right = seen.of(1)
    assert (left.side, right.side) == ("left", "right")
    assert left.palm_mm == pytest.approx(take.size * 1000)
    np.testing.assert_allclose(right.points3d, take.right.points[1] * 1000)
    camera = Camera(K=take.K, dist=take.dist, width=0, height=0)
    np.testing.assert_allclose(right.points2d, camera.project(take.right.points[1]))


def test_the_child_speaks():
    try:
        mediapipe_hands.python_with_mediapipe()
    except mediapipe_hands.MediaPipeMissingError:
        pytest.skip("there is no environment with MediaPipe")
    with mediapipe_hands.running() as mediapipe:
        mediapipe.open(static=True)
        hands, elapsed = mediapipe.see(np.zeros((120, 160, 3), np.uint8))
        assert hands == [] and elapsed > 0
        mediapipe.open(static=False)
        mediapipe.see(np.zeros((90, 50, 3), np.uint8))
        peak = mediapipe.close()
        assert peak is None or peak > 50.0
