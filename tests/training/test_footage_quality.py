# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to draw the same scene: what must be the same in all of them, and how far the quick way may stray."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("numba")

from blender_handmocap.engine import rotations
from training.footage import lens, pixels, raster, render, things
from training.footage.render import draw
from training.footage.scene import AMBIENT_DIRECTIONS, HandPose, Lens, Look, Scene

RANDOM = np.random.default_rng(7)
CLEAN = Lens()


def scene_at(distance: float, *, size: int = 128, moving: bool = False) -> Scene:
    random = np.random.default_rng(3)
    hands = []
    for side, x, away in (("right", -0.05, 0.0), ("left", 0.03, 0.05)):
        sign = 1.0 if side == "right" else -1.0
        turn = rotations.matrix_from_vector(random.normal(size=3) * 0.3) @ np.array(
            [[0.0, 0.0, -1.0], [sign, 0.0, 0.0], [0.0, -1.0, 0.0]]
        )
        rotation = rotations.quaternion_from_vector(random.normal(size=(16, 3)) * 0.15)
        rotation[0] = rotations.quaternion_from_matrix(turn)
        hands.append(HandPose(side, rotation, np.array([x, 0.08, distance + away])))
    focal = size * 3.0 * distance
    K = np.array([[focal, 0.0, size / 2], [0.0, focal, size / 2], [0.0, 0.0, 1.0]])
    ends = (
        tuple(replace(hand, translation=hand.translation + np.array([0.02, 0.0, 0.0])) for hand in hands)
        if moving
        else None
    )
    return Scene(tuple(hands), np.zeros(10), 0.095, K, size, size, look=Look(lens=CLEAN), hands_end=ends)


@pytest.mark.parametrize("distance", [0.3, 0.6, 1.5])
@pytest.mark.parametrize("moving", [False, True])
def test_the_quick_way_shows_the_same(distance: float, moving: bool) -> None:
    scene = scene_at(distance, moving=moving)
    slow, quick = draw(scene, 1, quality="reference"), draw(scene, 1, quality="full")
    for name in ("side", "part", "depth", "correspondence"):
        assert np.array_equal(getattr(slow, name), getattr(quick, name)), name
    for a, b in zip(slow.hands, quick.hands, strict=True):
        assert np.array_equal(a.visible, b.visible)
    gap = np.abs(slow.image.astype(int) - quick.image.astype(int))
    assert 0 < gap.mean() < 1.2
    assert np.percentile(gap, 99) < 16
    # Edges are as soft: where a hand meets the backdrop both ways mix them alike.
    edge = np.zeros(slow.side.shape, bool)
    edge[:, 1:] = (slow.side[:, 1:] > 0) != (slow.side[:, :-1] > 0)
    assert edge.sum() > 50 and gap[edge].mean() < 5.0


def test_every_way_gives_the_same_bytes_twice() -> None:
    scene = replace(scene_at(0.5, size=64), look=Look(lens=Lens(shot_noise=0.03, read_noise=0.01)))
    for quality in ("reference", "full", "plain"):
        first = draw(scene, 5, quality=quality)
        assert np.array_equal(first.image, draw(scene, 5, quality=quality).image)
        assert not np.array_equal(first.image, draw(scene, 6, quality=quality).image)


def test_grain_from_the_stock_is_grain() -> None:
    linear = np.full((224, 224, 3), 0.5, np.float32)
    noisy = Lens(shot_noise=0.0, read_noise=0.02)
    develop = [
        lens.develop(linear.copy(), noisy, np.random.default_rng(seed), quick=quick).astype(float)
        for seed, quick in ((0, False), (0, True), (1, True))
    ]
    deviations = [picture.std() for picture in develop]
    assert deviations[1] == pytest.approx(deviations[0], rel=0.03)
    one, other = (picture - picture.mean() for picture in develop[1:])
    assert abs((one * other).mean()) < 0.02 * one.std() * other.std()
    assert abs((one[:, 1:] * one[:, :-1]).mean()) < 0.02 * one.var()


def picture(low: float = -0.2, high: float = 4.5) -> np.ndarray:
    return RANDOM.uniform(low, high, (19, 23, 3)).astype(np.float32)


