# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the joints of the free hand are, which way they turn, and how far.

The body rig we start from was made for posing at a distance: its knuckles sit only a few
millimetres from the webs, its wrist in the forearm, and every finger joint right under the
skin of the back. Here each joint is moved to where the bone turns, on the mean adult, and
then expressed as a weighted mean of the vertices around it, so that it follows every shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from blender_handmocap.engine.hand.names import FINGER_JOINTS, FINGERS, JOINT_COUNT, JOINT_NAMES, JOINT_PARENTS

from .source import Source

Array = NDArray[np.float64]

WRIST_SHIFT: Final = np.array([-0.0115, -0.0020, 0.0])
"""From the rig's wrist to the head of the capitate, canonical axes, metres."""
KNUCKLE_SHIFT: Final = {"index": 0.0125, "middle": 0.0105, "ring": 0.0105, "pinky": 0.0100}
"""How far each knuckle goes towards the wrist. The segments then share a finger's length as X-ray
tables (Buchholz 1992) and two tracking systems do: about 44 : 28 : 28 from the knuckle to the tip."""
METACARPAL_BASE: Final = np.array([-0.025, 0.0, 0.35])
"""The knuckles move along lines that meet near the carpus: x of the base, and share of the knuckle's z."""
FINGER_SHIFT: Final = {2: 0.0010, 3: 0.0020}
"""The middle and end joints go this much towards the tip, metres, as the training recordings ask."""
THUMB_BASE: Final = np.array([-0.0310, -0.0095, 0.0235])
"""The saddle joint of the thumb, canonical axes of the rig, metres."""
THUMB_SHIFT: Final = {2: 0.0050, 3: 0.0020}
"""The same for the thumb's two outer joints."""
DEPTH_UNDER_BACK: Final = {1: 0.0095, 2: 0.0072, 3: 0.0058}
"""Depth of a finger's joints under the skin of its back, from the palm outwards, metres; the rig has 4 mm."""
THUMB_DEPTH: Final = {2: 0.0098, 3: 0.0072}
NAIL_ROLL: Final = 0.5
"""Share of the nails' roll that the flexion axes take; the rest stays level with the palm."""
REGRESSOR_SIZES: Final = (24, 32, 48, 64, 96, 128)
"""How many vertices to try to place a joint with, nearest first."""
REGRESSOR_LARGEST: Final = 0.12
"""No vertex has more than this share in a joint."""

_SPREAD: Final = {"index": (-12.0, 28.0), "middle": (-16.0, 14.0), "ring": (-28.0, 10.0), "pinky": (-45.0, 8.0)}
"""How far a finger points towards the thumb, degrees from the line wrist to middle knuckle."""


@dataclass(frozen=True)
class Joints:
    """The joints as weighted means of vertices of the source mesh."""

    index: NDArray[np.int64]
    """(16, K) vertices"""
    weight: Array
    """(16, K) not negative, rows sum to 1"""
    tips: NDArray[np.int64]
    """(5,) the vertex at each fingertip, FINGERS order"""

    def places(self, vertices: Array) -> Array:
        """Joints (.., 16, 3) of meshes (.., V, 3)."""
        return np.einsum("jk,...jkc->...jc", self.weight, vertices[..., self.index, :])


def spread_limits(finger: str, frame: Array) -> tuple[float, float]:
    """Abduction limits in degrees of a knuckle, from where its finger points in the flat hand."""
    twist = frame[:, 2]
    rest = np.degrees(np.arctan2(twist[2], -twist[0]))
    low, high = _SPREAD[finger]
    return low - rest, high - rest


def canonical_frame(joints: Array) -> Array:
    """Rotation (.., 3, 3) to canonical axes: rows x (middle knuckle to wrist), y (back), z (thumb side)."""
    wrist, index, middle, pinky = (
        joints[..., JOINT_NAMES.index(n), :] for n in ("wrist", "index1", "middle1", "pinky1")
    )
    x = _unit(wrist - middle)
    across = index - pinky
    z = _unit(across - x * (across * x).sum(-1, keepdims=True))
    return np.stack([x, np.cross(z, x), z], axis=-2)


def _unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def vertex_normals(vertices: Array, quads: NDArray[np.int64]) -> Array:
    """Unit normals (V, 3), outwards."""
    corners = vertices[quads]
    face = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    normals = np.zeros_like(vertices)
    np.add.at(normals, quads, face[:, None])
    return _unit(normals)


def depth_along(point: Array, direction: Array, vertices: Array, quads: NDArray[np.int64]) -> float:
    """Distance from a point inside the mesh to its skin along a direction."""
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    edge1, edge2, start = b - a, c - a, point - a
    h, q = np.cross(direction, edge2), np.cross(start, edge1)
    det = (edge1 * h).sum(1)
    det = np.where(np.abs(det) < 1e-15, 1e-15, det)
    u, v, along = (start * h).sum(1) / det, q @ direction / det, (edge2 * q).sum(1) / det
    return float(along[(u >= 0) & (v >= 0) & (u + v <= 1) & (along > 0)].min())


