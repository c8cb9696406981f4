# SPDX-License-Identifier: GPL-3.0-or-later
"""Photos of a flat hand on a sheet of paper or beside a bank card, drawn from a hand whose every bone is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from blender_handmocap.engine import rotations
from blender_handmocap.engine.calibrate.references import Reference
from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import free_hand, free_hinges, free_surface
from blender_handmocap.engine.hand.names import FINGER_JOINTS, KEYPOINT_PARENTS, SIDES, Side

WIDTH, HEIGHT, FOCAL = 1280, 960, 1000.0
_SKIN = np.array([203.0, 150.0, 122.0])


@dataclass(frozen=True)
class Photo:
    """A picture and its truth."""

    image: np.ndarray
    side: Side
    size: float
    """palm length, metres"""
    bones: np.ndarray
    """(20,) metres, from each keypoint but the wrist to its parent"""
    corners: np.ndarray
    """(4, 2) of the reference, pixels"""


@dataclass(frozen=True)
class Lying:
    """A hand on a table: plane axes as engine/calibrate has them (z away from the camera), metres."""

    side: Side
    betas: np.ndarray
    size: float
    rotation: np.ndarray
    """(16, 4)"""
    translation: np.ndarray
    """(3,)"""


def lying(seed: int, reference: Reference) -> Lying:
    """A flat hand with spread fingers, another for each seed, lying on the sheet or beside the card."""
    random = np.random.default_rng(seed)
    side = SIDES[seed % 2]
    betas = random.normal(0.0, 0.8, 10)
    size = float(free_hand(side).palm_length * random.uniform(0.9, 1.12))
    angles = np.zeros((16, 3))
    for finger, joints in FINGER_JOINTS.items():
        if finger != "thumb":
            spread = {"index": 0.2, "middle": 0.03, "ring": -0.12, "pinky": -0.3}[finger]
            angles[joints[0], 1] = spread + random.normal(0.0, 0.03)
            angles[list(joints), 0] = random.normal(0.03, 0.02, 3)
    hinges = free_hinges(side)
    yaw = (np.pi / 2 if side == "right" else -np.pi / 2) + random.uniform(-0.25, 0.25)
    base = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    turn = rotations.matrix_from_vector(np.array([0.0, 0.0, yaw])) @ base
    rotation = rotations_from_angles(angles, hinges, rotations.quaternion_from_matrix(turn))
    model = free_hand(side)
    rest = model.rest(betas, size)
    vertices = model.vertices(rotation[None], np.zeros((1, 3)), rest)[0]
    fingers_and_palm = np.abs(model.template[:, 0]) > 0.01
    low = vertices[fingers_and_palm & (np.sign(-model.template[:, 0]) == (1 if side == "right" else -1)), 2].max()
    place = np.array([0.0, 0.075, -low])
    if not reference.under_hand:
        place[:2] = (-0.05 if side == "right" else 0.05, 0.06)
    return Lying(side, betas, size, rotation, place)


def rectangle(reference: Reference, side: Side) -> np.ndarray:
    """(4, 3) corners in the plane, metres: upright under the hand, or beside it."""
    w, h = reference.height / 2.0, reference.width / 2.0
    corners = np.array([[-w, -h, 0.0], [w, -h, 0.0], [w, h, 0.0], [-w, h, 0.0]])
    if not reference.under_hand:
        corners[:, 0] += 0.115 if side == "right" else -0.115
    return corners


def view(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Plane to camera, rotation (3, 3) and translation (3,): from above, a little from the side."""
    random = np.random.default_rng(1000 + seed)
    tilt = np.array([random.uniform(-0.15, 0.15), random.uniform(-0.15, 0.15), random.uniform(-0.1, 0.1)])
    return rotations.matrix_from_vector(tilt), np.array([0.0, 0.0, random.uniform(0.42, 0.5)])


def bones_of(hand: Lying) -> np.ndarray:
    """(20,) metres."""
    model = free_hand(hand.side)
    still = np.tile(rotations.IDENTITY, (1, 16, 1))
    points = model.pose(still, np.zeros((1, 3)), model.rest(hand.betas, hand.size)).keypoints[0]
    return np.linalg.norm(points[1:] - points[np.array(KEYPOINT_PARENTS[1:])], axis=1)


def photo(seed: int, reference: Reference) -> Photo:
    """A drawn photo: no textures and no cast shadows, but true perspective, shading, and the height of the hand."""
    hand, camera = lying(seed, reference), Camera.from_focal(WIDTH, HEIGHT, FOCAL)
    turn, away = view(seed)

    def pixels(points: np.ndarray) -> np.ndarray:
        return camera.project(points @ turn.T + away)

    random = np.random.default_rng(2000 + seed)
    image = np.empty((HEIGHT, WIDTH, 3), np.float64)
    image[:] = np.array([96.0, 70.0, 52.0]) * random.uniform(0.7, 1.1)
    image += cv2.GaussianBlur(random.normal(0.0, 60.0, (HEIGHT, WIDTH)), (0, 0), 4.0)[..., None]
    image = image.clip(0, 255).astype(np.uint8)
    corners = pixels(rectangle(reference, hand.side))
    colour = (228, 228, 224) if reference.under_hand else (36, 66, 150)
    # OpenCV's polygons cover every pixel they touch: drawn four times as large, that is an eighth of a pixel.
    large = np.zeros((4 * HEIGHT, 4 * WIDTH), np.uint8)
    cv2.fillConvexPoly(large, np.round(((corners + 0.5) * 4 - 0.5) * 16).astype(np.int32), 255, cv2.LINE_8, 4)
    cover = cv2.resize(large, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)[..., None] / 255.0
    image = np.round(image * (1.0 - cover) + np.array(colour) * cover).astype(np.uint8)
    _draw_hand(image, hand, turn, away, pixels)
    light = np.linspace(0.85, 1.0, WIDTH)[None, :, None]
    noisy = cv2.GaussianBlur(image * light, (0, 0), 0.8) + random.normal(0.0, 2.0, image.shape)
    return Photo(noisy.clip(0, 255).astype(np.uint8), hand.side, hand.size, bones_of(hand), corners)


def _draw_hand(
    image: np.ndarray,
    hand: Lying,
    turn: np.ndarray,
    away: np.ndarray,
    pixels: Callable[[np.ndarray], np.ndarray],
) -> None:
    model, surface = free_hand(hand.side), free_surface()
    rest = model.rest(hand.betas, hand.size)
    vertices = model.vertices(hand.rotation[None], hand.translation[None], rest)[0]
    mirror = np.array([1.0 if hand.side == "right" else -1.0, 1.0, 1.0])
    root = rotations.matrix_from_quaternion(hand.rotation[0])
    arm = (surface.arm_template * mirror * rest.scale) @ root.T + hand.translation
    quads = surface.arm_quads if hand.side == "right" else surface.arm_quads[:, ::-1]
    triangles = np.concatenate([model.triangles, quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    corners = np.concatenate([vertices, arm])[triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) @ turn.T
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    middles = corners.mean(1) @ turn.T + away
    shown = np.flatnonzero(-(normals * middles).sum(1) > 0)
    shown = shown[np.argsort(-middles[shown, 2])]
    light = np.clip(normals @ np.array([0.4, -0.4, -0.82]), 0.0, 1.0)
    places = np.round(pixels(corners[shown].reshape(-1, 3)).reshape(-1, 3, 2) * 16).astype(np.int32)
    for polygon, shade in zip(places, 0.5 + 0.5 * light[shown], strict=True):
        cv2.fillConvexPoly(image, polygon, (_SKIN * shade).tolist(), cv2.LINE_AA, 4)
