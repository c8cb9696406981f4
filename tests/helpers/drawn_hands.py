# SPDX-License-Identifier: GPL-3.0-or-later
"""Short movies of our own hands, drawn flat but well enough for the networks to see: footage with exact truth."""

from pathlib import Path

import cv2
import numpy as np

from blender_handmocap.engine import rotations
from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import free_hand, free_hinges, free_surface
from blender_handmocap.engine.hand.names import FINGER_JOINTS, Side

WIDTH, HEIGHT, FOCAL = 640, 480, 600.0
_SKIN = np.array([196.0, 142.0, 112.0])
_WALL = (150, 156, 160)


def poses(side: Side, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """A hand that opens, bends its fingers one after the other and drifts: rotation (T, 16, 4), translation (T, 3)."""
    hinges = free_hinges(side)
    time = np.linspace(0.0, 1.0, frames)
    angles = np.zeros((frames, 16, 3))
    for order, joints in enumerate(FINGER_JOINTS.values()):
        curl = 0.5 - 0.5 * np.cos(2 * np.pi * np.clip(2.2 * time - 0.25 * order, 0.0, 1.0))
        for joint, share in zip(joints, (0.5, 0.8, 0.5), strict=True):
            angles[:, joint, 0] = curl * share * (0.3 if order == 0 else 1.0)
    rotation = rotations_from_angles(angles, hinges)
    across = -1.0 if side == "right" else 1.0
    turn = rotations.matrix_from_vector(np.stack([0.2 * time, 0.3 * across * time, 0.2 * time], axis=1))
    rotation[:, 0] = rotations.quaternion_from_matrix(turn @ upright(side))
    place = np.stack([0.09 * across + 0.02 * time, 0.10 - 0.02 * time, 0.55 + 0.05 * time], axis=1)
    return rotations.continuous(rotation), place


def upright(side: Side) -> np.ndarray:
    """(3, 3) canonical to camera: fingers up, palm towards the camera."""
    fingers = np.array([-1.0, 0.0, 0.0]) if side == "right" else np.array([1.0, 0.0, 0.0])
    back = np.array([0.0, 1.0, 0.0])
    source = np.stack([fingers, back, np.cross(fingers, back)], axis=1)
    target_fingers, target_back = np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, 1.0])
    target = np.stack([target_fingers, target_back, np.cross(target_fingers, target_back)], axis=1)
    return target @ source.T


def draw(hands: dict[Side, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """One RGB picture of hands given as rotation (16, 4) and translation (3,), forearms included."""
    camera = Camera.from_focal(WIDTH, HEIGHT, FOCAL)
    picture = np.full((HEIGHT, WIDTH, 3), _WALL, np.uint8)
    picture[:, :, 0] -= np.linspace(0, 40, WIDTH).astype(np.uint8)
    for side, (rotation, place) in sorted(hands.items(), key=lambda item: -item[1][1][2]):
        model, surface = free_hand(side), free_surface()
        vertices = model.vertices(rotation[None], place[None], model.rest())[0]
        mirror = np.array([1.0 if side == "right" else -1.0, 1.0, 1.0])
        arm = (surface.arm_template * mirror) @ rotations.matrix_from_quaternion(rotation[0]).T + place
        quads = surface.arm_quads if side == "right" else surface.arm_quads[:, ::-1]
        triangles = np.concatenate([model.triangles, quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        corners = np.concatenate([vertices, arm])[triangles]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        middles = corners.mean(1)
        facing = -(normals * middles).sum(1) / np.linalg.norm(middles, axis=1)
        light = np.clip(normals @ np.array([0.3, -0.6, -0.74]), 0.0, 1.0)
        shown = np.flatnonzero(facing > 0)
        shown = shown[np.argsort(-middles[shown, 2])]
        pixels = np.round(camera.project(corners[shown].reshape(-1, 3)).reshape(-1, 3, 2) * 16).astype(np.int32)
        for polygon, shade in zip(pixels, 0.45 + 0.55 * light[shown], strict=True):
            cv2.fillConvexPoly(picture, polygon, (_SKIN * shade).tolist(), cv2.LINE_AA, 4)
    return cv2.GaussianBlur(picture, (0, 0), 0.8)


def write_clip(path: Path, *, frames: int = 40, sides: tuple[Side, ...] = ("left", "right")) -> None:
    """A movie at 30 frames a second of `sides` moving as `poses` says."""
    moving = {side: poses(side, frames) for side in sides}
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30.0, (WIDTH, HEIGHT))
    for k in range(frames):
        picture = draw({side: (rotation[k], place[k]) for side, (rotation, place) in moving.items()})
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    writer.release()
