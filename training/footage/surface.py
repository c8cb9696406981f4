# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh that is drawn: hand and forearm as one closed surface, with its skin atlas.

Built from models/hand.npz alone, whatever its number of vertices. Vertices are the model's
template followed by the arm's own vertices and the centres of the caps that close open ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numba as nb
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.hand.free import free_hand, free_surface
from blender_handmocap.engine.hand.model import HandModel, RestHand
from blender_handmocap.engine.hand.names import FOREARM_PART, JOINT_COUNT, KEYPOINT_COUNT, Side

from .scene import HandPose

Array = NDArray[np.float64]
FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]

PART_COUNT: Final = FOREARM_PART + 1
"""16 parts named after their joint, and the forearm. Maps hold 1 + the part; 0 is nothing."""

HAND_BOX: Final = (0.005, 0.005, 0.995, 0.795)
_ARM_BOX: Final = (0.005, 0.805, 0.995, 0.995)
_MARGIN: Final = 0.01


@dataclass(frozen=True)
class RenderHand:
    """The drawn mesh of one side at rest, and how it follows the joints."""

    side: Side
    template: Array
    """(N, 3) mean shape, canonical axes of this side, metres"""
    shape_dirs: Array
    """(10, N, 3)"""
    weights: FloatArray
    """(N, 17): 16 joints, then the forearm"""
    part: NDArray[np.uint8]
    """(N,) 0..16"""
    faces: IntArray
    """(F, 3) outwards counter-clockwise"""
    face_uv: FloatArray
    """(F, 3, 2) places of the corners in the atlas: u right, v down, 0..1"""
    canonical: FloatArray
    """(N, 3) the surface coordinate of each vertex: the RIGHT hand at rest, mean shape"""
    flesh: Array
    """(21,) metres from each keypoint out to the skin, mean shape, with a little to spare"""

    def vertices(self, hand: HandPose, rest: RestHand) -> FloatArray:
        """The posed mesh (N, 3) in camera axes, metres."""
        model = hand_model(self.side)
        origin = np.tensordot(rest.betas, model.joint_dirs[:, 0], 1) + model.joints[0]
        base = (self.template + np.tensordot(rest.betas, self.shape_dirs, 1) - origin) * rest.scale
        posed = model.pose(hand.rotation[None], hand.translation[None], rest)
        orientation = np.empty((PART_COUNT, 3, 3))
        orientation[:JOINT_COUNT] = posed.orientation[0]
        orientation[JOINT_COUNT] = posed.orientation[0, 0] @ rotations.matrix_from_quaternion(hand.forearm)
        pivot = np.concatenate([rest.joints, rest.joints[:1]])
        place = np.concatenate([posed.joints[0], posed.joints[0, :1]])
        shift = place - np.einsum("jab,jb->ja", orientation, pivot)
        affine = np.concatenate([orientation, shift[:, :, None]], axis=2).reshape(PART_COUNT, 12)
        return _moved(base.astype(np.float32), self.weights @ affine.astype(np.float32))


@nb.njit(cache=True)
def _moved(points, affine):  # type: ignore[no-untyped-def]
    """Points (N, 3) each under an affine map of its own: rows (N, 12) of (3, 4)."""
    out = np.empty_like(points)
    for i in range(len(points)):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        for k in range(3):
            row = affine[i, 4 * k : 4 * k + 4]
            out[i, k] = row[0] * x + row[1] * y + row[2] * z + row[3]
    return out


@lru_cache(maxsize=2)
def hand_model(side: Side) -> HandModel:
    """The free hand of one side; read once."""
    return free_hand(side)


@lru_cache(maxsize=2)
def render_hand(side: Side) -> RenderHand:
    """The drawn mesh of one side; made once."""
    model, surface = hand_model("right"), free_surface()
    template = np.concatenate([model.template, surface.arm_template])
    shape_dirs = np.concatenate([model.shape_dirs, surface.arm_shape_dirs], axis=1)
    weights = np.zeros((len(template), PART_COUNT))
    weights[: len(model.weights), :JOINT_COUNT] = model.weights
    weights[len(model.weights) :, 0] = 1.0
    forearm = np.clip(surface.arm_weight[: len(template)], 0.0, 1.0)[:, None]
    weights[:, :JOINT_COUNT] *= 1.0 - forearm
    weights[:, FOREARM_PART] = forearm[:, 0]

    quads = np.concatenate([surface.quads, surface.arm_quads])
    uv = _packed(surface.uv, np.concatenate([surface.quad_uv, surface.arm_quad_uv]), quads, forearm[:, 0])
    quad_uv = uv[np.concatenate([surface.quad_uv, surface.arm_quad_uv])]
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    face_uv = np.concatenate([quad_uv[:, [0, 1, 2]], quad_uv[:, [0, 2, 3]]])
    for loop in _open_loops(faces):
        centre = len(template)
        template = np.concatenate([template, template[loop].mean(0, keepdims=True)])
        shape_dirs = np.concatenate([shape_dirs, shape_dirs[:, loop].mean(1, keepdims=True)], axis=1)
        weights = np.concatenate([weights, weights[loop].mean(0, keepdims=True)])
        ends = np.roll(loop, -1)
        cap = np.stack([ends, loop, np.full(len(loop), centre)], axis=1)
        rim = _corner_uv(faces, face_uv, loop)
        cap_uv = np.stack([rim, rim, rim], axis=1)
        faces, face_uv = np.concatenate([faces, cap]), np.concatenate([face_uv, cap_uv])

    part = weights.argmax(1).astype(np.uint8)
    canonical = template.astype(np.float32)
    flesh = _flesh(model.rest(), template)
    if side == "left":
        mirror = np.array([-1.0, 1.0, 1.0])
        template, shape_dirs = template * mirror, shape_dirs * mirror
        faces, face_uv = faces[:, ::-1], face_uv[:, ::-1]
    return RenderHand(
        side=side,
        template=template,
        shape_dirs=shape_dirs,
        weights=weights.astype(np.float32),
        part=part,
        faces=np.ascontiguousarray(faces, np.int32),
        face_uv=np.ascontiguousarray(face_uv, np.float32),
        canonical=canonical,
        flesh=flesh,
    )


