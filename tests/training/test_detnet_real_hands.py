# SPDX-License-Identifier: GPL-3.0-or-later
"""Fitted real hands: kept with a camera that fits their cut, drawn again in their own skin, pasted with true labels."""

from __future__ import annotations

import argparse
import os
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")

from blender_handmocap.engine import rotations
from blender_handmocap.engine.hand.free import free_hinges
from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.landmarks import HandNetwork
from blender_handmocap.engine.see.palms import PalmDetector
from blender_handmocap.engine.see.regions import RegionFinder
from training.detnet import composites, nobody, redrawn
from training.detnet.fitted import EVERY, SIZE, FittedHands, chosen, gathered, thinning
from training.detnet.real import write
from training.footage import dataset
from training.footage.atlas import atlas
from training.footage.compositing import Cutout
from training.footage.cutouts import Fitted
from training.footage.render import SIDE_LABEL, draw
from training.footage.scene import HandPose, Scene

UPRIGHT = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
COLOUR = (215, 150, 105)
"""of the skin in the photograph, sRGB"""


@pytest.fixture(scope="module")
def hands() -> FittedHands:
    """One right hand whose fit is exact, its back to the camera, before a white wall."""
    rotation = np.tile(rotations.IDENTITY, (16, 1))
    rotation[0] = rotations.quaternion_from_matrix(UPRIGHT)
    K = np.array([[500.0, 0, 199.5], [0, 500.0, 199.5], [0, 0, 1.0]])
    scene = Scene((HandPose("right", rotation, np.array([0.03, 0.1, 0.5])),), np.zeros(10), None, K, 400, 400)
    drawn = draw(scene, quality="plain")
    mask = (drawn.side == SIDE_LABEL["right"]) & (drawn.part < 17)
    image = np.where(mask[..., None], COLOUR, 255).astype(np.uint8)
    truth = drawn.hands[0]
    cutout = Cutout(image, mask.astype(np.float32), drawn.depth, "right", truth.keypoints2d, truth.visible)
    return gathered([Fitted(scene, cutout)])


def test_pictures_are_thinned_by_source_and_those_of_another_file_left_out() -> None:
    pictures = [("digits", np.full((1, 1, 3), k, np.uint8)) for k in range(40)]
    pictures += [("clips", np.full((1, 1, 3), 100 + k, np.uint8)) for k in range(7)]

    def taken(*arguments: dict[str, int]) -> list[int]:
        return [int(image[0, 0, 0]) for image in chosen(pictures, *arguments)]

    first = taken(EVERY)
    assert first == [0, 9, 18, 27, 36, 100, 103, 106]
    denser = taken({"digits": 3, "clips": 1}, EVERY)
    assert denser == [3, 6, 12, 15, 21, 24, 30, 33, 39, 101, 102, 104, 105]
    assert not set(first) & set(denser)


@pytest.mark.parametrize("text", ["digits", "digits=", "digits=0", "two_views=3"])
def test_a_thinning_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="digits=N, clips=N"):
        thinning(text)


def test_the_cut_has_the_camera_that_sees_it(hands: FittedHands, tmp_path: Path) -> None:
    drawn = draw(hands.scene(0), quality="plain")
    mesh, cut = (drawn.side > 0) & (drawn.part < 17), hands.mask[0] > 0
    assert (mesh & cut).sum() / (mesh | cut).sum() > 0.97
    assert 0.1 < cut.mean() < 0.6
    hands.save(tmp_path / "hands.npz")
    again = FittedHands.read(tmp_path / "hands.npz")
    assert len(again) == 1 and again.side(0) == "right"
    assert all(np.array_equal(getattr(hands, name), getattr(again, name)) for name in vars(hands))


def test_light_that_follows_the_surface_is_taken_out() -> None:
    random = np.random.default_rng(0)
    normals = rotations.matrix_from_quaternion(rotations.normalized(random.normal(size=(500, 4))))[:, 2]
    normals[:, 2] = -np.abs(normals[:, 2])
    light = 0.6 + 0.2 * normals[:, 0] - 0.1 * normals[:, 1]
    colour = light[:, None] * np.array([0.5, 0.3, 0.2])
    even = redrawn.evened(colour.astype(np.float32), normals.astype(np.float32))
    assert even.std(0).max() < 0.01 * even.mean()
    np.testing.assert_allclose(even.mean(0) / even.mean(), [1.5, 0.9, 0.6], rtol=1e-3)


