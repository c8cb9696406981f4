# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes: boxes by hand, the free hand against trimesh."""

import numpy as np
import pytest

from benchmarks import skin
from benchmarks.measures import contact, surface
from blender_handmocap.engine import rotations
from blender_handmocap.engine.hand.free import free_hand


def box(low, high):
    """A closed box as vertices (8, 3) and triangles (12, 3), counter-clockwise seen from outside."""
    x0, y0, z0 = low
    x1, y1, z1 = high
    vertices = np.array([[x, y, z] for x in (x0, x1) for y in (y0, y1) for z in (z0, z1)], float)
    quads = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    return vertices, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)


def test_boxes_turn_outwards():
    vertices, triangles = box((0, 0, 0), (1, 2, 3))
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    assert np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6 == pytest.approx(6.0)


def test_inside_a_box():
    vertices, triangles = box((0, 0, 0), (10, 10, 10))
    points = np.array([[5, 5, 5], [5, 5, 11], [5, 5, -1], [9.9, 0.1, 0.1], [20, 5, 5]])
    np.testing.assert_array_equal(surface.inside(points, vertices, triangles), [True, False, False, True, False])


def test_depth_by_hand():
    vertices, triangles = box((0, 0, 0), (10, 10, 10))
    points = np.array([[5, 5, 5], [5, 5, 9], [5, 5, 12], [1, 5, 5]])
    np.testing.assert_allclose(surface.depth_inside(points, vertices, triangles), [5, 1, 0, 1])


def test_nearest_point_outside_a_box():
    vertices, triangles = box((0, 0, 0), (10, 10, 10))
    points = np.array([[5, 5, 14], [13, 14, 5], [11, 12, 12.0]])
    distance, face, weight = surface.nearest_on_surface(points, vertices, triangles)
    np.testing.assert_allclose(distance, [4, 5, 3])
    foot = (vertices[triangles[face]] * weight[..., None]).sum(1)
    np.testing.assert_allclose(foot, [[5, 5, 10], [10, 10, 5], [10, 10, 10]], atol=1e-9)


def test_shared_volume_of_boxes():
    one, two = box((0, 0, 0), (10, 10, 10)), box((6, 7, 8), (16, 17, 18))
    assert surface.shared_volume(*one, *two, step=0.25) == pytest.approx(4 * 3 * 2, rel=0.02)
    apart = box((20, 0, 0), (30, 10, 10))
    assert surface.shared_volume(*one, *apart, step=0.25) == 0.0


def test_penetration_of_boxes():
    one, two = box((0, 0, 0), (10, 10, 10)), box((8, 2, 2), (18, 8, 8))
    hit = contact.penetration(*one, *two)
    # A corner of the second box is 2 mm behind the first one's face and farther from every other.
    assert hit.depth_mm == pytest.approx(2.0)
    assert hit.volume_mm3 == pytest.approx(2 * 6 * 6, rel=0.05)
    assert contact.penetration(*one, *box((11, 0, 0), (12, 1, 1))) == contact.Penetration(0.0, 0.0)


def test_what_a_box_hides_from_the_camera():
    vertices, triangles = box((-10, -10, 100), (10, 10, 120))
    # Before it, in it, behind it; behind it in the picture's corner, which only its near face covers; beside it.
    points = np.array([[1, 2, 90], [1, 2, 110], [1, 2, 130], [12.9, 12.8, 130], [14, 2, 130.0]])
    told = surface.hidden(points, vertices, triangles, np.zeros(5))
    np.testing.assert_array_equal(told, [False, True, True, True, False])
    # Flesh before a joint, as thick as it may be there, does not hide it: the near face is 10 and 30 mm before.
    told = surface.hidden(points, vertices, triangles, np.array([11.0, 11.0, 29.0, 31.0, 0.0]))
    np.testing.assert_array_equal(told, [False, False, True, False, False])


def test_points_a_hand_hides_are_those_of_the_renderer():
    pytest.importorskip("numba")
    from training.footage.render import draw
    from training.footage.scene import HandPose, Scene

    random = np.random.default_rng(4)
    K = np.array([[500.0, 0, 159.5], [0, 500, 119.5], [0, 0, 1]])
    same, hidden = [], []
    for _ in range(6):
        rotation = rotations.quaternion_from_vector(random.normal(size=(16, 3)) * ([[1.5]] + [[0.4]] * 15))
        place = np.array([0.0, 0.0, 0.5])
        scene = Scene((HandPose("right", rotation, place),), np.zeros(10), 0.095, K, 320, 240)
        truth = draw(scene, 0, quality="plain").hands[0]
        mesh = skin.vertices_mm("right", rotation[None], place[None], np.zeros(10), 0.095)[0]
        told = surface.hidden(truth.keypoints3d * 1000, mesh, skin.triangles("right"), skin.flesh_mm())
        # The forearm, which only the renderer has, hides a wrist; outside the picture nothing is seen.
        shown = ((truth.keypoints2d >= 1) & (truth.keypoints2d < [319, 239])).all(1) & (np.arange(21) > 0)
        same.append((told == ~truth.visible)[shown])
        hidden.append(~truth.visible[shown])
    assert 0.2 < np.concatenate(hidden).mean() < 0.8
    assert np.concatenate(same).mean() > 0.9