def _flesh(rest: RestHand, template: Array) -> Array:
    """How far the skin is from each keypoint, at most, looking from the back or the palm."""
    posed = hand_model("right").pose(_identity_pose(), np.zeros((1, 3)), rest)
    keypoints = posed.keypoints[0]
    flesh = np.empty(KEYPOINT_COUNT)
    for k, point in enumerate(keypoints):
        near = np.linalg.norm((template - point)[:, [0, 2]], axis=1) < 0.006
        flesh[k] = np.abs(template[near, 1] - point[1]).max() if near.any() else 0.008
    return flesh + 0.004


def _identity_pose() -> Array:
    pose = np.zeros((1, JOINT_COUNT, 4))
    pose[..., 0] = 1.0
    return pose


def _open_loops(faces: IntArray) -> list[IntArray]:
    """Boundary loops of a triangle mesh: vertices in the order of the faces that border them."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    known = {(int(a), int(b)) for a, b in edges}
    following = {a: b for a, b in known if (b, a) not in known}
    loops: list[IntArray] = []
    while following:
        start, loop = next(iter(following)), []
        vertex = start
        while vertex in following:
            loop.append(vertex)
            vertex = following.pop(vertex)
        loops.append(np.array(loop, np.int32))
    return loops


def _corner_uv(faces: IntArray, face_uv: Array, vertices: IntArray) -> Array:
    """Some atlas place (n, 2) of each vertex: the one of the first face that has it."""
    out = np.empty((len(vertices), 2))
    for i, vertex in enumerate(vertices):
        face, corner = np.argwhere(faces == vertex)[0]
        out[i] = face_uv[face, corner]
    return out


def _packed(uv: Array, quad_uv: IntArray, quads: IntArray, forearm: Array) -> Array:
    """Atlas places (U, 2), v down: the hand's island in the large box, the others side by side below."""
    island = _islands(quad_uv, len(uv))
    packed = np.zeros((len(uv), 2))
    used = np.unique(quad_uv)
    on_arm = np.zeros(len(uv))
    on_arm[quad_uv.ravel()] = forearm[quads.ravel()]
    labels = np.unique(island[used])
    bare = 1.0 - 2.0 * on_arm[used]
    hand = max(labels, key=lambda label: float(bare[island[used] == label].sum()))
    flipped = uv * [1.0, -1.0]
    packed[island == hand] = _fitted(flipped[island == hand], HAND_BOX)
    rest = [label for label in labels if label != hand]
    width = (_ARM_BOX[2] - _ARM_BOX[0]) / max(len(rest), 1)
    for i, label in enumerate(rest):
        left = _ARM_BOX[0] + i * width
        box = (left, _ARM_BOX[1], left + width - _MARGIN, _ARM_BOX[3])
        packed[island == label] = _fitted(flipped[island == label], box, stretch=3.0)
    return packed


def _fitted(places: Array, box: tuple[float, float, float, float], stretch: float = 1.0) -> Array:
    """Places scaled into the box; one way may be scaled up to `stretch` times more than the other."""
    low, span = places.min(0), np.ptp(places, axis=0)
    scale = np.array([box[2] - box[0], box[3] - box[1]]) / span
    return (places - low) * np.minimum(scale, scale.min() * stretch) + [box[0], box[1]]


def _islands(quad_uv: IntArray, count: int) -> IntArray:
    """Connected pieces (U,) of the atlas, by the smallest index of a piece."""
    label = np.arange(count)
    while True:
        lowest = label[quad_uv].min(1)
        updated = label.copy()
        np.minimum.at(updated, quad_uv.ravel(), np.repeat(lowest, 4))
        if np.array_equal(updated, label):
            return updated.astype(np.int32)
        label = updated
