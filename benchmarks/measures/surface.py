# SPDX-License-Identifier: GPL-3.0-or-later
"""Closed triangle meshes: which points are inside, how deep, and how much space two of them share.

Everything runs along columns parallel to z: a column crosses a closed mesh where it meets a
triangle's footprint, upwards or downwards, and the running sum of the signs is the winding
number, so a hand whose fingers dip into its own palm is still one solid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
IntArray = NDArray[np.int32]

_NUDGE = np.array([1.234567e-4, 2.345678e-4])
"""Columns stand a hair (0.1 micrometre) beside round numbers, so that they do not run along edges."""


def closed(triangles: IntArray) -> IntArray:
    """Triangles (F, 3) with every open border filled by a fan, so that hands cut off at the wrist are solids too."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    present = set(map(tuple, edges.tolist()))
    following = {b: a for a, b in present if (b, a) not in present}
    fans: list[tuple[int, int, int]] = []
    while following:
        first, at = following.popitem()
        while at in following:
            # The border runs against the faces' own edges, so that the fan turns the same way as they do.
            step = following.pop(at)
            if step != first:
                fans.append((first, at, step))
            at = step
    return np.concatenate([triangles, np.array(fans, np.int32).reshape(-1, 3)])


_GROUP: Final = 32
"""Points whose nearest triangles are searched together."""


@dataclass(frozen=True)
class Crossings:
    """Where columns meet a mesh, one row a crossing, sorted by column and then by z."""

    column: NDArray[np.int64]
    z: Array
    sign: NDArray[np.int64]
    """+1 entering the solid while going up in z, -1 leaving it"""


