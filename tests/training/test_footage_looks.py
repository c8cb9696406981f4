# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes pictures vary: backdrops, light, lens, clothes, things and skins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("numba")

from blender_handmocap.engine import rotations
from training.footage import cache, lens, looks, pictures, scenery, skin, split, things
from training.footage.atlas import atlas
from training.footage.render import draw
from training.footage.scene import AMBIENT_DIRECTIONS, Backdrop, HandPose, Lens, Look, Scene, Thing, Wear


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read from or left in the user's cache."""
    monkeypatch.setenv("HANDMOCAP_CACHE", str(tmp_path))
    scenery.source.cache_clear()
    scenery.keys.cache_clear()
    monkeypatch.setattr(skin, "TEXTURE_SIZE", 64)
    skin.texture.cache_clear()


def scene_of(look: Look, *, hands: int = 1) -> Scene:
    view = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    mirror = np.diag([-1.0, 1.0, 1.0])
    poses = []
    for side, x, turn in (("right", -0.06, view), ("left", 0.06, mirror @ view @ mirror))[:hands]:
        rotation = np.tile(rotations.IDENTITY, (16, 1))
        rotation[0] = rotations.quaternion_from_matrix(turn)
        poses.append(HandPose(side, rotation, np.array([x, 0.08, 0.5])))
    K = np.array([[150.0, 0, 47.5], [0, 150.0, 47.5], [0, 0, 1.0]])
    return Scene(tuple(poses), np.zeros(10), None, K, 96, 96, look)


def test_a_lens_that_does_nothing_only_makes_light_visible() -> None:
    light = np.full((8, 8, 3), 0.2, np.float32)
    image = lens.develop(light.copy(), Lens(), np.random.default_rng(0))
    assert np.unique(image).tolist() == [round(255 * 0.2 ** (1 / 2.2))]


@pytest.mark.parametrize(
    "change",
    [
        {"exposure": 0.5}, {"white": (1.2, 1.0, 0.8)}, {"defocus": 3.0}, {"bloom": 0.5}, {"vignette": 0.5},
        {"contrast": 1.3}, {"saturation": 0.3}, {"gamma": 1.3}, {"shot_noise": 0.05}, {"read_noise": 0.03},
        {"row_noise": 0.03}, {"flicker": 0.4}, {"scale": 0.3}, {"sharpen": 1.0}, {"grey": True},
        {"blocks": "jpeg", "quality": 20}, {"blocks": "video", "quality": 20},
    ],
    ids=lambda change: next(iter(change)) + str(change.get("blocks", "")),
)  # fmt: skip
def test_each_part_of_the_lens_changes_the_picture_and_keeps_its_size(change: dict[str, object]) -> None:
    random = np.random.default_rng(1)
    light = cv2.GaussianBlur(random.random((50, 70, 3), dtype=np.float32), (0, 0), 1.5) ** 3 * 4.0
    plain = lens.develop(light.copy(), Lens(), np.random.default_rng(0))
    changed = lens.develop(light.copy(), Lens(**change), np.random.default_rng(0))  # type: ignore[arg-type]
    assert changed.shape == plain.shape
    assert changed.dtype == np.uint8
    assert not np.array_equal(changed, plain)
    # Even a bad camera shows the same scene.
    assert np.corrcoef(changed.mean(2).ravel(), plain.mean(2).ravel())[0, 1] > 0.4


@pytest.mark.parametrize("quick", [False, True])
def test_noise_grows_with_light_as_asked(quick: bool) -> None:
    random = np.random.default_rng(0)
    for level in (0.1, 0.4):
        light = np.full((200, 200, 3), level, np.float32)
        noisy = lens._noisy(light, Lens(shot_noise=0.05), random, quick=quick)
        assert noisy.std() == pytest.approx(0.05 * np.sqrt(level), rel=0.05)


def test_coarser_video_loses_more() -> None:
    image = (np.random.default_rng(0).random((64, 64, 3)) * 255).astype(np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 1.2)
    errors = [
        np.abs(lens.video_coded(image, strength, np.random.default_rng(0)).astype(int) - image).mean()
        for strength in (0, 40, 90)
    ]
    assert errors[0] < 6 < errors[1] < errors[2]


def test_backdrops_of_every_source_draw_alike_twice() -> None:
    for key in ("plain:3", "wall:1", "screen:0", "place:forest"):
        choice = Backdrop(key, (0.3, 0.5), 0.5, 0.2, True, 1.0)
        first, second = (scenery.backdrop(choice, 80, 60) for _ in range(2))
        assert first.shape == (60, 80, 3)
        assert np.isfinite(first).all()
        assert first.min() >= 0
        assert np.array_equal(first, second)


def test_the_split_parts_backdrops_and_skins() -> None:
    for source, names in scenery.keys(test=True).items():
        assert not set(names) & set(scenery.keys(test=False)[source])
        assert all(split.is_test("background", name) for name in names)
    both = looks.skins(test=True) + looks.skins(test=False)
    assert sorted(both) == list(range(skin.SKIN_COUNT))
    assert 4 <= len(looks.skins(test=True)) <= 24


def test_every_photograph_names_its_package_licence_and_credit() -> None:
    assert len(pictures.photographs()) > 20
    for photo in pictures.photographs().values():
        assert photo.licence
        assert photo.credit
        assert photo.package
    with pytest.raises(FileNotFoundError, match="pictures"):
        pictures.photograph("chelsea")


