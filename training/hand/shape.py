# SPDX-License-Identifier: GPL-3.0-or-later
"""From sampled people to a flat mean hand and ten ways in which hands differ.

Everyone is put in canonical axes, brought to the same palm length (size is a number of its
own in the model), and laid flat, bone by bone, so that no pose is left in the shapes. Four
components are ours, because body shapes hardly vary hands in them: palm width, palm length,
thumb, thickness. The six others are the principal components of what is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.hand.names import (
    FINGER_JOINTS,
    FINGERS,
    JOINT_COUNT,
    JOINT_PARENTS,
    PALM_LENGTH_JOINT,
)

from .anatomy import Joints, canonical_frame

Array = NDArray[np.float64]

PRINCIPAL: Final = 6
OWN_NAMES: Final = ("palm width", "palm length", "thumb", "thickness")
OWN_SPREAD: Final = (0.05, 0.05, 0.06, 0.08)
"""One standard deviation of each of our own components, as a share."""
THUMB_DIRECTION: Final = np.array([-0.707, -0.309, 0.636])
"""Where the straight thumb of the flat hand points: 42 degrees out, 18 below the palm's plane."""
FOREARM_DIRECTION: Final = np.array([1.0, 0.0, 0.0])
WRIST_WIDTH_SHARE: Final = 0.5
"""The wrist widens half as much as the knuckles."""
PALM_THICKNESS_SHARE: Final = 0.5
TAPER: Final = (0.6, 1.2)
"""How much of the thickness a finger takes at its knuckle and at its tip."""


@dataclass(frozen=True)
class People:
    """N people in canonical axes, wrist at 0, one palm length."""

    vertices: Array
    """(N, V, 3)"""
    palm_length: Array
    """(N,) metres, before they were made alike"""


def aligned(vertices: Array, joints: Joints) -> People:
    """Meshes (N, V, 3) in any frame to canonical axes and the mean palm length."""
    places = joints.places(vertices)
    frames = canonical_frame(places)
    palm = np.linalg.norm(places[:, PALM_LENGTH_JOINT] - places[:, 0], axis=1)
    scale = palm.mean() / palm
    out = np.empty_like(vertices)
    for person, (frame, wrist) in enumerate(zip(frames, places[:, 0], strict=True)):
        out[person] = (vertices[person] - wrist) @ frame.T * scale[person]
    return People(out, palm)


def flat_directions(joints: Array, tips: Array) -> Array:
    """(6, 3) where the fingers of the flat hand and its forearm point, from the mean joints (16, 3) and tips (5, 3)."""
    knuckles = joints[[FINGER_JOINTS[finger][0] for finger in FINGERS]]
    fingers = (tips - knuckles) * [1.0, 0.0, 1.0]
    fingers[FINGERS.index("thumb")] = THUMB_DIRECTION
    return _unit(np.concatenate([fingers, [FOREARM_DIRECTION]]))


def flattening(joints: Array, tips: Array, arm: Array, goals: Array) -> Array:
    """World rotations (N, 17, 3, 3) that lay hands flat: joints (N, 16, 3), tips (N, 5, 3), arm ends (N, 3).

    `goals` (6, 3) are the directions to reach.
    """
    turns = np.tile(np.eye(3), (len(joints), JOINT_COUNT + 1, 1, 1))
    for number, finger in enumerate(FINGERS):
        chain = FINGER_JOINTS[finger]
        points = np.concatenate([joints[:, list(chain)], tips[:, number : number + 1]], axis=1)
        for level, joint in enumerate(chain):
            turns[:, joint] = _shortest_turn(_unit(points[:, level + 1] - points[:, level]), goals[number])
    turns[:, JOINT_COUNT] = _shortest_turn(_unit(arm - joints[:, 0]), goals[-1])
    return turns


def _unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def _shortest_turn(start: Array, goal: Array) -> Array:
    """Rotations (.., 3, 3) of unit vectors (.., 3) onto one (3,)."""
    axis, cosine = np.cross(start, goal), start @ goal
    k = rotations.skew(axis)
    turn: Array = np.eye(3) + k + k @ k / (1.0 + cosine)[..., None, None]
    return turn


def posed(vertices: Array, joints: Array, turns: Array, weights: Array) -> tuple[Array, Array]:
    """Linear blend skinning of N hands (N, V, 3), (N, 16, 3) with world rotations (N, 17, 3, 3), weights (V, 17)."""
    pivots = np.concatenate([joints, joints[:, :1]], axis=1)
    places = pivots.copy()
    for joint in range(1, JOINT_COUNT):
        parent = JOINT_PARENTS[joint]
        bone = (joints[:, joint] - joints[:, parent])[:, :, None]
        places[:, joint] = places[:, parent] + (turns[:, parent] @ bone)[:, :, 0]
    out = np.zeros_like(vertices)
    for joint in range(JOINT_COUNT + 1):
        held = weights[:, joint] > 0
        part = (vertices[:, held] - pivots[:, joint, None]) @ np.swapaxes(turns[:, joint], 1, 2) + places[
            :, joint, None
        ]
        out[:, held] += weights[held, joint, None] * part
    return out, places[:, :JOINT_COUNT]