def nail_normals(vertices: Array, source: Source) -> Array:
    """Unit normal (5, 3) of each fingernail, FINGERS order."""
    normals = vertex_normals(vertices, source.quads)
    out = []
    for finger in FINGERS:
        nail = (source.nail > 0.5) & (source.weights[:, FINGER_JOINTS[finger][2]] > 0.5)
        out.append(_unit(normals[nail].sum(0)))
    return np.array(out)


def place_joints(vertices: Array, rig: Array, ends: Array, source: Source) -> Array:
    """Anatomical joints (16, 3) of one mesh (V, 3) in canonical axes, from the rig's (16, 3) and bone ends (5, 3)."""
    joints = rig.copy()
    joints[0] += WRIST_SHIFT
    nails = nail_normals(vertices, source)
    for number, finger in enumerate(FINGERS):
        chain = FINGER_JOINTS[finger]
        along = _unit(np.diff(np.concatenate([rig[list(chain)], ends[number : number + 1]]), axis=0))
        if finger == "thumb":
            joints[chain[0]] = THUMB_BASE
        else:
            base = METACARPAL_BASE * [1.0, 0.0, rig[chain[0], 2]]
            joints[chain[0]] += _unit(base - rig[chain[0]]) * KNUCKLE_SHIFT[finger]
        for level, shift in (THUMB_SHIFT if finger == "thumb" else FINGER_SHIFT).items():
            joints[chain[level - 1]] += along[level - 1] * shift
        for level, joint in enumerate(chain, start=1):
            depth = (THUMB_DEPTH if finger == "thumb" else DEPTH_UNDER_BACK).get(level)
            if depth is None:
                continue
            # At the knuckle the back is the back of the hand, further out that of the finger.
            up = np.array([0.0, 1.0, 0.0]) if level == 1 else nails[number]
            up = _unit(up - along[level - 1] * (up @ along[level - 1]))
            joints[joint] -= up * (depth - depth_along(joints[joint], up, vertices, source.quads))
    return joints


def fit_regressors(
    vertices: Array, joints: Array, ends: Array, source: Source, *, tips: NDArray[np.int64] | None = None
) -> Joints:
    """Express joints (16, 3) by the vertices (V, 3) around them: sparse, not negative, as even as can be.

    The tips are the vertices farthest out towards the bone ends (5, 3), unless they are given.
    """
    shares = [_even_shares(vertices, place, _around(joint, source)) for joint, place in enumerate(joints)]
    most = max(len(chosen) for chosen, _ in shares)
    index = np.array([np.pad(chosen, (0, most - len(chosen)), mode="edge") for chosen, _ in shares])
    weight = np.array([np.pad(share, (0, most - len(share))) for _, share in shares])
    return Joints(index, weight, _tip_vertices(vertices, joints, ends, source) if tips is None else tips)


def _around(joint: int, source: Source) -> NDArray[np.bool_]:
    """(V,) vertices that may place a joint: the skin of the bones that meet there."""
    share = source.weights[:, joint].copy()
    if joint == 0 or JOINT_PARENTS[joint] == 0:
        share += source.weights[:, 0] + source.weights[:, JOINT_COUNT]
    else:
        share += source.weights[:, JOINT_PARENTS[joint]]
    return share > 0.5


def _even_shares(vertices: Array, place: Array, usable: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Array]:
    """The vertices nearest to a place whose weighted mean it is, with weights as even as can be."""
    order = np.argsort(np.where(usable, np.linalg.norm(vertices - place, axis=1), np.inf))
    for size in REGRESSOR_SIZES:
        near = order[:size]
        # Hard rows: the mean is the place, the weights sum to 1. Soft rows: small weights.
        rows = np.vstack([(vertices[near] - place).T * 1e8, np.full((1, size), 1e6), np.eye(size)])
        share, _ = nnls(rows, np.concatenate([np.zeros(3), [1e6], np.zeros(size)]))
        share /= share.sum()
        if np.linalg.norm(share @ vertices[near] - place) < 1e-6 and share.max() < REGRESSOR_LARGEST:
            return near, share
    raise ValueError(f"no {REGRESSOR_SIZES[-1]} vertices surround the joint at {place}")


def _tip_vertices(vertices: Array, joints: Array, ends: Array, source: Source) -> NDArray[np.int64]:
    """The vertex farthest out along each last bone, the nail left out."""
    tips = []
    for number, finger in enumerate(FINGERS):
        last = FINGER_JOINTS[finger][2]
        along = _unit(ends[number] - joints[last])
        flesh = (source.weights[:, last] > 0.5) & (source.nail < 0.2)
        tips.append(int(np.where(flesh, vertices @ along, -np.inf).argmax()))
    return np.array(tips)