def test_kernels_give_numpys_bytes() -> None:
    light, factors = picture(), np.array([0.7, 1.1, 1.3], np.float32)
    expected = light * factors
    pixels.scale(light, factors)
    assert light.tobytes() == expected.tobytes()

    light, behind, share = picture(), picture(), RANDOM.random((19, 23)).astype(np.float32)
    expected = light + behind * (1.0 - share)[:, :, None]
    pixels.lay_over(light, behind, share)
    assert light.tobytes() == expected.tobytes()

    light = picture()
    expected = light * share[:, :, None]
    pixels.darken(light, share)
    assert light.tobytes() == expected.tobytes()

    light, grain = picture(), RANDOM.standard_normal((19, 23, 3)).astype(np.float32)
    shot, read = np.float32(0.0009), np.float32(0.0001)
    expected = light + grain * np.sqrt(np.maximum(light, 0.0) * shot + read)
    pixels.add_noise(light, grain, shot, read)
    assert light.tobytes() == expected.tobytes()

    light, curve = picture(), RANDOM.random(4096).astype(np.float32)
    steps = np.float32(4095 / 2.0)
    expected = curve[(np.sqrt(np.clip(light, 0.0, 3.99)) * steps).astype(np.int32)]
    out = np.empty_like(light)
    pixels.toned(light, curve, np.float32(3.99), steps, out)
    assert out.tobytes() == expected.tobytes()

    light, grey = picture(0, 1), RANDOM.random((19, 23)).astype(np.float32)
    expected = grey[:, :, None] + (light - grey[:, :, None]) * np.float32(0.8)
    pixels.saturate(light, grey, np.float32(0.8))
    assert light.tobytes() == expected.tobytes()

    light, soft = picture(), picture()
    expected = light + (light - soft) * np.float32(0.4)
    pixels.sharpen(light, soft, np.float32(0.4))
    assert light.tobytes() == expected.tobytes()

    light, coded = picture(-0.5, 1.5), np.empty((19, 23, 3), np.uint8)
    pixels.to_bytes(light, coded)
    expected = np.clip(light * np.float32(255.0) + np.float32(0.5), 0, 255).astype(np.uint8)
    assert coded.tobytes() == expected.tobytes()


def test_light_from_all_round_looked_at_in_pairs_is_the_same_light() -> None:
    scene = scene_at(0.5)
    assembly = render._assembled(scene, scene.hands, render.rests_of(scene))
    normals, flat = np.empty_like(assembly.points), np.empty_like(assembly.points)
    raster.vertex_normals(assembly.points, assembly.faces, normals)
    directions = AMBIENT_DIRECTIONS.astype(np.float32)
    assert np.allclose(directions[render._OPPOSITE], -directions)
    colours = RANDOM.uniform(0.1, 1.0, (12, 3)).astype(np.float32)
    wrap, size = np.float32(0.25), 72
    one, pairs = np.empty((len(flat), 4), np.float32), np.empty((len(flat), 4), np.float32)
    depth = np.empty((size, size), np.float32)
    raster.sky_light(assembly.points, normals, assembly.faces, directions, colours, size, wrap, flat, depth, one)
    raster.sky_light_in_pairs(
        assembly.points, normals, assembly.faces, directions, render._OPPOSITE, colours, size, wrap, flat, pairs
    )
    # The two look at the same depths on grids that are mirrored against each other.
    assert np.abs(one - pairs).mean() < 0.01
    assert np.corrcoef(one[:, 3], pairs[:, 3])[0, 1] > 0.98
    assert np.ptp(one[:, 3]) > 0.5


def test_moving_bodies_pass_where_they_are_half_way() -> None:
    scene = scene_at(0.5, moving=True)
    assert scene.hands_end is not None
    rests = render.rests_of(scene)
    turned = tuple(
        replace(hand, rotation=rotations.multiply(hand.rotation, rotations.quaternion_from_vector([0.0, 0.0, 0.15])))
        for hand in scene.hands_end
    )

    def points(time: float) -> np.ndarray:
        hands = tuple(render.between(a, b, time) for a, b in zip(scene.hands, turned, strict=True))
        return render._assembled(scene, hands, rests).points

    middle = render._assembled(scene, scene.hands, rests)
    for time in (-1.0, -0.6, 0.0, 0.3, 1.0):
        shown = render._on_the_way(middle, points(-1.0), points(1.0), time).points
        assert np.abs(shown - points(time)).max() < 1e-3
    assert np.abs(points(-1.0) - points(1.0)).max() > 0.03


def test_the_volume_of_a_known_body() -> None:
    points, faces, _ = things._box()
    assert things.volume(points, faces) == pytest.approx(8.0)
    assert things.volume(points + np.array([50.0, 0.0, 3.0]), faces[:, ::-1]) == pytest.approx(-8.0)
    turned_inside_out = things.lathe(np.array([[1e-4, 1.0], [1.0, 0.5], [1.0, -0.5], [1e-4, -1.0]]))
    assert things.volume(turned_inside_out[0], turned_inside_out[1]) > 0
