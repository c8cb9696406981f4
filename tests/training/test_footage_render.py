# SPDX-License-Identifier: GPL-3.0-or-later
"""Drawn pictures against what an independent projection of the same mesh says."""

from __future__ import annotations

import hashlib
import multiprocessing
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("numba")

from blender_handmocap.engine import rotations
from blender_handmocap.engine.see.crops import cut as cut_by_engine
from training.footage import crops, raster, surface_light
from training.footage.render import Picture, draw
from training.footage.scene import HandPose, Lens, Look, Scene
from training.footage.surface import PART_COUNT, hand_model, render_hand

UPRIGHT = {
    "right": np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]),
    "left": np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]),
}
"""Fingers up, back of the hand to the camera."""


def make_scene(*, size: int = 160, hands: int = 2, seed: int = 0) -> Scene:
    random = np.random.default_rng(seed)
    poses = []
    for side, x, z in (("right", -0.05, 0.5), ("left", 0.03, 0.55))[:hands]:
        turn = rotations.matrix_from_vector(random.normal(size=3) * 0.3) @ UPRIGHT[side]
        rotation = rotations.quaternion_from_vector(random.normal(size=(16, 3)) * 0.15)
        rotation[0] = rotations.quaternion_from_matrix(turn)
        poses.append(HandPose(side, rotation, np.array([x, 0.08, z])))
    K = np.array([[size * 1.5, 0.0, size / 2], [0.0, size * 1.5, size / 2], [0.0, 0.0, 1.0]])
    return Scene(tuple(poses), random.normal(size=10) * 0.5, 0.095, K, size, size)


def digest(picture: Picture) -> str:
    state = hashlib.sha256()
    for array in (picture.image, picture.side, picture.part, picture.depth, picture.correspondence):
        state.update(array.tobytes())
    return state.hexdigest()


def drawn_digest(seed: int) -> str:
    look = Look(lens=Lens(shot_noise=0.03, read_noise=0.01))
    return digest(draw(replace(make_scene(seed=seed), look=look), seed))


def test_the_same_seed_gives_the_same_bytes_in_another_process() -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(drawn_digest, [3, 3])
    assert first == second == drawn_digest(3)
    assert drawn_digest(4) != first


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_drawn_mesh_is_closed_and_outward(side: str) -> None:
    mesh = render_hand(side)
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    directed = {(int(a), int(b)) for a, b in edges}
    assert len(directed) == len(edges)
    assert all((b, a) in directed for a, b in directed)
    a, b, c = (mesh.template[mesh.faces[:, k]] for k in range(3))
    volume = np.einsum("fi,fi->f", a, np.cross(b, c)).sum() / 6.0
    assert 2e-4 < volume < 3e-3
    assert mesh.part.max() == PART_COUNT - 1


def test_the_left_mesh_is_the_mirrored_right_one() -> None:
    left, right = render_hand("left"), render_hand("right")
    assert np.allclose(left.template, right.template * [-1, 1, 1])
    assert np.array_equal(left.canonical, right.canonical)


def test_skinning_agrees_with_the_engine() -> None:
    scene = make_scene()
    for pose in scene.hands:
        model = hand_model(pose.side)
        rest = model.rest(scene.betas, scene.size)
        mesh = render_hand(pose.side)
        engine = model.vertices(pose.rotation[None], pose.translation[None], rest)[0]
        ours = mesh.vertices(pose, rest)[: len(engine)]
        hand_only = mesh.weights[: len(engine), PART_COUNT - 1] == 0
        assert hand_only.sum() > 1000
        assert np.abs(ours - engine)[hand_only].max() < 2e-6