def volume_of(vertices, triangles):
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    return np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6


@pytest.fixture(scope="module")
def hand():
    model = free_hand("right")
    return model.template * 1000, surface.closed(model.triangles)


def test_open_boxes_are_closed():
    vertices, triangles = box((0, 0, 0), (1, 2, 3))
    lidless = triangles[[0, 1, 3, 4, 5, 6, 7, 9, 10, 11]]
    filled = surface.closed(lidless)
    assert len(filled) == 12 and volume_of(vertices, filled) == pytest.approx(6.0)
    assert len(surface.closed(triangles)) == 12


def test_inside_agrees_with_the_solid_angle(hand):
    vertices, triangles = hand
    points = np.random.default_rng(1).uniform(vertices.min(0), vertices.max(0), (300, 3))
    corner = vertices[triangles][:, None] - points[None, :, None]
    a, b, c = corner[:, :, 0], corner[:, :, 1], corner[:, :, 2]
    la, lb, lc = (np.linalg.norm(e, axis=-1) for e in (a, b, c))
    solid = 2 * np.arctan2(
        np.einsum("fpi,fpi->fp", a, np.cross(b, c)),
        la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb,
    )
    winding = solid.sum(0) / (4 * np.pi)
    assert (winding > 0.5).sum() > 20
    np.testing.assert_array_equal(surface.inside(points, vertices, triangles), winding > 0.5)


def test_nearest_point_agrees_with_trimesh(hand):
    trimesh = pytest.importorskip("trimesh")
    vertices, triangles = hand
    points = np.random.default_rng(2).uniform(vertices.min(0), vertices.max(0), (5, 3))
    distance, face, weight = surface.nearest_on_surface(points, vertices, triangles)
    for i, point in enumerate(points):
        every = trimesh.triangles.closest_point(vertices[triangles], np.repeat(point[None], len(triangles), 0))
        assert distance[i] == pytest.approx(np.linalg.norm(every - point, axis=1).min(), abs=1e-6)
    foot = (vertices[triangles[face]] * weight[..., None]).sum(1)
    np.testing.assert_allclose(np.linalg.norm(foot - points, axis=1), distance, atol=1e-9)


def test_volume_of_a_hand_with_itself(hand):
    shared = surface.shared_volume(*hand, *hand, step=1.0)
    assert shared == pytest.approx(volume_of(*hand), rel=0.02)


def test_touching_points_name_the_same_skin():
    one, two = box((0, 0, 0), (10, 10, 10)), box((11, 0, 0), (21, 10, 10))
    touching = contact.touching_points(one[0], two[0], two[1])
    # The four corners at x = 10 face the four at x = 11.
    assert sorted(one[0][touching.left_vertex][:, 0].tolist()) == [10.0] * 4
    np.testing.assert_allclose(contact.touching_distances_mm(one[0], two[0], touching), 1.0)
    apart = two[0] + [4.0, 0.0, 12.0]
    np.testing.assert_allclose(contact.touching_distances_mm(one[0], apart, touching), 13.0)


def test_no_touch_beyond_the_gap():
    one, two = box((0, 0, 0), (10, 10, 10)), box((12.5, 0, 0), (21, 10, 10))
    assert len(contact.touching_points(one[0], two[0], two[1]).left_vertex) == 0


def test_regions_that_touch():
    one, two = box((0, 0, 0), (10, 10, 10)), box((11, 0, 0), (21, 10, 10))
    touching = contact.touching_points(one[0], two[0], two[1])
    region = np.full(8, -1, np.int32)
    left, right = region.copy(), region.copy()
    left[np.flatnonzero((one[0] == [10, 10, 10]).all(-1))] = 2
    right[np.flatnonzero((two[0] == [11, 10, 10]).all(-1))] = 5
    regions = contact.touching_regions(touching, left, right)
    assert regions.sum() == 1 and regions[2, 5]


def test_precision_and_recall_by_hand():
    truth, predicted = np.zeros((2, 6, 6), bool), np.zeros((2, 6, 6), bool)
    truth[0, 1, 1] = truth[0, 2, 2] = truth[1, 5, 5] = True
    predicted[0, 1, 1] = predicted[1, 0, 5] = True
    assert contact.precision(predicted, truth) == 0.5
    assert contact.recall(predicted, truth) == pytest.approx(1 / 3)
    assert np.isnan(contact.precision(np.zeros((1, 6, 6), bool), truth[:1]))