def test_the_skin_has_the_photographs_colour_where_it_was_seen_and_is_tinted_elsewhere(
    hands: FittedHands, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = redrawn.seen_skin(hands, 0)
    assert len(seen.place) > 0.08 * SIZE**2
    monkeypatch.setattr(redrawn, "_PAINTED", 1)
    redrawn.painted.cache_clear()
    whole = redrawn.skin_of(seen)
    redrawn.painted.cache_clear()
    surface = atlas(redrawn.TEXTURE_SIZE)
    albedo = whole.albedo[surface.rows, surface.columns]
    photographed = (np.array(COLOUR) / 255.0) ** 2.2
    hand = surface.weight[:, -1] < 0.01
    back, palm = (hand & side for side in (surface.normal[:, 1] > 0.9, surface.normal[:, 1] < -0.9))
    np.testing.assert_allclose(np.median(albedo[back], 0), photographed, rtol=0.1)
    # Nobody saw the palm: it has a palm's lines and spots, in about that colour.
    np.testing.assert_allclose(albedo[palm].mean(0) / albedo[palm].mean(), photographed / photographed.mean(), rtol=0.5)
    assert albedo[palm].std(0).mean() > 3.0 * albedo[back].std(0).mean()


def test_rows_are_drawn_in_that_skin_with_exact_labels(hands: FittedHands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redrawn, "_PAINTED", 1)
    redrawn.painted.cache_clear()
    made = list(redrawn.rows(hands, dataset.Settings(seed=5), 2))
    redrawn.painted.cache_clear()
    assert len(made) == 2
    for row in made:
        assert row.crop.picture.scene.look.skin_texture is not None
        assert np.abs(row.crop.picture.scene.betas).max() <= 3.0
        K, points = row.crop.picture.scene.K, row.crop.target.keypoints3d
        if row.shows_hand:
            places = points[:, :2] / points[:, 2:] * [K[0, 0], K[1, 1]] + K[:2, 2]
            np.testing.assert_allclose(places, row.crop.target.keypoints2d, atol=1e-6)


def test_poses_about_a_hand_stay_within_its_joints() -> None:
    hinges = free_hinges("right")
    middle = hinges.limits.mean(-1) * hinges.free
    near = redrawn.poses_about(middle, np.random.default_rng(0), 50)
    assert (near >= hinges.limits[..., 0] - 1e-9).all() and (near <= hinges.limits[..., 1] + 1e-9).all()
    bending = hinges.free & (middle != 0.0) & (np.ptp(hinges.limits, axis=-1) > 1.0)
    assert bending.sum() >= 10
    assert np.degrees(near.std(0)[bending]).min() > 2.0
    np.testing.assert_allclose(near.mean(0)[bending], middle[bending], atol=0.05)
    assert not near[:, ~hinges.free].any()


def test_pasted_crops_have_their_points_on_a_hand_or_say_that_it_is_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composites, "worn", lambda image, random: image)
    grid = np.stack(np.meshgrid(np.linspace(45, 115, 7), np.linspace(70, 120, 3)), -1).reshape(21, 2)
    mask = np.zeros((160, 160), np.float32)
    mask[60:130, 35:125] = 1.0
    image = np.full((160, 160, 3), (250, 10, 250), np.uint8)
    piece = Cutout(image, mask, np.full(mask.shape, 0.5, np.float32), "right", grid, np.ones(21, bool))
    random, kinds = np.random.default_rng(2), []
    for _ in range(30):
        one, of_side = composites.row([piece, piece.mirrored()], random)
        kinds.append(of_side)
        assert one.image.shape == (224, 224, 3)
        assert one.use.all() == one.use.any() == of_side
        column, line = np.rint(one.points).astype(int).T
        inside = (column >= 0) & (line >= 0) & (column < 224) & (line < 224)
        red, green, blue = one.image[line[inside], column[inside]].astype(int).T
        assert ((red > 150) & (blue > 150) & (green < 100)).mean() > 0.9
    assert 0 < kinds.count(False) < 10


@pytest.mark.skipif("HANDMOCAP_DATA" not in os.environ, reason="HANDMOCAP_DATA does not name the street")
def test_crops_of_nobody_hold_no_hand_that_is_sure(tmp_path: Path) -> None:
    data, runtime = Path(os.environ["HANDMOCAP_DATA"]), Runtime.choose("cpu", 1)
    random = np.random.default_rng(3)
    palms, eyes = PalmDetector(runtime, RegionFinder(runtime)), HandNetwork(runtime)
    some = list(islice(nobody.places(data, random), 12)) + list(islice(nobody.mistaken(data, palms, random), 12))
    middle = np.array([112.0, 112.0, 224.0, 224.0, 0.0])
    assert max(eyes.look(image, [middle])[0].presence for image in some) < 0.9
    write(tmp_path / "nobody", [], some, random)
    assert not np.load(tmp_path / "nobody" / "flags.npy").any()
    assert not np.load(tmp_path / "nobody" / "use_2d.npy").any()
    assert np.load(tmp_path / "nobody" / "image.npy").shape == (24, 224, 224, 3)
