# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles for Cycles: everything a scene draws is in them, and pictures come back as from the rasteriser."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("numba")

from blender_handmocap.engine import rotations
from training.footage import cycles_bundle
from training.footage.render import bodies_of, draw, rests_of
from training.footage.scene import AMBIENT_DIRECTIONS, HandPose, Look, Scene, Thing, Wear


def scene(*, moving: bool = True) -> Scene:
    rotation = rotations.quaternion_from_vector(np.random.default_rng(1).normal(size=(16, 3)) * 0.2)
    hand = HandPose("right", rotation, np.array([0.02, 0.05, 0.5]))
    look = Look(
        glove=3,
        wear=(Wear(0, "sleeve", 5, (0.03, 0.004)), Wear(0, "ring", 6, (2.0, 0.5))),
        things=(Thing("box", 8, (0.03, 0.03, 0.03), rotations.IDENTITY, np.array([0.1, 0.0, 0.6])),),
    )
    end = (replace(hand, translation=hand.translation + np.array([0.01, 0.0, 0.0])),) if moving else None
    K = np.array([[150.0, 0.0, 48.0], [0.0, 150.0, 32.0], [0.0, 0.0, 1.0]])
    return Scene((hand,), np.zeros(10), 0.095, K, 96, 64, look=look, hands_end=end)


def test_a_bundle_holds_every_body_where_it_is(tmp_path: Path) -> None:
    clip = [scene(), scene(moving=False)]
    cycles_bundle.write(clip, tmp_path)
    with np.load(tmp_path / "scene.npz") as file:
        data = {key: file[key] for key in file.files}
    bodies = bodies_of(clip[0], clip[0].hands, rests_of(clip[0]))
    assert sum(key.endswith("_faces") for key in data) == len(bodies) == 4
    for k, body in enumerate(bodies):
        start, end = data[f"body{k}_start"], data[f"body{k}_end"]
        assert start.shape == end.shape == (2, *body.points.shape)
        # Half-way between opening and closing is where the hand is said to be.
        assert np.allclose((start[0] + end[0]) / 2, body.points, atol=2e-4)
        assert np.array_equal(start[1], end[1])
        assert np.array_equal(data[f"body{k}_faces"], body.faces)
        assert data[f"body{k}_material"][1] == pytest.approx(body.material.roughness)
    assert np.abs(data["body0_end"][0] - data["body0_start"][0])[:, 0].mean() == pytest.approx(0.02, rel=1e-3)
    assert np.array_equal(data["light0_direction"], clip[0].look.lights[0].direction)


def test_the_sky_gives_each_direction_its_own_light() -> None:
    ambient = np.random.default_rng(2).uniform(0.1, 1.0, (12, 3))
    picture = cycles_bundle.sky(ambient)
    rows, columns = picture.shape[:2]
    for direction, colour in zip(AMBIENT_DIRECTIONS, ambient, strict=True):
        # The camera's x, y, z are Blender's x, -z, y; then Blender's own formula of an all-round picture.
        x, y, z = direction[0], direction[2], -direction[1]
        u, v = 0.5 - np.arctan2(y, x) / (2 * np.pi), np.arcsin(z) / np.pi + 0.5
        seen = picture[min(int(v * rows), rows - 1), int(u * columns) % columns]
        assert np.abs(seen - colour).max() < 0.15 * np.ptp(ambient)


def test_the_same_light_gives_the_same_picture(tmp_path: Path) -> None:
    plain = replace(scene(moving=False), look=replace(scene().look, glove=None, wear=(), things=()))
    drawn = draw(plain, 4, quality="reference")
    light = np.zeros((64, 96, 4), np.float16)
    light[drawn.depth > 0] = [0.4, 0.2, 0.1, 1.0]
    np.save(tmp_path / "00000.npy", light)
    picture = cycles_bundle.picture(plain, tmp_path / "00000.npy", 4)
    # Well away from the hand nothing but the backdrop is seen, the same in both.
    away = cv2.dilate((drawn.depth > 0).astype(np.uint8), np.ones((9, 9))) == 0
    assert away.sum() > 500
    assert np.abs(picture.astype(int) - drawn.image)[away].max() <= 1
    np.save(tmp_path / "wrong.npy", light[:32])
    with pytest.raises(ValueError, match="shape"):
        cycles_bundle.picture(plain, tmp_path / "wrong.npy", 4)