def test_maps_name_the_surface_each_pixel_sees() -> None:
    scene = make_scene(size=128)
    picture = draw(scene)
    assert set(np.unique(picture.side)) == {0, 1, 2}
    K = scene.K
    checked = 0
    for pose in scene.hands:
        mesh = render_hand(pose.side)
        rest = hand_model(pose.side).rest(scene.betas, scene.size)
        vertices = mesh.vertices(pose, rest).astype(np.float64)
        label = {"left": 1, "right": 2}[pose.side]
        rows, columns = np.nonzero(picture.side == label)
        rays = np.stack([(columns - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1], np.ones(len(rows))], axis=1)
        seen = rays * picture.depth[rows, columns, None]
        for i in range(0, len(rows), 37):
            # The seen point lies on a face whose canonical corners blend to the stored coordinate.
            coordinate = picture.correspondence[rows[i], columns[i]]
            corners = mesh.canonical[mesh.faces].astype(np.float64)
            near = np.argsort(np.linalg.norm(corners.mean(1) - coordinate, axis=1))[:12]
            errors = []
            for f in near:
                edges = (corners[f, 1:] - corners[f, :1]).T
                share, *_ = np.linalg.lstsq(edges, coordinate - corners[f, 0], rcond=None)
                posed = vertices[mesh.faces[f]]
                errors.append(np.linalg.norm(posed[0] + (posed[1:] - posed[:1]).T @ share - seen[i]))
            assert min(errors) < 3e-4
            checked += 1
    assert checked > 50


def test_nothing_lies_before_the_seen_depth() -> None:
    scene = make_scene(size=96)
    picture = draw(scene)
    for pose in scene.hands:
        rest = hand_model(pose.side).rest(scene.betas, scene.size)
        vertices = render_hand(pose.side).vertices(pose, rest)
        columns = np.rint(vertices[:, 0] / vertices[:, 2] * scene.K[0, 0] + scene.K[0, 2]).astype(int)
        rows = np.rint(vertices[:, 1] / vertices[:, 2] * scene.K[1, 1] + scene.K[1, 2]).astype(int)
        inside = (columns >= 1) & (rows >= 1) & (columns < 95) & (rows < 95)
        around = np.stack(
            [picture.depth[rows[inside] + j, columns[inside] + i] for j in (-1, 0, 1) for i in (-1, 0, 1)]
        )
        # The farthest seen depth around a vertex is never behind the vertex by more than a pixel's slope.
        seen = np.where(around > 0, around, np.inf).min(0)
        assert (vertices[inside, 2] >= seen - 0.006).all()


def test_the_nearer_hand_hides_the_farther_one() -> None:
    scene = make_scene(hands=2)
    front, back = scene.hands
    covered = replace(back, translation=front.translation + np.array([0.0, 0.0, 0.3]))
    both = replace(scene, hands=(front, covered))
    picture, alone = draw(both), draw(replace(scene, hands=(front,)))
    overlap = alone.side == 2
    assert (picture.side[overlap] == 2).all()
    assert picture.hands[0].visible.sum() > picture.hands[1].visible.sum()
    swapped = replace(both, hands=(replace(front, translation=front.translation + np.array([0.0, 0.0, 0.6])), covered))
    assert (draw(swapped).side[overlap] == 1).mean() > 0.15


def test_keypoints_lie_on_their_hand_and_hidden_ones_are_told() -> None:
    scene = make_scene(hands=1)
    truth = draw(scene).hands[0]
    projected = truth.keypoints3d @ scene.K.T
    assert np.allclose(projected[:, :2] / projected[:, 2:], truth.keypoints2d)
    assert truth.visible.sum() >= 17
    behind = replace(scene, hands=(replace(scene.hands[0], translation=np.array([-0.05, 0.08, -0.5])),))
    assert not draw(behind).hands[0].visible.any()


def test_a_crop_drawn_directly_is_what_the_tracker_cuts() -> None:
    scene = make_scene(size=320)
    whole = draw(scene)
    for hand, side in ((0, 2), (1, 1)):
        crop = crops.draw_crop(scene, hand, 5, size=160)
        mask = np.repeat(whole.side[..., None], 3, axis=2)
        cut = (cut_by_engine(mask * 100, crop.box, 160, replicate=True)[..., 0] / 100.0).round()
        if crop.mirrored:
            cut = np.array([0, 2, 1])[cut.astype(int)[:, ::-1]]
        assert crop.target.pose.side == "right"
        assert (cut == crop.picture.side).mean() > 0.95
        matrix = crops.crop_matrix(crop.box, 160)
        points = whole.hands[hand].keypoints2d @ matrix[:, :2].T + matrix[:, 2]
        if crop.mirrored:
            points[:, 0] = 159 - points[:, 0]
        assert np.abs(points - crop.target.keypoints2d).max() < 1e-6
        distance = np.linalg.norm(whole.hands[hand].keypoints3d, axis=1)
        assert np.allclose(np.linalg.norm(crop.points3d, axis=1), distance)
        assert side in whole.side


