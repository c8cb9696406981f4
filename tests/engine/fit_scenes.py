# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes with known truth: smooth motion of the free hands, seen with the noise of a detector."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.names import SIDES, Side
from blender_handmocap.engine.take import HandTrack, Take

FOCAL = 800.0
K = np.array([[FOCAL, 0.0, 320.0], [0.0, FOCAL, 240.0], [0.0, 0.0, 1.0]])
SIZE = 0.085


@dataclass(frozen=True)
class Scene:
    """What is seen, and what is true."""

    take: Take
    truth: dict[Side, HandTrack]


def scene(
    frames: int = 60,
    *,
    sides: tuple[Side, ...] = ("right",),
    noise: float = 1.0,
    seed: int = 0,
    rate: float = 30.0,
    apart: float = 0.25,
    tempo: float = 1.0,
    betas: np.ndarray | None = None,
) -> Scene:
    """`noise` 1: 2 % of the hand in the picture, 8 mm and 10 degrees in 3D; wrists about `apart` metres apart."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames) / rate
    tracks = {side: HandTrack.absent(frames) for side in SIDES}
    truth = dict(tracks)
    for side in sides:
        truth[side] = _motion(side, time, rng, apart if len(sides) == 2 else 0.0, tempo, betas)
        tracks[side] = _seen(truth[side], rng, noise)
    take = Take(
        meta={"source": "scene", "rate": [int(rate), 1], "width": 640, "height": 480, "definition": "model"},
        frame=np.arange(frames, dtype=np.int32),
        time=time,
        K=K,
        dist=np.zeros(5),
        left=tracks["left"],
        right=tracks["right"],
        betas=np.zeros(10),
        size=SIZE,
    )
    return Scene(take, truth)


def _smooth(rng: np.random.Generator, time: np.ndarray, shape: tuple[int, ...], tempo: float) -> np.ndarray:
    """(T, *shape) sums of slow sines of about unit size."""
    out = np.zeros((len(time), *shape))
    for _ in range(3):
        speed, phase = rng.uniform(0.5, 2.5, shape) * tempo, rng.uniform(0, 2 * np.pi, shape)
        out += np.sin(speed * time.reshape(-1, *[1] * len(shape)) * 2.0 + phase) / 1.7
    return out


def _motion(
    side: Side, time: np.ndarray, rng: np.random.Generator, apart: float, tempo: float, betas: np.ndarray | None
) -> HandTrack:
    hinges = free_hinges(side)
    share = 0.45 + 0.28 * _smooth(rng, time, (16, 3), tempo)
    share[:, 1:, 0] = 0.4 + 0.25 * _smooth(rng, time, (15,), tempo)
    angles = hinges.limits[..., 0] + np.clip(share, 0.05, 0.95) * (hinges.limits[..., 1] - hinges.limits[..., 0])
    # Fingers up, back of the hand to the camera, then turned about.
    upright = rotations.quaternion_from_matrix(
        np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
        if side == "right"
        else np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    )
    root = rotations.multiply(rotations.quaternion_from_vector(0.4 * _smooth(rng, time, (3,), tempo)), upright)
    rotation = rotations_from_angles(angles * hinges.free, hinges, root)
    middle = np.array([0.5 * apart * (1.0 if side == "right" else -1.0), 0.05, 0.55])
    place = middle + np.array([0.03, 0.03, 0.05]) * _smooth(rng, time, (3,), tempo)
    model = free_hand(side)
    points = model.pose(rotation, place, model.rest(betas, SIZE)).keypoints
    return replace(
        HandTrack.absent(len(time)),
        state=np.ones(len(time), np.uint8),
        confidence=np.full(len(time), 0.95),
        rotation=rotations.continuous(rotation),
        translation=place,
        points=points,
    )


def _seen(truth: HandTrack, rng: np.random.Generator, noise: float) -> HandTrack:
    points = truth.points
    count = len(points)
    pixels = points[..., :2] / points[..., 2:] * FOCAL + K[:2, 2]
    box = np.ptp(pixels, axis=1).max(1)
    # Half of a detector's error stays from frame to frame.
    error = 0.7 * rng.normal(size=(count, 21, 2)) + 0.7 * rng.normal(size=(1, 21, 2))
    pixels = pixels + noise * 0.02 * box[:, None, None] * error / np.sqrt(2.0)
    turn = 0.7 * rng.normal(size=(count, 3)) + 0.7 * rng.normal(size=(1, 3))
    turn = rotations.matrix_from_vector(noise * np.radians(10.0) / np.sqrt(3.0) * turn)
    shape = (points - points[:, :1]) @ np.swapaxes(turn, 1, 2)
    error = 0.7 * rng.normal(size=(count, 21, 3)) + 0.7 * rng.normal(size=(1, 21, 3))
    shape = shape + noise * 0.008 * error / np.sqrt(3.0)
    shape -= shape[:, :1]
    unit = np.linalg.norm(shape[:, [5, 9, 13, 17]], axis=-1).mean(1)
    return replace(
        HandTrack.absent(count),
        state=np.ones(count, np.uint8),
        confidence=np.full(count, 0.95),
        seen2d=pixels,
        seen2d_sigma=np.repeat(0.02 * box[:, None], 21, axis=1),
        seen3d=shape / unit[:, None, None],
        seen3d_sigma=np.full((count, 21), 0.1),
        visibility=np.ones((count, 21)),
    )


def rotation_error(found: HandTrack, truth: HandTrack, frames: np.ndarray | slice = slice(None)) -> np.ndarray:
    """(T, 16) degrees."""
    return np.degrees(rotations.angle_between(found.rotation[frames], truth.rotation[frames]))
