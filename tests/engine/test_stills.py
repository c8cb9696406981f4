# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures without order: each has its own size and its own camera."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_hands import FOCAL, write_clip

from blender_handmocap.engine import pipeline
from blender_handmocap.engine.camera import Camera, camera_of_still
from blender_handmocap.engine.footage import open_footage
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.notes import describe
from blender_handmocap.engine.progress import Progress
from blender_handmocap.engine.settings import Settings
from blender_handmocap.engine.take import Take, load_take

STILLS = Settings(mode="stills", focal=FOCAL, device="cpu", threads=1)


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One picture as it is, twice as large, and as it is once more."""
    folder = tmp_path_factory.mktemp("album")
    movie = folder.parent / "still.mp4"
    write_clip(movie, frames=1)
    picture = next(iter(open_footage(movie).frames())).image[..., ::-1]
    larger = cv2.resize(picture, None, fx=2.0, fy=2.0, interpolation=cv2.INTER_CUBIC)
    for index, image in enumerate((picture, larger, picture)):
        cv2.imwrite(str(folder / f"{index}.png"), image)
    return folder


@pytest.fixture(scope="module")
def take(album: Path, tmp_path_factory: pytest.TempPathFactory) -> Take:
    out = tmp_path_factory.mktemp("out") / "t.take.npz"
    told: list[Progress] = []
    pipeline.capture(str(album), STILLS, out=out, on_progress=told.append)
    assert [told[-1].stage, told[-1].done] == ["solving", told[-1].total]
    return load_take(out)


def test_every_still_keeps_its_size_and_camera(take: Take, album: Path) -> None:
    width, height = take.picture_size(0)
    assert [take.picture_size(i) for i in range(3)] == [(width, height), (2 * width, 2 * height), (width, height)]
    np.testing.assert_allclose(take.K[:, 0, 0], [FOCAL, 2 * FOCAL, FOCAL])
    np.testing.assert_allclose(take.K[1, :2, 2], [width - 0.5, height - 0.5])


def test_the_same_picture_at_another_size_gives_the_same_hands(take: Take) -> None:
    for side in SIDES:
        track = take.track(side)
        assert track.present.all()
        np.testing.assert_allclose(track.translation[2], track.translation[0], atol=1e-6)
        # The networks see nearly the same crop: a camera of the wrong size would put the hand at half the distance.
        np.testing.assert_allclose(track.translation[1], track.translation[0], rtol=0.03, atol=0.005)


def test_the_sizes_are_told(take: Take) -> None:
    width, height = take.picture_size(0)
    assert f"{width} x {height} to {2 * width} x {2 * height}\n" in describe(take)


def test_the_overlay_shows_them_all(take: Take, album: Path, tmp_path: Path) -> None:
    assert pipeline.write_overlay_of(take, str(album), tmp_path / "o.mp4") == 3


def test_a_still_that_was_seen_before_the_capture_was_resumed_is_known_too(album: Path) -> None:
    footage = open_footage(album, any_size=True)
    assert footage.lens_of(1)[:2] == (2 * footage.width, 2 * footage.height)
    assert open_footage(album).lens_of(1)[:2] == (footage.width, footage.height)


def test_a_further_still_has_the_lens_that_was_given_or_its_own() -> None:
    given = Camera.from_focal(640, 480, 600.0, distortion=(0.1,))
    assert camera_of_still(given, 640, 480, film_focal=50.0) is given
    turned = camera_of_still(given, 480, 640)
    assert turned.K[0, 0] == 600.0 and turned.K[0, 2] == 239.5 and turned.dist[0] == 0.1
    guessed = Camera.estimated(640, 480)
    film = camera_of_still(guessed, 640, 480, film_focal=50.0)
    assert film.source == "metadata" and film.K[0, 0] == pytest.approx(50.0 / np.hypot(36, 24) * 800.0)
    assert camera_of_still(film, 320, 240).K[0, 0] == pytest.approx(guessed.K[0, 0] / 2)
