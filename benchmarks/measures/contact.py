# SPDX-License-Identifier: GPL-3.0-or-later
"""Touch: who touches whom, how far truly touching skin ends up apart, and how far hands run into each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from . import surface

Array = NDArray[np.float64]
IntArray = NDArray[np.int32]

TOUCHING_MM: Final = 2.0
"""Surfaces no farther apart than this touch."""
VOLUME_STEP_MM: Final = 1.0


@dataclass(frozen=True)
class Penetration:
    """How far two closed meshes run into each other."""

    depth_mm: float
    """the deepest vertex of either hand inside the other, mm to the other's surface"""
    volume_mm3: float
    """volume inside both, mm^3, on columns 1 mm apart"""


def precision(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Share of the predicted contacts that are true, over frames and region pairs (N, 6, 6); NaN without any."""
    return float((predicted & truth).sum() / predicted.sum()) if predicted.any() else float("nan")


def recall(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Share of the true contacts that are predicted, over frames and region pairs (N, 6, 6); NaN without any."""
    return float((predicted & truth).sum() / truth.sum()) if truth.any() else float("nan")


@dataclass(frozen=True)
class Touching:
    """Surface points that touch: a vertex of the left hand and a point on a triangle of the right one."""

    left_vertex: NDArray[np.int64]
    """(M,)"""
    right_corner: IntArray
    """(M, 3) the vertices of the triangle"""
    right_weight: Array
    """(M, 3) where in the triangle; rows sum to 1"""


def touching_points(left: Array, right: Array, right_triangles: IntArray, *, gap_mm: float = TOUCHING_MM) -> Touching:
    """The left vertices (V, 3) at most `gap_mm` from the right hand's surface, inside or outside, and where they touch.

    Vertices are mm. Found on the true meshes once, they name the same skin on any predicted mesh of the same topology.
    """
    near = np.flatnonzero(((left >= right.min(0) - gap_mm) & (left <= right.max(0) + gap_mm)).all(-1))
    # No point of a triangle is farther from its nearest corner than its longest side.
    corner = right[right_triangles]
    longest = np.linalg.norm(corner - np.roll(corner, 1, axis=1), axis=-1).max()
    near = near[surface.nearest_vertex(left[near], right) <= gap_mm + longest]
    distance, face, weight = surface.nearest_on_surface(left[near], right, right_triangles)
    close = distance <= gap_mm
    return Touching(near[close], right_triangles[face[close]], weight[close])


def touching_distances_mm(left: Array, right: Array, touching: Touching) -> Array:
    """(M,) mm between the predicted places of surface points that truly touch.

    `left` and `right` are the predicted meshes (V, 3) mm. A method that holds the hands apart or pushes them
    through each other shows it here.
    """
    partner = (right[touching.right_corner] * touching.right_weight[..., None]).sum(-2)
    return np.linalg.norm(left[touching.left_vertex] - partner, axis=-1)


def touching_regions(touching: Touching, left_region: IntArray, right_region: IntArray) -> NDArray[np.bool_]:
    """(6, 6) which regions of the left hand touch which of the right, `names.CONTACT_PARTS` order.

    Regions (V,) give each vertex's region, -1 for none; the right point takes its nearest corner's.
    """
    regions = np.zeros((6, 6), bool)
    rows = np.arange(len(touching.left_vertex))
    corner = touching.right_corner[rows, touching.right_weight.argmax(-1)]
    a, b = left_region[touching.left_vertex], right_region[corner]
    counted = (a >= 0) & (b >= 0)
    regions[a[counted], b[counted]] = True
    return regions


def penetration(left: Array, left_triangles: IntArray, right: Array, right_triangles: IntArray) -> Penetration:
    """Depth and volume two closed hand meshes (V, 3) mm share."""
    low = np.maximum(left.min(0), right.min(0))
    high = np.minimum(left.max(0), right.max(0))
    if not (high > low).all():
        return Penetration(0.0, 0.0)
    into_right = surface.depth_inside(left, right, right_triangles)
    into_left = surface.depth_inside(right, left, left_triangles)
    volume = surface.shared_volume(left, left_triangles, right, right_triangles, step=VOLUME_STEP_MM)
    return Penetration(float(max(into_right.max(), into_left.max())), volume)


NEARER_CELL_PX: Final = 6.0


def nearer_in_front(first: Array, first_pixels: Array, second: Array, second_pixels: Array) -> float:
    """How sure the first of two meshes is in front of the second: share of shared picture cells, 0..1.

    Vertices (V, 3) in camera axes with their pixels (V, 2) fall into square cells of NEARER_CELL_PX; in each cell that
    holds vertices of both, the mesh with the smallest depth is in front. Without a shared cell the mean depths
    decide, 1 or 0.
    """
    fronts = []
    for vertices, pixels in ((first, first_pixels), (second, second_pixels)):
        cells = np.floor(pixels / NEARER_CELL_PX).astype(np.int64)
        front: dict[tuple[int, int], float] = {}
        for (x, y), depth in zip(cells.tolist(), vertices[:, 2].tolist(), strict=True):
            front[x, y] = min(depth, front.get((x, y), np.inf))
        fronts.append(front)
    shared = fronts[0].keys() & fronts[1].keys()
    if not shared:
        return float(first[:, 2].mean() < second[:, 2].mean())
    return sum(fronts[0][cell] < fronts[1][cell] for cell in shared) / len(shared)
