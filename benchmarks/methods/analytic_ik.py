# SPDX-License-Identifier: GPL-3.0-or-later
"""Points to rotations in closed form: the palm as one rigid piece, then each finger outwards, joint by joint.

Knuckles turn about two axes (flexion and abduction), the joints beyond them about one, and bone
lengths are not asked for: any detector's points become rotations of our hand without an optimiser.
It is the baseline that MediaPipe's points are judged through.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit.hinges import euler_matrix, rotations_from_angles
from blender_handmocap.engine.hand.free import Hinges, free_hand, free_hinges
from blender_handmocap.engine.hand.names import (
    FINGER_JOINTS,
    FINGERS,
    JOINT_COUNT,
    KEYPOINT_OF_JOINT,
    TIP_KEYPOINTS,
    Side,
)
from blender_handmocap.engine.see.definitions import MODEL, rest_offsets

Array = NDArray[np.float64]

_PALM: Final = (0, 5, 9, 13, 17)
"""Wrist and the four knuckles fix the palm; the thumb's root moves."""


@dataclass(frozen=True)
class _Rest:
    points: Array
    """(21, 3) the hand's own points at rest, canonical axes, metres"""
    offset: Array
    """(21, 3) seen minus own point, canonical axes at rest, metres"""
    hinges: Hinges


@lru_cache(maxsize=8)
def _rest(side: Side, definition: str) -> _Rest:
    hand, hinges = free_hand(side), free_hinges(side)
    rest = hand.rest()
    points = np.empty((21, 3))
    points[list(KEYPOINT_OF_JOINT)] = rest.joints
    points[list(TIP_KEYPOINTS)] = rest.tips
    return _Rest(points, rest_offsets(definition, hinges, side), hinges)


def rotations_of(points: Array, side: Side, *, definition: str = MODEL) -> Array:
    """Unit quaternions (T, 16, 4) as in a Take, from points (T, 21, 3) in camera axes, any unit and place.

    `definition` names where the points' detector sees joints (see engine/see/definitions.py).
    """
    rest = _rest(side, definition)
    count = len(points)
    palm = list(_PALM)
    seen_rest = rest.points[palm] + rest.offset[palm]
    root = rotations.aligning_rotation(np.broadcast_to(seen_rest, (count, len(palm), 3)), points[:, palm])
    spread = np.linalg.norm(points[:, palm] - points[:, palm].mean(1, keepdims=True), axis=(1, 2))
    scale = (spread / np.linalg.norm(seen_rest - seen_rest.mean(0)))[:, None]
    angles = np.zeros((count, JOINT_COUNT, 3))
    for first, finger in enumerate(FINGERS):
        orientation = root
        keypoint = 1 + 4 * first
        joint_place = points[:, keypoint] - scale * (orientation @ rest.offset[keypoint])
        for level, joint in enumerate(FINGER_JOINTS[finger]):
            child = keypoint + level + 1
            bone = rest.points[child] - rest.points[child - 1]
            frame = rest.hinges.frame[joint]
            wanted = np.einsum("ab,tcb,tc->ta", frame.T, orientation, points[:, child] - joint_place)
            angles[:, joint] = _bend(frame.T @ (bone + rest.offset[child]), wanted, rest.hinges, joint)
            orientation = orientation @ frame @ euler_matrix(angles[:, joint]) @ frame.T
            joint_place = points[:, child] - scale * (orientation @ rest.offset[child])
    return rotations_from_angles(angles, rest.hinges, rotations.quaternion_from_matrix(root))


def _bend(rest: Array, wanted: Array, hinges: Hinges, joint: int) -> Array:
    """Angles (T, 3) that turn a bone `rest` (3,) towards `wanted` (T, 3), both in the joint's hinge frame.

    The rotation is Rx(flexion) Ry(abduction): abduction fixes the component along the flexion axis, flexion the rest.
    """
    target = wanted / np.maximum(np.linalg.norm(wanted, axis=-1, keepdims=True), 1e-12)
    start = rest / np.linalg.norm(rest)
    abduction = np.zeros(len(wanted))
    if hinges.free[joint, 1]:
        reach = np.hypot(start[0], start[2])
        abduction = np.arcsin(np.clip(target[:, 0] / reach, -1.0, 1.0)) - np.arctan2(start[0], start[2])
        # The bone may point against the twist axis; then the branch nearest to rest lies on the other side.
        abduction = np.where(start[2] < 0, -np.pi - abduction - 2 * np.arctan2(start[0], start[2]), abduction)
        abduction = _within(abduction, hinges.limits[joint, 1])
    across = start[0] * -np.sin(abduction) + start[2] * np.cos(abduction)
    flexion = np.arctan2(-target[:, 1], target[:, 2]) - np.arctan2(-start[1], across)
    flexion = (flexion + np.pi) % (2 * np.pi) - np.pi
    return np.stack([_within(flexion, hinges.limits[joint, 0]), abduction, np.zeros_like(abduction)], axis=-1)


def _within(angle: Array, limits: Array) -> Array:
    wrapped = (angle + np.pi) % (2 * np.pi) - np.pi
    return np.clip(wrapped, limits[0], limits[1])
