# SPDX-License-Identifier: GPL-3.0-or-later
"""An empty Blender file for each test, and takes and clips to put into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import bpy
import cv2
import numpy as np
import pytest
from numpy.typing import ArrayLike

from blender_handmocap.engine import rotations
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.hand.names import SIDES, Side
from blender_handmocap.engine.take import HandTrack, State, Take

MakeTake = Callable[..., Take]


@pytest.fixture
def scene() -> Iterator[bpy.types.Scene]:
    """The scene of an empty file."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    yield bpy.context.scene
    bpy.ops.wm.read_factory_settings(use_empty=True)


def _track(side: Side, frames: int, times: np.ndarray, betas: np.ndarray, size: float) -> HandTrack:
    """A hand that turns, bends its fingers and crosses the picture at a speed everyone can see."""
    phase = 0.0 if side == "left" else 1.0
    vectors = np.zeros((frames, 16, 3))
    bend = 0.5 + 0.4 * np.sin(3.0 * times + phase)
    vectors[:, 1:, 2] = bend[:, None] * (1.0 if side == "right" else -1.0)
    vectors[:, 0] = np.stack([1.0 + 0.3 * times, 2.0 * np.sin(times + phase), 0.5 * np.cos(2.0 * times)], axis=-1)
    rotation = rotations.continuous(rotations.quaternion_from_vector(vectors))
    x = (0.1 if side == "right" else -0.1) + 0.05 * np.sin(2.0 * times)
    translation = np.stack([x, 0.05 * np.cos(3.0 * times), 0.6 + 0.1 * np.sin(times)], axis=-1)
    model = free_hand(side)
    return replace(
        HandTrack.absent(frames),
        state=np.full(frames, State.SEEN, np.uint8),
        confidence=np.linspace(0.4, 0.9, frames),
        rotation=rotation,
        translation=translation,
        points=model.pose(rotation, translation, model.rest(betas, size)).keypoints,
    )


@pytest.fixture
def make_take() -> MakeTake:
    """Build a take of `frames` frames; `times` overrides the even time stamps."""

    def make(
        frames: int = 40,
        *,
        rate: Fraction = Fraction(30),
        size: tuple[int, int] = (640, 480),
        K: ArrayLike | None = None,
        first: int = 0,
        times: ArrayLike | None = None,
        source: str = "",
        sides: tuple[Side, ...] = SIDES,
    ) -> Take:
        stamps = (first + np.arange(frames)) / float(rate) if times is None else np.asarray(times, dtype=np.float64)
        betas, palm = np.linspace(-1.0, 1.0, 10), 0.1
        tracks = {
            side: _track(side, frames, stamps, betas, palm) if side in sides else HandTrack.absent(frames)
            for side in SIDES
        }
        centred = [[600.0, 0.0, (size[0] - 1) / 2], [0.0, 600.0, (size[1] - 1) / 2], [0.0, 0.0, 1.0]]
        return Take(
            meta={
                "source": source,
                "rate": [rate.numerator, rate.denominator],
                "width": size[0],
                "height": size[1],
                "mirrored": False,
            },
            frame=np.arange(first, first + frames, dtype=np.int32),
            time=stamps,
            K=np.asarray(centred if K is None else K, dtype=np.float64),
            dist=np.zeros(5),
            left=tracks["left"],
            right=tracks["right"],
            betas=betas,
            size=palm,
        )

    return make


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Path]:
    """Write a movie whose picture n is a plain grey of its own."""

    def make(frames: int = 40, *, rate: float = 30.0, size: tuple[int, int] = (640, 480)) -> Path:
        path = tmp_path / f"clip_{frames}_{rate:.3f}_{size[0]}.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate, size)
        assert writer.isOpened()
        for index in range(frames):
            writer.write(np.full((size[1], size[0], 3), 5 + (index * 4) % 240, np.uint8))
        writer.release()
        return path

    return make