def test_light_of_a_place_follows_the_view() -> None:
    ahead = Backdrop("place:sunrise", (0.55, 0.5))
    _, sun, colour = scenery.place_lights(ahead)
    behind = replace(ahead, centre=(0.05, 0.5))
    _, turned, same = scenery.place_lights(behind)
    assert colour.min() > 0.5
    assert np.allclose(sun * [-1, 1, -1], turned, atol=1e-6)
    assert np.allclose(colour, same, rtol=1e-6)


def test_ambient_directions_are_even() -> None:
    assert np.allclose(np.linalg.norm(AMBIENT_DIRECTIONS, axis=1), 1)
    assert np.allclose(AMBIENT_DIRECTIONS.sum(0), 0)
    assert np.allclose(AMBIENT_DIRECTIONS.T @ AMBIENT_DIRECTIONS, 4 * np.eye(3))


@pytest.mark.parametrize("kind", ["sphere", "box", "cylinder", "mug", "bottle", "pen", "head", "arm", "leaf", "blob"])
def test_things_are_closed_and_outward(kind: str) -> None:
    points, faces, face_uv = things._mesh(kind, 3)  # type: ignore[arg-type]
    assert face_uv.shape == (len(faces), 3, 2)
    a, b, c = (points[faces[:, k]] for k in range(3))
    assert np.einsum("fi,fi->f", a, np.cross(b, c)).sum() > 0
    # Where a mesh repeats a place, count it once: every edge then borders one face each way.
    _, same = np.unique(points.round(6), axis=0, return_inverse=True)
    welded = same.ravel()[faces]
    welded = welded[(welded[:, 0] != welded[:, 1]) & (welded[:, 1] != welded[:, 2]) & (welded[:, 2] != welded[:, 0])]
    edges = np.concatenate([welded[:, [0, 1]], welded[:, [1, 2]], welded[:, [2, 0]]])
    directed = {(int(x), int(y)) for x, y in edges}
    assert all((y, x) in directed for x, y in directed)


def test_a_thing_in_front_hides_hand_and_keypoints_and_one_behind_does_not() -> None:
    still = rotations.IDENTITY.copy()
    bare = draw(scene_of(Look()))
    front = Thing("box", 2, (0.05, 0.05, 0.005), still, np.array([-0.06, -0.02, 0.35]))
    hidden = draw(scene_of(Look(things=(front,))))
    assert (hidden.side == 2).sum() < 0.7 * (bare.side == 2).sum()
    assert hidden.hands[0].visible.sum() < bare.hands[0].visible.sum() - 5
    behind = draw(scene_of(Look(things=(replace(front, translation=np.array([-0.06, -0.02, 0.9])),))))
    assert np.array_equal(behind.side, bare.side)
    assert np.array_equal(behind.hands[0].visible, bare.hands[0].visible)
    assert (behind.depth > 0).sum() > (bare.depth > 0).sum()


@pytest.mark.parametrize(("kind", "place"), [("ring", (1.0, 0.5)), ("watch", (0.03, 0.0)), ("sleeve", (0.02, 0.004))])
def test_what_is_worn_shows_and_rings_count_as_hand(kind: str, place: tuple[float, float]) -> None:
    bare = draw(scene_of(Look(), hands=2))
    worn = draw(scene_of(Look(wear=(Wear(1, kind, 5, place),)), hands=2))  # type: ignore[arg-type]
    changed = (worn.image != bare.image).any(2)
    assert changed.sum() > 3
    if kind == "ring":
        assert (worn.side == bare.side).mean() > 0.995
    else:
        assert (worn.side == 1).sum() < (bare.side == 1).sum()
    assert (worn.side == 2).sum() == (bare.side == 2).sum()


def test_without_hands_nothing_of_them_is_drawn() -> None:
    picture = draw(scene_of(Look(wear=(Wear(0, "sleeve", 1, (0.02, 0.004)),))), hands_shown=False)
    assert not picture.side.any()
    assert not picture.hands[0].visible.any()


def test_skins_bake_alike_cover_the_mesh_and_have_nails() -> None:
    first, second = skin.bake(5, 96), skin.bake(5, 96)
    assert np.array_equal(first.albedo, second.albedo)
    assert not np.array_equal(first.albedo, skin.bake(6, 96).albedo)
    surface = atlas(256)
    assert surface.nail.max() > 0.9
    for axis in surface.finger_axis.values():
        nail = surface.position[surface.nail > 0.5]
        # Each finger has a nail within its last centimetre and a half, on its back.
        near = np.linalg.norm(nail - axis[3], axis=1) < 0.015
        assert near.any()
    assert set(np.unique(np.concatenate([skin.tone(t) for t in (0, 1)])) < 1.0) == {True}


def test_skin_tones_run_from_light_to_dark() -> None:
    tones = np.array([skin.person(seed).tone for seed in range(skin.SKIN_COUNT)])
    counts, _ = np.histogram(tones, bins=6, range=(0, 1))
    assert counts.min() >= 5


def test_a_kept_array_is_made_once_and_survives_a_damaged_file() -> None:
    made = []

    def make() -> np.ndarray:
        made.append(1)
        return np.arange(4)

    assert cache.array("some", make).tolist() == [0, 1, 2, 3]
    assert cache.array("some", make).tolist() == [0, 1, 2, 3]
    assert len(made) == 1
    (cache.folder() / "some.npy").write_bytes(b"no array")
    assert cache.array("some", make).tolist() == [0, 1, 2, 3]
    assert len(made) == 2