def own_components(vertices: Array, joints: Array, tips: Array, weights: Array) -> Array:
    """Our four components (4, V, 3) on the flat mean hand, one standard deviation each."""
    palm_x = joints[PALM_LENGTH_JOINT, 0]

    def reach(points: Array) -> Array:
        return np.clip(points[..., 0] / palm_x, 0.0, 1.0)

    def wider(points: Array) -> Array:
        share = WRIST_WIDTH_SHARE + (1.0 - WRIST_WIDTH_SHARE) * reach(points)
        return points * [0.0, 0.0, 1.0] * share[..., None]

    def longer(points: Array) -> Array:
        return np.minimum(points, 0.0) * [1.0, 0.0, 0.0]

    thumb = np.zeros_like(vertices)
    thick = weights[:, :1] * vertices * [0.0, PALM_THICKNESS_SHARE, 0.0] * reach(vertices)[:, None]
    for number, finger in enumerate(FINGERS):
        chain = list(FINGER_JOINTS[finger])
        base, tip = joints[chain[0]], tips[number]
        along = (tip - base) / np.linalg.norm(tip - base)
        length = np.clip((vertices - base) @ along, 0.0, None)
        out = vertices - base - ((vertices - base) @ along)[:, None] * along
        share = weights[:, chain].sum(1)[:, None]
        taper = np.interp(length / np.linalg.norm(tip - base), (0.0, 1.0), TAPER)[:, None]
        thick += share * out * taper
        if finger == "thumb":
            thumb = share * (length[:, None] * along + 0.5 * out)
    fields = (_carried(wider, vertices, joints, weights), _carried(longer, vertices, joints, weights), thumb, thick)
    return np.stack([field * spread for field, spread in zip(fields, OWN_SPREAD, strict=True)])


def _carried(field: Callable[[Array], Array], vertices: Array, joints: Array, weights: Array) -> Array:
    """A field of the palm; fingers ride along with the joint they hang from."""
    out = weights[:, :1] * field(vertices)
    for finger in FINGERS:
        chain = list(FINGER_JOINTS[finger])
        out += weights[:, chain].sum(1)[:, None] * field(joints[chain[0]])
    return out


def principal_components(people: Array, own: Array, area: Array, hand: NDArray[np.bool_]) -> tuple[Array, Array, Array]:
    """The components (6, V, 3) of what `own` (4, V, 3) leaves of people (N, V, 3), one standard deviation each.

    Vertices count by the area (V,) around them, and only where `hand` (V,); the others follow.
    Also returned: the share of the variance each explains (6,), and how far people spread
    along our own components already (4,), in our standard deviations.
    """
    count = len(people)
    offsets = (people - people.mean(0)).reshape(count, -1)
    root = np.repeat(np.sqrt(np.where(hand, area, 0.0) / area[hand].sum()), 3)
    ours = own.reshape(len(own), -1)
    along, *_ = np.linalg.lstsq((ours * root).T, (offsets * root).T, rcond=None)
    rest = offsets - along.T @ ours
    left, singular, _ = np.linalg.svd(rest * root, full_matrices=False)
    scores = left[:, :PRINCIPAL] * np.sqrt(count)
    components = scores.T @ rest / count
    explained = singular[:PRINCIPAL] ** 2 / (singular**2).sum()
    # A sign of its own for each, so that the same recipe gives the same file: more is larger.
    sign = np.sign((components * people.mean(0).reshape(-1)).sum(1))
    return (components * sign[:, None]).reshape(PRINCIPAL, -1, 3), explained, along.std(1)


def vertex_area(vertices: Array, quads: NDArray[np.int64]) -> Array:
    """(V,) a quarter of the area of the faces around each vertex."""
    corners = vertices[quads]
    area = np.linalg.norm(np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]), axis=1) / 8.0
    out = np.zeros(len(vertices))
    np.add.at(out, quads, area[:, None])
    return out


def hinge_frames(vertices: Array, joints: Array, tips: Array, nails: Array, roll: float) -> Array:
    """Frames (16, 3, 3) of the flat hand: columns flexion, abduction and twist axis; nails (5, 3) point out."""
    frames = np.tile(np.eye(3), (JOINT_COUNT, 1, 1))
    for number, finger in enumerate(FINGERS):
        chain = FINGER_JOINTS[finger]
        points = np.concatenate([joints[list(chain)], tips[number : number + 1]])
        for joint, bone in zip(chain, np.diff(points, axis=0), strict=True):
            twist = bone / np.linalg.norm(bone)
            by_nail = np.cross(nails[number], twist)
            level = np.cross([0.0, 1.0, 0.0], twist)
            share = 1.0 if finger == "thumb" else roll
            flexion = share * by_nail / np.linalg.norm(by_nail) + (1.0 - share) * level / np.linalg.norm(level)
            flexion -= twist * (flexion @ twist)
            flexion /= np.linalg.norm(flexion)
            frames[joint] = np.stack([flexion, np.cross(twist, flexion), twist], axis=1)
    return frames
