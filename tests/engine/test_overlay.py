# SPDX-License-Identifier: GPL-3.0-or-later
"""The overlay draws the hands where the camera sees them, and nothing where there is none."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.overlay import OverlayPainter, write_overlay
from blender_handmocap.engine.rotations import IDENTITY
from blender_handmocap.engine.take import HandTrack, State, Take

WIDTH, HEIGHT = 320, 241
MODELS = {side: free_hand(side) for side in SIDES}


def make_take(frames: int = 3) -> Take:
    camera = Camera.from_focal(WIDTH, HEIGHT, 300.0)
    rest = MODELS["right"].rest()
    rotation = np.tile(IDENTITY, (frames, 16, 1))
    translation = np.tile([0.08, 0.0, 0.5], (frames, 1))
    right = replace(
        HandTrack.absent(frames),
        state=np.full(frames, State.SEEN, np.uint8),
        rotation=rotation,
        translation=translation,
        points=MODELS["right"].pose(rotation, translation, rest).keypoints,
    )
    return Take(
        meta={"rate": [30, 1]},
        frame=np.arange(frames, dtype=np.int32) + 5,
        time=np.arange(frames) / 30.0,
        K=camera.K,
        dist=camera.dist,
        left=HandTrack.absent(frames),
        right=right,
        betas=np.zeros(10),
        size=MODELS["right"].palm_length,
    )


def test_only_the_hand_is_painted() -> None:
    take, image = make_take(), np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    camera = Camera.from_focal(WIDTH, HEIGHT, 300.0)
    drawn = OverlayPainter(take, MODELS).draw(image, 0)
    changed = (drawn != image).any(-1)
    assert (image == 100).all()
    pixels = camera.project(take.right.points[0])
    for x, y in pixels:
        assert changed[round(y), round(x)]
    margin = 25
    low, high = pixels.min(0) - margin, pixels.max(0) + margin
    ys, xs = np.nonzero(changed)
    assert xs.min() > low[0] and xs.max() < high[0] and ys.min() > low[1] and ys.max() < high[1]


def test_an_absent_hand_leaves_the_picture_alone() -> None:
    take, image = make_take(), np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    empty = replace(take, right=HandTrack.absent(3))
    painter = OverlayPainter(empty, MODELS)
    np.testing.assert_array_equal(painter.draw(image, 1), image)


def test_the_movie_holds_the_takes_frames_only(tmp_path: Path) -> None:
    frames = [(number, np.full((HEIGHT, WIDTH, 3), 90, np.uint8)) for number in range(4, 9)]
    path = tmp_path / "o.mp4"
    assert write_overlay(make_take(), frames, path, models=MODELS, size=(WIDTH, HEIGHT)) == 3
    movie = cv2.VideoCapture(str(path))
    assert movie.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert movie.get(cv2.CAP_PROP_FRAME_HEIGHT) == HEIGHT - 1


def test_stills_of_another_size_are_drawn_by_their_own_camera_and_fitted_into_the_movie(tmp_path: Path) -> None:
    take = make_take(2)
    small = Camera.from_focal(WIDTH // 2, HEIGHT // 2, 150.0)
    take = replace(take, K=np.stack([take.K, small.K]))
    image = np.full((HEIGHT // 2, WIDTH // 2, 3), 100, np.uint8)
    drawn = OverlayPainter(take, MODELS).draw(image, 1)
    for x, y in small.project(take.right.points[1]):
        assert (drawn[round(y), round(x)] != 100).any()
    frames = [(5, np.full((HEIGHT, WIDTH, 3), 100, np.uint8)), (6, image)]
    assert write_overlay(take, frames, tmp_path / "o.mp4", models=MODELS, size=(WIDTH, HEIGHT)) == 2


def test_a_path_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="could not be written"):
        write_overlay(make_take(), [], tmp_path / "no" / "o.mp4", models=MODELS, size=(WIDTH, HEIGHT))
