# SPDX-License-Identifier: GPL-3.0-or-later
"""Three numbers for every point of a hand's surface that keep how far points are from each other along it.

Ways along the mesh are measured between all vertices; classical scaling, then steps that lower the stress, put the
vertices into three dimensions so that straight distances are as near to those ways as they can be. One factor fits
the result into a cylinder of radius 0.5 and height 1, whose angle, radius and height are hue, saturation and value
when it is shown. Both hands have the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.hand.names import KEYPOINT_COUNT, KEYPOINT_OF_JOINT, TIP_KEYPOINTS

Array = NDArray[np.float64]

_NEIGHBOURS: Final = 3
"""vertices whose codes a point between them mixes"""
_AROUND: Final = 16
"""vertices that lie about a keypoint"""
_STEPS: Final = 40
"""of stress majorisation"""
OFF: Final = 0.008
"""metres from the mesh beyond which a point is forearm or a thing worn, and no part of the hand"""
WRIST: Final = 0.012
"""metres beyond the wrist joint, towards the elbow, from which vertices are never matched: the mesh is cut there"""


@dataclass(frozen=True)
class SurfaceCode:
    """The code of the right free hand's surface."""

    code: Array
    """(V, 3) of each vertex: height 0..1 last, the others within 0.5 of the axis"""
    unit: float
    """metres along the surface that one unit of code is"""
    stress: float
    """root mean square of the relative error of distances up to 10 cm"""

    def at(self, points: NDArray[Any]) -> tuple[Array, NDArray[np.bool_]]:
        """Codes (N, 3) of points (N, 3) of the canonical right hand at rest, and whether they are of the hand (N,)."""
        distance, index = _tree().query(points, k=_NEIGHBOURS)
        share = 1.0 / np.maximum(distance, 1e-4) ** 2
        mixed = (self.code[index] * share[..., None]).sum(1) / share.sum(1, keepdims=True)
        return mixed, np.asarray((distance[:, 0] < OFF) & (points[:, 0] < WRIST))

    def of_points(self) -> Array:
        """(21, 3) the mean code of the skin all round each keypoint."""
        rest = free_hand("right").rest()
        points = np.empty((KEYPOINT_COUNT, 3))
        points[list(KEYPOINT_OF_JOINT)], points[list(TIP_KEYPOINTS)] = rest.joints, rest.tips
        return np.asarray(self.code[_tree().query(points, k=_AROUND)[1]].mean(1))

    def spread(self, count: int) -> NDArray[np.intp]:
        """(count,) vertices spread evenly over the surface: each next one is farthest from all before it."""
        way = ways()
        usable = free_hand("right").template[:, 0] < WRIST
        # The tip of the middle finger first: fingertips matter most.
        chosen = [int(np.argmin(free_hand("right").template[:, 0]))]
        nearest = np.where(usable, way[chosen[0]], -1.0)
        while len(chosen) < count:
            chosen.append(int(nearest.argmax()))
            nearest = np.minimum(nearest, way[chosen[-1]])
        return np.array(chosen, np.intp)


@lru_cache(maxsize=1)
def ways() -> Array:
    """(V, V) metres along the mesh between all vertices."""
    hand = free_hand("right")
    corners = hand.triangles
    sides = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    edges = np.unique(np.sort(sides, axis=1), axis=0)
    # Across two triangles as well: along edges alone every way is too long.
    edges = np.unique(np.concatenate([edges, _across(corners)]), axis=0)
    length = np.linalg.norm(hand.template[edges[:, 0]] - hand.template[edges[:, 1]], axis=1)
    count = len(hand.template)
    graph = sparse.coo_matrix((length, (edges[:, 0], edges[:, 1])), (count, count)).tocsr()
    return np.asarray(dijkstra(graph, directed=False))


def _across(corners: NDArray[np.int32]) -> NDArray[np.int64]:
    """(n, 2) the two vertices that lie opposite to each edge."""
    opposite: dict[tuple[int, int], list[int]] = {}
    for corner in corners.tolist():
        for k in range(3):
            a, b, c = corner[k], corner[(k + 1) % 3], corner[(k + 2) % 3]
            opposite.setdefault((min(a, b), max(a, b)), []).append(c)
    return np.array([sorted(pair) for pair in opposite.values() if len(pair) == 2], np.int64)


@lru_cache(maxsize=1)
def _tree() -> cKDTree:
    return cKDTree(free_hand("right").template)


@lru_cache(maxsize=1)
def surface_code() -> SurfaceCode:
    """The code, always the same for the same hand."""
    way = ways()
    count = len(way)
    centred = way**2 - (way**2).mean(0)
    centred -= centred.mean(1, keepdims=True)
    values, vectors = np.linalg.eigh(-0.5 * centred)
    place = vectors[:, -3:] * np.sqrt(np.maximum(values[-3:], 0.0))
    # What is near matters most: the weight of a distance falls with its square.
    weight = 1.0 / (way + 0.02) ** 2
    np.fill_diagonal(weight, 0.0)
    solver = np.linalg.inv(np.diag(weight.sum(1)) - weight + 1.0 / count)
    for _ in range(_STEPS):
        pull = weight * way / np.sqrt(np.maximum(_squared(place), 1e-12))
        place = solver @ (pull.sum(1)[:, None] * place - pull @ place)
        place -= place.mean(0)
    place = place @ np.linalg.svd(place, full_matrices=False)[2].T
    # Longest first; the signs are chosen so that fingertips are at the top and the thumb at hue 0.
    tips = place[free_hand("right").template[:, 0].argmin()]
    place[:, 0] *= np.sign(tips[0])
    apart = np.sqrt(np.maximum(_squared(place), 0.0))
    near = (way > 0.0) & (way <= 0.1)
    stress = float(np.sqrt(np.mean((apart[near] / way[near] - 1.0) ** 2)))
    flat = place[:, 1:]
    flat = flat - (flat.max(0) + flat.min(0)) / 2
    high = place[:, 0] - place[:, 0].min()
    unit = float(max(2.0 * np.linalg.norm(flat, axis=1).max(), high.max()))
    return SurfaceCode(np.concatenate([flat, high[:, None]], axis=1) / unit, unit, stress)


def _squared(points: Array) -> Array:
    norm = (points**2).sum(1)
    return np.asarray(norm[:, None] + norm - 2.0 * points @ points.T)


def colours(code: NDArray[Any]) -> NDArray[np.uint8]:
    """Codes (..., 3) as RGB: angle, radius and height are hue, saturation and value."""
    flat = np.asarray(code, np.float64).reshape(-1, 3)
    hue = np.degrees(np.arctan2(flat[:, 1], flat[:, 0])) % 360.0
    hsv = np.stack([hue, np.clip(2.0 * np.linalg.norm(flat[:, :2], axis=1), 0, 1), np.clip(flat[:, 2], 0, 1)], axis=1)
    hsv[:, 1] = 0.25 + 0.75 * hsv[:, 1]
    hsv[:, 2] = 0.3 + 0.7 * hsv[:, 2]
    rgb = cv2.cvtColor(hsv.astype(np.float32)[None], cv2.COLOR_HSV2RGB)[0]
    return np.rint(rgb * 255.0).astype(np.uint8).reshape(*np.shape(code)[:-1], 3)
