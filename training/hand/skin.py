# SPDX-License-Identifier: GPL-3.0-or-later
"""Skin weights for the moved joints: bone heat on the mesh.

Each vertex is warmed by the bone nearest to it, and the warmth spreads over the surface
(Baran and Popovic 2007). Which bones may warm a vertex comes from the rig's own weights, so
that no finger pulls at its neighbour. The palm is held by one bone a metacarpal, all of them
counted as the wrist's.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.linalg import splu

from blender_handmocap.engine.hand.names import FINGER_JOINTS, FINGERS, JOINT_COUNT

from .source import Source

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

INFLUENCES: Final = 4
HEAT: Final = 1.0
"""Warmth a vertex takes from a bone: HEAT over the squared distance."""
SMOOTHING_ROUNDS: Final = 3


def heat_weights(vertices: Array, joints: Array, tips: Array, source: Source) -> Array:
    """Weights (V, 16), at most 4 a vertex, of a mesh (V, 3) with joints (16, 3) and tips (5, 3)."""
    segments, owner, finger = _bones(vertices, joints, tips, source)
    distance = np.stack([_distance(vertices, *segment) for segment in segments], axis=1)
    allowed = _allowed(source, owner, finger)
    distance = np.where(allowed, distance, np.inf)
    nearest = distance.min(1)
    warm = distance <= nearest[:, None] * 1.0001
    laplacian, area = _cotangent(vertices, source.quads)
    heat = HEAT / np.maximum(nearest, 1e-4) ** 2 * area
    system = splu((laplacian + diags(heat)).tocsc())
    weights = np.zeros((len(vertices), JOINT_COUNT))
    share = warm / warm.sum(1, keepdims=True)
    for bone, joint in enumerate(owner):
        weights[:, joint] += system.solve(heat * share[:, bone])
    return _pruned(_smoothed(np.clip(weights, 0.0, None), source.quads))


def _bones(
    vertices: Array, joints: Array, tips: Array, source: Source
) -> tuple[list[tuple[Array, Array]], list[int], list[int]]:
    """Segments, the joint each counts for, and the finger (FINGERS index, -1: palm and forearm)."""
    end = vertices[source.ring == source.ring.max()].mean(0)
    segments, owner, finger = [(joints[0], end)], [0], [-1]
    for number, name in enumerate(FINGERS):
        chain = FINGER_JOINTS[name]
        segments.append((joints[0], joints[chain[0]]))
        owner.append(0)
        finger.append(-1)
        for start, stop, joint in zip(chain, (joints[chain[1]], joints[chain[2]], tips[number]), chain, strict=True):
            segments.append((joints[start], stop))
            owner.append(joint)
            finger.append(number)
    return segments, owner, finger


def _distance(points: Array, start: Array, stop: Array) -> Array:
    along = stop - start
    share = np.clip((points - start) @ along / (along @ along), 0.0, 1.0)
    return np.linalg.norm(points - start - share[:, None] * along, axis=1)


def _allowed(source: Source, owner: list[int], finger: list[int]) -> NDArray[np.bool_]:
    """(V, bones): palm bones and first bones warm the palm, a finger's bones that finger."""
    share = np.stack(
        [source.weights[:, list(FINGER_JOINTS[name])].sum(1) for name in FINGERS]
        + [source.weights[:, 0] + source.weights[:, JOINT_COUNT]],
        axis=1,
    )
    home = share.argmax(1)
    home[home == len(FINGERS)] = -1
    bone_finger, first = (
        np.array(finger),
        np.array([joint in {FINGER_JOINTS[n][0] for n in FINGERS} for joint in owner]),
    )
    palm = home[:, None] == -1
    allowed = (bone_finger == -1) | (palm & first) | (home[:, None] == bone_finger)
    # The web beside a finger belongs to that finger or to the palm, never to the finger across.
    touched = share[:, bone_finger] > 0.02
    return allowed & ((bone_finger == -1) | ~palm | touched | (share[:, :-1].max(1, keepdims=True) <= 0.02))


def _cotangent(vertices: Array, quads: IntArray) -> tuple[csr_matrix, Array]:
    """Positive cotangent Laplacian (V, V) and the area around each vertex (V,)."""
    count = len(vertices)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]], quads[:, [1, 2, 3]], quads[:, [1, 3, 0]]])
    rows, columns, values = [], [], []
    area = np.zeros(count)
    for a, b, c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        u, v = vertices[faces[:, a]] - vertices[faces[:, c]], vertices[faces[:, b]] - vertices[faces[:, c]]
        double_area = np.linalg.norm(np.cross(u, v), axis=1)
        cotangent = np.clip((u * v).sum(1) / np.maximum(double_area, 1e-15), 0.0, 50.0) * 0.25
        rows += [faces[:, a], faces[:, b]]
        columns += [faces[:, b], faces[:, a]]
        values += [cotangent, cotangent]
        np.add.at(area, faces[:, c], double_area / 12.0)
    weights = coo_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), (count, count)
    ).tocsr()
    return diags(np.asarray(weights.sum(1)).ravel()) - weights, area


def _smoothed(weights: Array, quads: IntArray) -> Array:
    count = len(weights)
    ends = np.concatenate([np.stack([quads[:, k], quads[:, (k + 1) % 4]], axis=1) for k in range(4)])
    ends = np.concatenate([ends, ends[:, ::-1]])
    joined = coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), (count, count)).tocsr()
    joined.data[:] = 1.0
    mean = diags(1.0 / np.asarray(joined.sum(1)).ravel()) @ joined
    for _ in range(SMOOTHING_ROUNDS):
        weights = 0.5 * weights + 0.5 * (mean @ weights)
    return weights


def _pruned(weights: Array) -> Array:
    """The four largest of each row, small ones dropped, rows sum to 1."""
    order = np.argsort(-weights, axis=1)
    kept = weights.copy()
    np.put_along_axis(kept, order[:, INFLUENCES:], 0.0, axis=1)
    kept[kept < 0.01 * kept.sum(1, keepdims=True)] = 0.0
    return kept / kept.sum(1, keepdims=True)
