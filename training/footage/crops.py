# SPDX-License-Identifier: GPL-3.0-or-later
"""Crops as the tracker cuts them: from landmarks, turned upright, always showing a right hand.

A crop is (centre x, centre y, width, height, rotation): pixels of the picture, clockwise radians.
Instead of cutting a drawn picture, the scene is drawn straight into the crop: a camera turned
about its own axis with another centre sees exactly the same (an affine cut is no turned view,
so perspective stays that of the whole picture).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.see.crops import crop_of_hand

from .render import HandTruth, Picture, Quality, draw
from .scene import Scene
from .surface import hand_model

Array = NDArray[np.float64]

CROP_SIZE: Final = 224


@dataclass(frozen=True)
class Jitter:
    """How far a tracker's crops stray from what the true points would give."""

    rotation: float = 0.19
    """standard deviation, radians"""
    wild_share: float = 0.12
    wild_rotation: float = 1.2
    """the share of crops turned evenly by up to this, as after a palm found askew"""
    scale: float = 0.13
    """standard deviation of the logarithm"""
    shift: float = 0.045
    """standard deviation in crop widths"""
    points: float = 0.03
    """standard deviation of the last frame's points it is cut from, in hand widths"""


NO_JITTER: Final = Jitter(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Crop:
    """One hand as DetNet is shown it, with its truth in the crop's own terms; always a right hand."""

    picture: Picture
    """224 x 224 crop; its scene's camera is the crop's"""
    target: HandTruth
    """the hand the crop was cut for"""
    points3d: Array
    """(21, 3) metres in the axes of a camera that looks along the crop's own ray"""
    box: Array
    """(5,) the crop in the whole picture (before any mirroring)"""
    mirrored: bool
    """whether the hand was a left one"""


def jittered(points: ArrayLike, jitter: Jitter, random: np.random.Generator) -> Array:
    """A crop (5,) such as a tracker might cut for a hand at points (21, 2)."""
    p = np.asarray(points, dtype=np.float64)
    extent = float(np.ptp(p, axis=0).max())
    crop = crop_of_hand(p + random.normal(size=p.shape) * jitter.points * extent)
    if random.random() < jitter.wild_share:
        crop[4] += random.uniform(-jitter.wild_rotation, jitter.wild_rotation)
    else:
        crop[4] += random.normal() * jitter.rotation
    # A hand seen end on gives a tiny box; no tracker keeps one far smaller than the hand.
    crop[2:4] = max(crop[2], 0.6 * extent) * np.exp(random.normal() * jitter.scale)
    crop[:2] += random.normal(size=2) * jitter.shift * crop[2]
    return crop


def crop_matrix(crop: ArrayLike, size: int = CROP_SIZE) -> Array:
    """(2, 3) affine map from picture pixels to crop pixels: the inverse of what engine.see.crops.cut samples by.

    As there, and in MediaPipe, the crop's centre falls on pixel size / 2, so a share of the crop is pixel / size.
    """
    x, y, width, height, rotation = np.asarray(crop, dtype=np.float64)
    turn = np.array([[np.cos(rotation), np.sin(rotation)], [-np.sin(rotation), np.cos(rotation)]])
    linear = turn * (np.array([size / width, size / height])[:, None])
    return np.concatenate([linear, (size / 2 - linear @ [x, y])[:, None]], axis=1)


def crop_scene(scene: Scene, crop: ArrayLike, size: int = CROP_SIZE) -> Scene:
    """The scene before the camera that sees exactly what the crop shows. The crop must be square."""
    box = np.asarray(crop, dtype=np.float64)
    matrix = crop_matrix(box, size)
    # K maps onto matrix @ K = (scaled turn) K: with one focal length the turn can move into the scene.
    turn = rotations.matrix_from_vector([0.0, 0.0, -box[4]])
    focal = scene.K[0, 0] * size / box[2]
    centre = matrix[:, :2] @ scene.K[:2, 2] + matrix[:, 2]
    K = np.array([[focal, 0.0, centre[0]], [0.0, focal, centre[1]], [0.0, 0.0, 1.0]])
    return replace(scene.turned(turn), K=K, width=size, height=size)


def ray_rotation(K: ArrayLike, size: int = CROP_SIZE) -> Array:
    """(3, 3) turns camera axes so that the ray through the crop's middle becomes z, the shortest way."""
    matrix = np.asarray(K, dtype=np.float64)
    ray = np.linalg.solve(matrix, [size / 2, size / 2, 1.0])
    ray /= np.linalg.norm(ray)
    axis = np.cross(ray, [0.0, 0.0, 1.0])
    sine = float(np.linalg.norm(axis))
    if sine < 1e-12:
        return np.eye(3)
    return rotations.matrix_from_vector(axis / sine * np.arctan2(sine, ray[2]))


def draw_crop(
    scene: Scene,
    hand: int,
    seed: int | np.random.SeedSequence,
    *,
    jitter: Jitter = Jitter(),
    quality: Quality = "full",
    size: int = CROP_SIZE,
    hands_shown: bool = True,
) -> Crop:
    """Draw what the tracker would cut for one hand of a scene; beyond the picture's border it repeats the edge.

    `hands_shown` False draws the same crop of the same place without the hands.
    """
    sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    box_seed, grain_seed = sequence.spawn(2)
    truth = scene.hands[hand]
    points = keypoints2d(scene, hand)
    box = jittered(points, jitter, np.random.default_rng(box_seed))
    picture = draw_box(scene, box, grain_seed, quality=quality, size=size, hands_shown=hands_shown)
    mirrored = truth.side == "left"
    if mirrored:
        picture = picture.mirrored()
    target = picture.hands[hand]
    return Crop(
        picture=picture,
        target=target,
        points3d=target.keypoints3d @ ray_rotation(picture.scene.K, size).T,
        box=box,
        mirrored=mirrored,
    )


def draw_box(
    scene: Scene,
    box: ArrayLike,
    seed: int | np.random.SeedSequence,
    *,
    quality: Quality = "full",
    size: int = CROP_SIZE,
    hands_shown: bool = True,
) -> Picture:
    """Draw what a square box (5,) of the scene's picture shows; beyond its border the edge is repeated."""
    square = np.asarray(box, dtype=np.float64)
    picture = draw(crop_scene(scene, square, size), seed, quality=quality, hands_shown=hands_shown)
    return _beyond_edge(picture, scene, square, size)


def keypoints2d(scene: Scene, hand: int) -> Array:
    """(21, 2) pixels of one hand's keypoints."""
    pose = scene.hands[hand]
    model = hand_model(pose.side)
    rest = model.rest(scene.betas, scene.size)
    points = model.pose(pose.rotation[None], pose.translation[None], rest).keypoints[0]
    return points[:, :2] / points[:, 2:] * [scene.K[0, 0], scene.K[1, 1]] + scene.K[:2, 2]


def _beyond_edge(picture: Picture, scene: Scene, box: Array, size: int) -> Picture:
    """The crop where it lies beyond the whole picture: the picture's nearest edge repeated, and nothing seen."""
    matrix = crop_matrix(box, size)
    corners = np.array([[0, 0], [size - 1, 0], [0, size - 1], [size - 1, size - 1]], np.float64)
    inverse = cv2.invertAffineTransform(matrix)
    limit = np.array([scene.width - 1, scene.height - 1])

    def inside(places: Array) -> NDArray[np.bool_]:
        return ((places >= -0.5) & (places <= limit + 0.5)).all(-1)

    if inside(corners @ inverse[:, :2].T + inverse[:, 2]).all():
        return picture
    pixel = np.arange(size, dtype=np.float64)
    whole = _mapped(inverse, pixel, pixel[:, None])
    seen = np.ones((size, size), bool)
    for places, last in zip(whole, limit, strict=True):
        seen &= (places >= -0.5) & (places <= last + 0.5)
        np.clip(places, 0.0, last, out=places)
    back = [places.astype(np.float32) for places in _mapped(matrix, *whole)]
    hands = tuple(
        replace(hand, visible=hand.visible & inside(hand.keypoints2d @ inverse[:, :2].T + inverse[:, 2]))
        for hand in picture.hands
    )
    return replace(
        picture,
        image=cv2.remap(picture.image, *back, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
        side=picture.side * seen,
        part=picture.part * seen,
        depth=picture.depth * seen,
        correspondence=picture.correspondence * seen[..., None],
        hands=hands,
    )


def _mapped(matrix: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """Where an affine map (2, 3) takes places x, y of any shapes that go together."""
    first, second = matrix
    return first[0] * x + first[1] * y + first[2], second[0] * x + second[1] * y + second[2]
