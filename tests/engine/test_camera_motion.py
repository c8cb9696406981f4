# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from blender_handmocap.engine.camera_motion import CameraMotion, background_movement
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.footage import open_footage


@pytest.fixture(scope="module")
def room() -> np.ndarray:
    """A wide picture with plenty to see."""
    random = np.random.default_rng(2)
    image = np.full((600, 1400, 3), 120, np.uint8)
    for _ in range(250):
        corner = random.integers(0, (1400, 600))
        size = random.integers(15, 120, 2)
        colour = tuple(int(value) for value in random.integers(0, 256, 3))
        cv2.rectangle(image, tuple(map(int, corner)), tuple(map(int, corner + size)), colour, cv2.FILLED)
    return cv2.GaussianBlur(image, (0, 0), 1.5)


def watch(pictures: list[np.ndarray], rate: float = 30.0) -> CameraMotion:
    motion = CameraMotion()
    for index, picture in enumerate(pictures):
        motion.look(np.ascontiguousarray(picture), index / rate)
    return motion


def test_a_pan_is_refused(room: np.ndarray) -> None:
    with pytest.raises(BadInputError, match="The camera moves"):
        watch([room[60:540, 3 * i : 3 * i + 640] for i in range(120)])


def test_a_zoom_is_refused(room: np.ndarray) -> None:
    def zoomed(share: float) -> np.ndarray:
        width, height = round(640 / share), round(480 / share)
        part = room[300 - height // 2 : 300 + height // 2, 700 - width // 2 : 700 + width // 2]
        return cv2.resize(part, (640, 480))

    with pytest.raises(BadInputError, match="The camera moves"):
        watch([zoomed(1 + 0.004 * i) for i in range(120)])


def test_a_fixed_camera_with_noise_and_something_large_that_moves_is_fine(room: np.ndarray) -> None:
    random = np.random.default_rng(0)
    pictures = []
    for i in range(90):
        picture = room[60:540, 300:940].astype(int) + random.normal(0, 4, (480, 640, 3))
        picture = np.clip(picture, 0, 255).astype(np.uint8)
        # A patterned person walks through a third of the picture.
        picture[100:, 2 * i : 2 * i + 220] = room[100:480, 1000:1220]
        pictures.append(picture)
    assert np.abs(watch(pictures).moved).max() < 0.02


def test_a_hand_held_tremble_is_fine(room: np.ndarray) -> None:
    places = [(60 + round(6 * np.sin(i / 7)), 300 + round(8 * np.cos(i / 5))) for i in range(120)]
    watch([room[y : y + 480, x : x + 640] for y, x in places])


def test_an_empty_wall_says_nothing() -> None:
    wall = np.full((120, 160), 90, np.uint8)
    assert background_movement(wall, wall) is None


def test_shift_and_growth_are_measured(room: np.ndarray) -> None:
    grey = cv2.cvtColor(room[:480, :640], cv2.COLOR_RGB2GRAY)
    middle = np.array([319.5, 239.5])
    matrix = np.array([[1.02, 0, 5.0], [0, 1.02, -3.0]])
    matrix[:, 2] += middle - 1.02 * middle
    moved = cv2.warpAffine(grey, matrix, (640, 480), borderMode=cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(background_movement(grey, moved), [5 / 640, -3 / 640, 0.01], atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["signs/bird.mkv", "close_up/human_hand_video.mp4", "no_hands/car-detection.mp4"])
def test_real_fixed_cameras_are_not_refused(data: Path, name: str) -> None:
    motion = CameraMotion()
    for frame in open_footage(data / name).frames():
        motion.look(frame.image, frame.time)