def crossings(columns: Array, vertices: Array, triangles: IntArray) -> Crossings:
    """Where columns at (C, 2) x, y meet the mesh (V, 3), (F, 3); triangles turn counter-clockwise seen from outside."""
    corner = vertices[triangles]
    x, y = corner[..., 0], corner[..., 1]
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    order = np.argsort(columns[:, 0], kind="stable")
    sorted_x = columns[order, 0]
    first = np.searchsorted(sorted_x, x.min(1), "left")
    count = np.maximum(np.searchsorted(sorted_x, x.max(1), "right") - first, 0)
    face = np.repeat(np.arange(len(triangles)), count)
    offset = np.arange(len(face)) - np.repeat(np.cumsum(count) - count, count)
    column = order[first[face] + offset]
    px, py = columns[column, 0], columns[column, 1]
    near = (py >= y.min(1)[face]) & (py <= y.max(1)[face]) & (area[face] != 0)
    face, column, px, py = face[near], column[near], px[near], py[near]
    x, y, area = x[face], y[face], area[face]
    b = ((px - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (py - y[:, 0])) / area
    c = ((x[:, 1] - x[:, 0]) * (py - y[:, 0]) - (px - x[:, 0]) * (y[:, 1] - y[:, 0])) / area
    hit = (b >= 0) & (c >= 0) & (b + c <= 1)
    face, column, b, c = face[hit], column[hit], b[hit], c[hit]
    z = corner[face, :, 2]
    height = z[:, 0] + b * (z[:, 1] - z[:, 0]) + c * (z[:, 2] - z[:, 0])
    # A face seen counter-clockwise from above points up: going up, the column leaves the solid through it.
    sign = np.where(area[hit] > 0, -1, 1)
    by = np.lexsort((height, column))
    return Crossings(column=column[by], z=height[by], sign=sign[by])


def inside(points: Array, vertices: Array, triangles: IntArray) -> NDArray[np.bool_]:
    """(P,) whether each point (P, 3) lies inside the closed mesh."""
    low, high = vertices.min(0), vertices.max(0)
    near = np.flatnonzero(((points > low) & (points < high)).all(-1))
    met = crossings(points[near, :2] + _NUDGE, vertices, triangles)
    below = met.z < points[near[met.column], 2]
    winding = np.bincount(met.column[below], weights=met.sign[below], minlength=len(near))
    result = np.zeros(len(points), bool)
    result[near] = winding > 0.5
    return result


def hidden(points: Array, vertices: Array, triangles: IntArray, slack_mm: Array) -> NDArray[np.bool_]:
    """(P,) whether the mesh (V, 3), mm, hides each point (P, 3) from a camera at the origin that looks along z.

    A point is hidden by skin farther before it than `slack_mm` (P,): of its own hand, the flesh that it lies in.
    Everything lies before the camera.
    """
    # Planes stay planes, and what lies on one ray lies on one column, farther up the farther away.
    columns, seen = (np.concatenate([p[:, :2] / p[:, 2:], -1.0 / p[:, 2:]], axis=1) for p in (points, vertices))
    met = crossings(columns[:, :2], seen, triangles)
    before = -1.0 / met.z < (points[:, 2] - slack_mm)[met.column]
    return np.bincount(met.column[before], minlength=len(points)) > 0


def nearest_vertex(points: Array, vertices: Array) -> Array:
    """(P,) distance from each point (P, 3) to the nearest of the vertices (V, 3)."""
    if not len(points):
        return np.zeros(0)
    squared = (points * points).sum(-1)[:, None] + (vertices * vertices).sum(-1) - 2.0 * points @ vertices.T
    return np.sqrt(np.maximum(squared.min(1), 0.0))


def nearest_on_surface(points: Array, vertices: Array, triangles: IntArray) -> tuple[Array, NDArray[np.int64], Array]:
    """The nearest point of a mesh to each point (P, 3): distance (P,), triangle (P,), its corners' weights (P, 3).

    Exact: neighbouring points are handled together with the triangles that come within the distance of their
    nearest vertices.
    """
    corner = vertices[triangles]
    low, high = corner.min(1), corner.max(1)
    distance, face, weight = np.zeros(len(points)), np.zeros(len(points), np.int64), np.zeros((len(points), 3))
    bound = nearest_vertex(points, vertices[np.unique(triangles)]) * (1.0 + 1e-9) + 1e-6
    for group in _neighbours(points, np.arange(len(points))):
        reach = bound[group].max()
        near = (low <= points[group].max(0) + reach) & (high >= points[group].min(0) - reach)
        chosen = np.flatnonzero(near.all(-1))
        distance[group], at, weight[group] = _nearest(points[group], corner[chosen])
        face[group] = chosen[at]
    return distance, face, weight


def _neighbours(points: Array, index: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """`index` split into groups of at most _GROUP points that lie together."""
    if len(index) <= _GROUP:
        return [index] if len(index) else []
    own = points[index]
    axis = int(np.argmax(own.max(0) - own.min(0)))
    order = index[np.argsort(own[:, axis], kind="stable")]
    half = len(order) // 2
    return _neighbours(points, order[:half]) + _neighbours(points, order[half:])


def _nearest(points: Array, corner: Array) -> tuple[Array, NDArray[np.int64], Array]:
    """`nearest_on_surface` for (P, 3) points and triangles (F, 3, 3)."""
    a, ab, ac = corner[:, 0], corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    ap = points[:, None] - a
    bb, bc, cc = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    pb, pc = (ap * ab).sum(-1), (ap * ac).sum(-1)
    squared = (ap * ap).sum(-1)
    plane = np.maximum(bb * cc - bc * bc, 1e-30)
    s, t = (cc * pb - bc * pc) / plane, (bb * pc - bc * pb) / plane
    outside = (s < 0) | (t < 0) | (s + t > 1)
    u = np.clip(pb / np.maximum(bb, 1e-30), 0, 1)
    v = np.clip(pc / np.maximum(cc, 1e-30), 0, 1)
    w = np.clip((pc - pb + bb - bc) / np.maximum(bb - 2 * bc + cc, 1e-30), 0, 1)
    zero = np.zeros_like(s)
    # The foot lies in the triangle's plane when it falls inside, else on the nearest of its three sides.
    shares = np.stack([np.stack(pair, axis=-1) for pair in ((s, t), (u, zero), (zero, v), (1 - w, w))])
    first, second = shares[..., 0], shares[..., 1]
    value = squared - 2 * (first * pb + second * pc) + first * first * bb + 2 * first * second * bc
    value = value + second * second * cc
    value[0][outside] = np.inf
    flat = value.transpose(1, 0, 2).reshape(len(points), -1).argmin(1)
    kind, face = np.divmod(flat, len(corner))
    rows = np.arange(len(points))
    chosen = shares[kind, rows, face]
    weight = np.concatenate([1 - chosen.sum(-1, keepdims=True), chosen], axis=-1)
    return np.sqrt(np.maximum(value[kind, rows, face], 0.0)), face, weight


def depth_inside(points: Array, vertices: Array, triangles: IntArray) -> Array:
    """(P,) how deep each point (P, 3) lies inside the closed mesh: distance to its surface; 0 outside."""
    depth = np.zeros(len(points))
    deep = np.flatnonzero(inside(points, vertices, triangles))
    depth[deep] = nearest_on_surface(points[deep], vertices, triangles)[0]
    return depth


def shared_volume(
    first: Array, first_triangles: IntArray, second: Array, second_triangles: IntArray, *, step: float
) -> float:
    """Volume inside both closed meshes, in the cube of their unit; columns `step` apart in x and y, exact along z."""
    low = np.maximum(first.min(0), second.min(0))[:2]
    high = np.minimum(first.max(0), second.max(0))[:2]
    if not (high > low).all():
        return 0.0
    x, y = (np.arange(low[i] + step / 2, high[i], step) for i in (0, 1))
    columns = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2) + _NUDGE
    one = crossings(columns, first, first_triangles)
    two = crossings(columns, second, second_triangles)
    column = np.concatenate([one.column, two.column])
    z = np.concatenate([one.z, two.z])
    steps = np.zeros((len(column), 2))
    steps[: len(one.column), 0] = one.sign
    steps[len(one.column) :, 1] = two.sign
    by = np.lexsort((z, column))
    column, z, steps = column[by], z[by], steps[by]
    winding = np.cumsum(steps, axis=0)
    both = (winding[:-1] > 0.5).all(-1) & (column[1:] == column[:-1])
    return float((np.diff(z) * both).sum() * step * step)
