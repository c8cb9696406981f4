# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes of both hands in millimetres, and who touches whom on them."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.hand.model import HandModel
from blender_handmocap.engine.hand.names import CONTACT_PARTS, FINGERS, JOINT_COUNT, TIP_JOINTS, Side

from .measures import contact, surface

Array = NDArray[np.float64]
IntArray = NDArray[np.int32]

NEAR_TOUCH_MM: Final = 15.0
"""A keypoint this near to touching skin of its own hand is a touching joint."""

_BESIDE_MM: Final = 6.0
_THIN_MM: Final = 8.0
_SPARE_MM: Final = 4.0


@lru_cache(maxsize=2)
def model(side: Side) -> HandModel:
    """The free hand of one side."""
    return free_hand(side)


@lru_cache(maxsize=2)
def triangles(side: Side) -> IntArray:
    """The mesh's faces, closed at the wrist."""
    return surface.closed(model(side).triangles)


@lru_cache(maxsize=1)
def regions() -> IntArray:
    """(V,) the part of CONTACT_PARTS each vertex belongs to, by the joint that moves it most; -1 for none."""
    region = np.full(JOINT_COUNT, -1, np.int32)
    region[0] = CONTACT_PARTS.index("palm")
    for finger, tip in zip(FINGERS, TIP_JOINTS, strict=True):
        region[tip] = CONTACT_PARTS.index(f"{finger}_tip")
    return region[model("right").weights.argmax(1)]


@lru_cache(maxsize=1)
def flesh_mm() -> Array:
    """(21,) how much flesh lies on each keypoint towards the back or the palm, a little to spare."""
    hand = model("right")
    rest = hand.rest()
    flat = np.zeros((1, JOINT_COUNT, 4))
    flat[..., 0] = 1.0
    points = hand.pose(flat, np.zeros((1, 3)), rest).keypoints[0] * 1000.0
    vertices = hand.vertices(flat, np.zeros((1, 3)), rest)[0] * 1000.0
    # Fingers point along x and the thumb along z, so that y runs from the palm to the back.
    beside = np.linalg.norm((vertices - points[:, None])[..., [0, 2]], axis=-1) < _BESIDE_MM
    height = np.abs(vertices[:, 1] - points[:, 1:2])
    return np.asarray(np.where(beside.any(1), np.where(beside, height, 0.0).max(1), _THIN_MM) + _SPARE_MM)


def vertices_mm(side: Side, rotation: Array, translation: Array, betas: Array, size: float | None) -> Array:
    """(T, V, 3) mm, camera axes, of hands posed as in a Take: rotation (T, 16, 4), translation (T, 3) metres."""
    hand = model(side)
    if not len(rotation):
        return np.zeros((0, len(hand.template), 3))
    return hand.vertices(rotation, translation, hand.rest(betas, size)) * 1000.0


def contact_of(left: Array, right: Array) -> tuple[contact.Touching, NDArray[np.bool_]]:
    """The touching skin of two meshes (V, 3) mm, and the parts (6, 6) that touch.

    Parts touch from both sides: skin of the left hand near the right hand's surface, and the other way round.
    """
    touching = contact.touching_points(left, right, triangles("right"))
    back = contact.touching_points(right, left, triangles("left"))
    parts = contact.touching_regions(touching, regions(), regions())
    return touching, parts | contact.touching_regions(back, regions(), regions()).T


def points_near(points: Array, skin: Array) -> NDArray[np.bool_]:
    """(21,) which points (21, 3) mm lie within NEAR_TOUCH_MM of touching skin (M, 3) mm."""
    if not len(skin):
        return np.zeros(len(points), bool)
    return np.linalg.norm(points[:, None] - skin, axis=-1).min(1) <= NEAR_TOUCH_MM
