# SPDX-License-Identifier: GPL-3.0-or-later
"""What the true meshes of two hands say: how deep they sink, how far apart they are, which parts meet.

`measure` is quick (nearest vertex, then the triangles around it) and judges every generated
pattern. `true_depth` takes no shortcuts (winding number of every vertex, all triangles) and is what
the card's figures come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numba
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import free_hand, free_hinges, free_surface
from blender_handmocap.engine.hand.names import CONTACT_PARTS, FINGERS, JOINT_COUNT, TIP_JOINTS

from .contact import Pairs

Array = NDArray[np.float64]

FAR: Final = 0.015
"""Gaps are measured up to this many metres; beyond it they read FAR."""
_WRIST: Final = 0.004
"""Skin this near to the cut at the wrist is left out: beyond it there is forearm."""
_NO_PART: Final = len(CONTACT_PARTS)


@dataclass(frozen=True)
class MeshContact:
    """What the meshes of N patterns say."""

    depth: Array
    """(N,) metres the deepest vertex of either hand lies inside the other"""
    gap: Array
    """(N,) least distance between the surfaces, 0 where they meet, at most FAR"""
    part_gap: Array
    """(N, 6, 6) the same between CONTACT_PARTS of the left and of the right hand"""


@dataclass(frozen=True)
class _Mesh:
    triangles: NDArray[np.int64]
    ring_start: NDArray[np.int64]
    """(V+1,) where the triangles around each vertex start in `ring`"""
    ring: NDArray[np.int64]
    part: NDArray[np.int64]
    """(V,) CONTACT_PARTS index or _NO_PART"""
    skin: NDArray[np.bool_]
    """(V,) not the cut of the wrist"""
    by_bone: NDArray[np.int64]
    """(V,) vertices sorted by the joint that moves them most"""
    bone_start: NDArray[np.int64]
    """(17,)"""


@lru_cache(maxsize=2)
def _mesh(side: str) -> _Mesh:
    model = free_hand("right" if side == "right" else "left")
    triangles = model.triangles.astype(np.int64)
    order = np.argsort(triangles.ravel(), kind="stable")
    start = np.searchsorted(triangles.ravel()[order], np.arange(len(model.template) + 1))
    label = np.full(256, _NO_PART)
    label[0] = CONTACT_PARTS.index("palm")
    for finger, joint in zip(FINGERS, TIP_JOINTS, strict=True):
        label[joint] = CONTACT_PARTS.index(f"{finger}_tip")
    x = free_hand("right").template[:, 0]
    bone = model.weights.argmax(1)
    by_bone = np.argsort(bone, kind="stable")
    return _Mesh(
        triangles=triangles,
        ring_start=start.astype(np.int64),
        ring=(order // 3).astype(np.int64),
        part=label[free_surface().part].astype(np.int64),
        skin=x < x.max() - _WRIST,
        by_bone=by_bone.astype(np.int64),
        bone_start=np.searchsorted(bone[by_bone], np.arange(JOINT_COUNT + 1)).astype(np.int64),
    )


def posed_vertices(pairs: Pairs) -> tuple[Array, Array]:
    """The meshes (N, V, 3) of the right and the left hand, canonical right axes, metres, mean shape."""
    right, left = free_hand("right"), free_hand("left")
    identity = np.tile([1.0, 0.0, 0.0, 0.0], (len(pairs), 1))
    turns = {"right": identity, "left": pairs.turn}
    shifts = {"right": np.zeros((len(pairs), 3)), "left": pairs.shift}
    out = []
    for number, model in enumerate((right, left)):
        rotation = rotations_from_angles(pairs.angles[:, number], free_hinges(model.side), turns[model.side])
        out.append(model.vertices(rotation, shifts[model.side], model.rest()))
    return out[0], out[1]


def measure(pairs: Pairs) -> MeshContact:
    """Depth, gap and gaps by part of every pattern."""
    depth, gap = np.empty(len(pairs)), np.empty(len(pairs))
    part_gap = np.empty((len(pairs), len(CONTACT_PARTS), len(CONTACT_PARTS)))
    for start in range(0, len(pairs), 128):
        for k, meshes in enumerate(zip(*posed_vertices(pairs[start : start + 128]), strict=True), start):
            depth[k], gap[k], part_gap[k] = measure_meshes(*meshes)
    return MeshContact(depth, gap, part_gap)


def measure_meshes(right: Array, left: Array) -> tuple[float, float, Array]:
    """The same of one pair of posed meshes (V, 3), whatever their shape: depth, gap, gaps by part (6, 6)."""
    sides, meshes = (_mesh("right"), _mesh("left")), (right, left)
    table = np.full((_NO_PART + 1, _NO_PART + 1), FAR)
    deepest = 0.0
    for own, other in ((0, 1), (1, 0)):
        signed, nearest = signed_distances(
            meshes[own], sides[own].skin, meshes[other], sides[other].triangles,
            sides[other].ring_start, sides[other].ring, sides[other].by_bone, sides[other].bone_start,
        )  # fmt: skip
        seen = nearest >= 0
        seen[seen] &= sides[other].skin[nearest[seen]]
        index = np.flatnonzero(seen)
        mine, theirs = sides[own].part[index], sides[other].part[nearest[index]]
        rows, columns = (theirs, mine) if own == 0 else (mine, theirs)
        np.minimum.at(table, (rows, columns), np.maximum(signed[index], 0.0))
        deepest = max(deepest, float(-signed[index].min(initial=0.0)))
    return deepest, float(table.min()), table[:_NO_PART, :_NO_PART]


@numba.njit(cache=True, inline="always")
def _dot(ax, ay, az, bx, by, bz):
    return ax * bx + ay * by + az * bz


@numba.njit(cache=True)
def _triangle_distance(p, a, b, c):
    """Squared distance of a point from a triangle (Ericson, Real-Time Collision Detection)."""
    abx, aby, abz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    acx, acy, acz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    apx, apy, apz = p[0] - a[0], p[1] - a[1], p[2] - a[2]
    d1, d2 = _dot(abx, aby, abz, apx, apy, apz), _dot(acx, acy, acz, apx, apy, apz)
    if d1 <= 0.0 and d2 <= 0.0:
        return _dot(apx, apy, apz, apx, apy, apz)
    bpx, bpy, bpz = p[0] - b[0], p[1] - b[1], p[2] - b[2]
    d3, d4 = _dot(abx, aby, abz, bpx, bpy, bpz), _dot(acx, acy, acz, bpx, bpy, bpz)
    if d3 >= 0.0 and d4 <= d3:
        return _dot(bpx, bpy, bpz, bpx, bpy, bpz)
    cpx, cpy, cpz = p[0] - c[0], p[1] - c[1], p[2] - c[2]
    d5, d6 = _dot(abx, aby, abz, cpx, cpy, cpz), _dot(acx, acy, acz, cpx, cpy, cpz)
    if d6 >= 0.0 and d5 <= d6:
        return _dot(cpx, cpy, cpz, cpx, cpy, cpz)
    vc, vb, va = d1 * d4 - d3 * d2, d5 * d2 - d1 * d6, d3 * d6 - d5 * d4
    if vc <= 0.0 and d1 >= 0.0 and d3 <= 0.0:
        v, w = d1 / (d1 - d3), 0.0
    elif vb <= 0.0 and d2 >= 0.0 and d6 <= 0.0:
        v, w = 0.0, d2 / (d2 - d6)
    elif va <= 0.0 and d4 - d3 >= 0.0 and d5 - d6 >= 0.0:
        w = (d4 - d3) / ((d4 - d3) + (d5 - d6))
        v = 1.0 - w
    else:
        total = 1.0 / (va + vb + vc)
        v, w = vb * total, vc * total
    x, y, z = apx - v * abx - w * acx, apy - v * aby - w * acy, apz - v * abz - w * acz
    return _dot(x, y, z, x, y, z)


@numba.njit(cache=True)
def signed_distances(points, wanted, vertices, triangles, ring_start, ring, by_bone, bone_start):
    """Signed distance (V,) of points from a mesh, negative inside, and the nearest vertex; -1 beyond FAR.

    A point counts as inside where it lies behind the nearest face around its nearest vertex and the
    winding number agrees.
    """
    count = len(points)
    signed = np.full(count, FAR)
    nearest = np.full(count, -1, np.int64)
    low, high = np.full(3, 1e9), np.full(3, -1e9)
    for v in range(len(vertices)):
        for i in range(3):
            low[i] = min(low[i], vertices[v, i])
            high[i] = max(high[i], vertices[v, i])
    bones = len(bone_start) - 1
    box = np.empty((bones, 2, 3))
    box[:, 0] = 1e9
    box[:, 1] = -1e9
    for bone in range(bones):
        for k in range(bone_start[bone], bone_start[bone + 1]):
            for i in range(3):
                box[bone, 0, i] = min(box[bone, 0, i], vertices[by_bone[k], i])
                box[bone, 1, i] = max(box[bone, 1, i], vertices[by_bone[k], i])
    for n in range(count):
        if not wanted[n]:
            continue
        p = points[n]
        best, at = (FAR + 0.004) ** 2, -1
        for bone in range(bones):
            away = 0.0
            for i in range(3):
                beyond = max(box[bone, 0, i] - p[i], p[i] - box[bone, 1, i], 0.0)
                away += beyond * beyond
            if away >= best:
                continue
            for k in range(bone_start[bone], bone_start[bone + 1]):
                v = by_bone[k]
                x, y, z = p[0] - vertices[v, 0], p[1] - vertices[v, 1], p[2] - vertices[v, 2]
                squared = x * x + y * y + z * z
                if squared < best:
                    best, at = squared, v
        if at < 0:
            continue
        closest, behind = 1e9, False
        for r in range(ring_start[at], ring_start[at + 1]):
            t = ring[r]
            a, b, c = vertices[triangles[t, 0]], vertices[triangles[t, 1]], vertices[triangles[t, 2]]
            squared = _triangle_distance(p, a, b, c)
            if squared > closest * (1.0 + 1e-9):
                continue
            ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
            wx, wy, wz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
            side = _dot(p[0] - a[0], p[1] - a[1], p[2] - a[2], uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx)
            # On an edge or a corner several faces are equally near: any of them raises the question.
            behind = side < 0.0 or (behind and squared > closest * (1.0 - 1e-9))
            closest = min(closest, squared)
        distance = np.sqrt(closest)
        inside = behind
        for i in range(3):
            if p[i] < low[i] or p[i] > high[i]:
                inside = False
        if inside:
            inside = _winding(p, vertices, triangles) > 0.5
        signed[n] = -distance if inside else min(distance, FAR)
        nearest[n] = at
    return signed, nearest


@numba.njit(cache=True, fastmath=True)
def _winding(p, vertices, triangles):
    """Generalised winding number of a mesh about a point (van Oosterom and Strackee)."""
    total = 0.0
    for t in range(len(triangles)):
        a, b, c = vertices[triangles[t, 0]], vertices[triangles[t, 1]], vertices[triangles[t, 2]]
        ax, ay, az = a[0] - p[0], a[1] - p[1], a[2] - p[2]
        bx, by, bz = b[0] - p[0], b[1] - p[1], b[2] - p[2]
        cx, cy, cz = c[0] - p[0], c[1] - p[1], c[2] - p[2]
        la = np.sqrt(_dot(ax, ay, az, ax, ay, az))
        lb = np.sqrt(_dot(bx, by, bz, bx, by, bz))
        lc = np.sqrt(_dot(cx, cy, cz, cx, cy, cz))
        determinant = ax * (by * cz - bz * cy) - ay * (bx * cz - bz * cx) + az * (bx * cy - by * cx)
        ab, bc, ca = _dot(ax, ay, az, bx, by, bz), _dot(bx, by, bz, cx, cy, cz), _dot(cx, cy, cz, ax, ay, az)
        total += np.arctan2(determinant, la * lb * lc + ab * lc + bc * la + ca * lb)
    return total / (2.0 * np.pi)


@numba.njit(cache=True)
def winding_depth(points, wanted, vertices, triangles):
    """How deep (metres) the deepest of the wanted points lies inside a mesh: all triangles, no shortcuts."""
    low, high = np.full(3, 1e9), np.full(3, -1e9)
    for v in range(len(vertices)):
        for i in range(3):
            low[i] = min(low[i], vertices[v, i])
            high[i] = max(high[i], vertices[v, i])
    deepest = 0.0
    for n in range(len(points)):
        p = points[n]
        if not wanted[n]:
            continue
        out = False
        for i in range(3):
            if p[i] < low[i] or p[i] > high[i]:
                out = True
        if out or _winding(p, vertices, triangles) < 0.5:
            continue
        closest = 1e9
        for t in range(len(triangles)):
            a, b, c = vertices[triangles[t, 0]], vertices[triangles[t, 1]], vertices[triangles[t, 2]]
            closest = min(closest, _triangle_distance(p, a, b, c))
        deepest = max(deepest, np.sqrt(closest))
    return deepest


def true_depth(pairs: Pairs) -> Array:
    """(N,) penetration depth of every pattern by the winding number, both hands against each other."""
    sides = _mesh("right"), _mesh("left")
    out = np.zeros(len(pairs))
    for k in range(len(pairs)):
        meshes = posed_vertices(pairs[k : k + 1])
        for own, other in ((0, 1), (1, 0)):
            found = winding_depth(meshes[own][0], sides[own].skin, meshes[other][0], sides[other].triangles)
            out[k] = max(out[k], found)
    return out