def test_the_mean_crop_is_centred_upright_and_twice_the_hand() -> None:
    scene = make_scene(size=320)
    crop = crops.draw_crop(scene, 0, 0, jitter=crops.NO_JITTER)
    points = crop.target.keypoints2d
    toward = points[9] - points[0]
    assert abs(np.arctan2(toward[0], -toward[1])) < 0.2
    assert 0.3 < np.ptp(points, axis=0).max() / crops.CROP_SIZE < 0.75
    ray = crops.ray_rotation(crop.picture.scene.K) @ [0.0, 0.0, 1.0]
    assert ray[2] > 0.8


def test_beyond_the_picture_the_edge_is_repeated_and_nothing_is_seen() -> None:
    scene = make_scene(size=320, hands=1)
    aside = replace(scene, hands=(replace(scene.hands[0], translation=np.array([-0.17, 0.08, 0.5])),))
    crop = crops.draw_crop(aside, 0, 0, jitter=crops.NO_JITTER)
    matrix = crops.crop_matrix(crop.box)
    left = matrix[:, :2] @ [-3.0, 160.0] + matrix[:, 2]
    outside = np.arange(int(left[0]))
    assert len(outside) > 20
    row = int(left[1])
    assert not crop.picture.side[row, outside].any()
    assert 0 < crop.target.visible.sum() < 21


def test_a_turned_scene_draws_the_turned_picture() -> None:
    scene = make_scene(size=129)
    scene = replace(scene, K=np.array([[190.0, 0, 64.0], [0, 190.0, 64.0], [0, 0, 1.0]]))
    turned = draw(scene.turned(rotations.matrix_from_vector([0.0, 0.0, np.pi / 2])))
    assert (np.rot90(draw(scene).side, -1) == turned.side).mean() > 0.995


def test_a_mirrored_picture_has_the_other_sides() -> None:
    picture = draw(make_scene())
    mirror = picture.mirrored()
    again = draw(mirror.scene)
    assert [hand.pose.side for hand in mirror.hands] == ["left", "right"]
    assert (again.side == mirror.side).mean() > 0.995
    for shown, drawn in zip(mirror.hands, again.hands, strict=True):
        assert np.allclose(shown.keypoints2d, drawn.keypoints2d)


def test_moving_hands_blur_but_keep_the_truth_of_the_middle() -> None:
    scene = replace(make_scene(hands=1), look=Look(lens=Lens()))
    end = replace(scene.hands[0], translation=scene.hands[0].translation + np.array([0.03, 0.0, 0.0]))
    moving = draw(replace(scene, hands_end=(end,)))
    still = draw(scene)
    assert np.array_equal(moving.side, still.side)

    def sharpness(picture: Picture) -> float:
        return float(np.abs(np.diff(picture.image.astype(np.float32), axis=1)).max())

    assert sharpness(moving) < 0.6 * sharpness(still)


def test_hands_behind_or_through_the_near_plane_draw_without_failing() -> None:
    scene = make_scene()
    close = replace(scene, hands=(replace(scene.hands[0], translation=np.array([0.0, 0.0, 0.05])), scene.hands[1]))
    assert draw(close).image.shape == (160, 160, 3)
    assert raster.NEAR > 0


@pytest.mark.parametrize("third", [[40.0, 30.0, 0.6], [30.0 + 1e-6, 20.0, 0.6], [20.0, 10.0, 0.5]])
def test_a_face_seen_edge_on_is_shaded_from_its_own_corners(third: list[float]) -> None:
    """A finer sample may see a face whose area rounds to nothing at the pixel's own scale."""
    screen = np.array([[20.0, 10.0, 0.5], [30.0, 20.0, 0.6], third], np.float32)
    wa, wb, wc, depth = surface_light.weights(screen, 0, 1, 2, np.float32(25.0), np.float32(15.0))
    assert np.isfinite([wa, wb, wc, depth]).all()
    assert max(abs(wa), abs(wb), abs(wc)) < 1.5
    assert 0.4 < depth < 0.8
