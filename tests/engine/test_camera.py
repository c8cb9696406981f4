# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from blender_handmocap.engine.camera import Camera, choose_camera, load_camera_path
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.settings import Settings

DISTORTION = (-0.28, 0.09, 0.0012, -0.0007, -0.011)


def some_points(count: int = 50) -> np.ndarray:
    random = np.random.default_rng(1)
    return np.stack(
        [random.uniform(-0.3, 0.3, count), random.uniform(-0.2, 0.2, count), random.uniform(0.4, 1.2, count)], axis=-1
    )


@pytest.mark.parametrize("distortion", [(), DISTORTION])
def test_projection_agrees_with_opencv(distortion: tuple[float, ...]) -> None:
    camera = Camera.from_focal(640, 480, 555.0, distortion=distortion)
    expected = cv2.projectPoints(some_points(), np.zeros(3), np.zeros(3), camera.K, camera.dist)[0][:, 0]
    np.testing.assert_allclose(camera.project(some_points()), expected, atol=1e-9)


@pytest.mark.parametrize("distortion", [(), DISTORTION])
def test_rays_undo_projection(distortion: tuple[float, ...]) -> None:
    camera = Camera.from_focal(640, 480, 555.0, distortion=distortion)
    points = some_points().reshape(5, 10, 3)
    np.testing.assert_allclose(camera.rays(camera.project(points)), points / points[..., 2:], atol=1e-6)


def test_points_behind_the_camera_have_no_pixel() -> None:
    camera = Camera.estimated(640, 480)
    pixels = camera.project([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [0.1, 0.0, 0.0], [np.nan, 0.0, 1.0]])
    np.testing.assert_allclose(pixels[0], [319.5, 239.5])
    assert np.isnan(pixels[1:3]).all()
    assert np.isnan(pixels[3, 0])


def test_field_of_view_spans_the_width() -> None:
    camera = Camera.from_fov(1280, 720, 90.0)
    edges = camera.rays([[-0.5, 359.5], [1279.5, 359.5]])
    np.testing.assert_allclose(edges, [[-1, 0, 1], [1, 0, 1]], atol=1e-12)


def test_portrait_and_landscape_get_the_same_usual_lens() -> None:
    assert Camera.estimated(1920, 1080).K[0, 0] == Camera.estimated(1080, 1920).K[0, 0]


def test_film_focal_length_is_by_the_diagonal() -> None:
    assert Camera.from_film(3600, 2400, 50.0).K[0, 0] == pytest.approx(5000.0)


def test_what_the_user_says_comes_first() -> None:
    chosen = [
        choose_camera(640, 480, Settings(focal=700.0), film_focal=26.0),
        choose_camera(640, 480, Settings(fov=60.0), film_focal=26.0),
        choose_camera(640, 480, Settings(), film_focal=26.0),
        choose_camera(640, 480, Settings(distortion=(0.1,))),
    ]
    assert [camera.source for camera in chosen] == ["given", "given", "metadata", "estimated"]
    assert chosen[0].K[0, 0] == 700.0
    assert chosen[1].K[0, 0] == pytest.approx(320 / np.tan(np.pi / 6))
    assert chosen[3].dist.tolist() == [0.1, 0, 0, 0, 0]


def test_resolution_changes_pixels_not_rays() -> None:
    camera = Camera.from_focal(640, 480, 555.0, distortion=DISTORTION)
    large = camera.with_size(1280, 960)
    pixels = camera.project(some_points())
    np.testing.assert_allclose(large.project(some_points()), (pixels + 0.5) * 2 - 0.5)


def test_mirrored_camera_sees_mirrored_points() -> None:
    camera = Camera(np.array([[500.0, 0, 300], [0, 510, 250], [0, 0, 1]]), np.array(DISTORTION), 640, 480)
    pixels = camera.project(some_points())
    flipped = camera.mirrored().project(some_points() * [-1, 1, 1])
    np.testing.assert_allclose(flipped, np.stack([639 - pixels[:, 0], pixels[:, 1]], -1), atol=1e-9)


def test_camera_path_gives_each_frame_its_camera(tmp_path: Path) -> None:
    path = tmp_path / "path.npz"
    K = np.stack([np.diag([500.0 + i, 500.0 + i, 1.0]) for i in range(3)])
    np.savez(path, K=K, rotation=np.tile(np.eye(3), (3, 1, 1)), translation=np.zeros((3, 3)), frame=[10, 20, 30])
    loaded = load_camera_path(path)
    assert [loaded.camera(frame, 640, 480).K[0, 0] for frame in (0, 14, 16, 99)] == [500, 500, 501, 502]


@pytest.mark.parametrize(
    "arrays",
    [
        {"K": np.eye(3), "rotation": np.eye(3), "translation": np.zeros(3)},
        {"K": np.eye(3), "rotation": np.ones((2, 3, 3)), "translation": np.zeros((2, 3))},
        {"K": np.full((3, 3), np.nan), "rotation": np.tile(np.eye(3), (2, 1, 1)), "translation": np.zeros((2, 3))},
        {"K": np.eye(3)},
    ],
)
def test_a_camera_path_that_cannot_be_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    path = tmp_path / "path.npz"
    np.savez(path, **arrays)
    with pytest.raises(BadInputError, match="cannot be used"):
        load_camera_path(path)


def test_a_missing_camera_path_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no numbers")
    for name in ("nowhere.npz", "text.npz"):
        with pytest.raises(BadInputError, match="cannot be used"):
            load_camera_path(tmp_path / name)
