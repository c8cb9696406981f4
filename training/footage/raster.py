# SPDX-License-Identifier: GPL-3.0-or-later
"""Triangles to pixels: which face each sample sees and how deep, and shadow depth maps. Compiled by numba.

Screen positions are in samples: an integer coordinate is the middle of a sample.
"""

from __future__ import annotations

from math import ceil, floor, sqrt
from typing import Final

import numba as nb
import numpy as np

NEAR: Final = np.float32(0.02)
"""Faces that reach closer than this to the camera, in metres, are not drawn."""
_ONE: Final = np.float32(1.0)
_EDGE: Final = np.float32(-1e-5)
"""Barycentric slack: neighbours may both claim a sample on their edge, none may drop it."""


@nb.njit(cache=True, fastmath=True, boundscheck=False)
def project(points, focal_x, focal_y, centre_x, centre_y, samples, offset, screen):  # type: ignore[no-untyped-def]
    """Camera points (N, 3) -> screen (N, 3): x, y in samples, depth in metres."""
    for i in range(points.shape[0]):
        z = points[i, 2]
        safe = z if z > NEAR else NEAR
        screen[i, 0] = (points[i, 0] / safe * focal_x + centre_x) * samples + offset
        screen[i, 1] = (points[i, 1] / safe * focal_y + centre_y) * samples + offset
        screen[i, 2] = z


@nb.njit(cache=True, fastmath=True, boundscheck=False)
def rasterise(screen, faces, inverse_depth, face_index):  # type: ignore[no-untyped-def]
    """Draw faces that turn their front to the camera into inverse_depth (h, w) and face_index (h, w).

    The buffers hold what was drawn before: 0 and -1 where nothing was. Perspective-correct.
    """
    height, width = inverse_depth.shape
    for f in range(faces.shape[0]):
        a = faces[f, 0]
        b = faces[f, 1]
        c = faces[f, 2]
        za = screen[a, 2]
        zb = screen[b, 2]
        zc = screen[c, 2]
        if za <= NEAR or zb <= NEAR or zc <= NEAR:
            continue
        xa = screen[a, 0]
        ya = screen[a, 1]
        xb = screen[b, 0]
        yb = screen[b, 1]
        xc = screen[c, 0]
        yc = screen[c, 1]
        area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
        # With y down and outward faces counter-clockwise seen from outside, fronts have negative area.
        if area >= 0:
            continue
        left = int(ceil(min(xa, min(xb, xc)) - np.float32(1e-4)))
        right = int(floor(max(xa, max(xb, xc)) + np.float32(1e-4)))
        top = int(ceil(min(ya, min(yb, yc)) - np.float32(1e-4)))
        bottom = int(floor(max(ya, max(yb, yc)) + np.float32(1e-4)))
        if left < 0:
            left = 0
        if top < 0:
            top = 0
        if right > width - 1:
            right = width - 1
        if bottom > height - 1:
            bottom = height - 1
        if left > right or top > bottom:
            continue
        scale = _ONE / area
        inverse_a = _ONE / za
        inverse_b = _ONE / zb
        inverse_c = _ONE / zc
        step_a = -(yc - yb) * scale
        step_b = -(ya - yc) * scale
        slope = step_a * (inverse_a - inverse_c) + step_b * (inverse_b - inverse_c)
        for y in range(top, bottom + 1):
            weight_a = ((xb - left) * (yc - y) - (xc - left) * (yb - y)) * scale
            weight_b = ((xc - left) * (ya - y) - (xa - left) * (yc - y)) * scale
            depth = weight_a * inverse_a + weight_b * inverse_b + (_ONE - weight_a - weight_b) * inverse_c
            for x in range(left, right + 1):
                inside = weight_a >= _EDGE and weight_b >= _EDGE and weight_a + weight_b <= _ONE - _EDGE
                if inside and depth > inverse_depth[y, x]:
                    inverse_depth[y, x] = depth
                    face_index[y, x] = f
                weight_a += step_a
                weight_b += step_b
                depth += slope


@nb.njit(cache=True, fastmath=True, boundscheck=False)
def depth_map(points, axes, low, scale, faces, flat, depth):  # type: ignore[no-untyped-def]
    """What a distant light sees: orthographic depth (s, s), metres from `low` along the light.

    points (N, 3); axes (3, 3) rows: right, down, away from the light; low (3,) the least
    coordinates in those axes; scale samples a metre; flat (N, 3) workspace that receives light coordinates.
    """
    size = depth.shape[0]
    for i in range(points.shape[0]):
        for k in range(3):
            flat[i, k] = axes[k, 0] * points[i, 0] + axes[k, 1] * points[i, 1] + axes[k, 2] * points[i, 2] - low[k]
        flat[i, 0] *= scale
        flat[i, 1] *= scale
    depth[:] = np.float32(1e9)
    for f in range(faces.shape[0]):
        a = faces[f, 0]
        b = faces[f, 1]
        c = faces[f, 2]
        xa = flat[a, 0]
        ya = flat[a, 1]
        xb = flat[b, 0]
        yb = flat[b, 1]
        xc = flat[c, 0]
        yc = flat[c, 1]
        area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
        if area >= 0:
            continue
        left = max(int(ceil(min(xa, min(xb, xc)))), 0)
        right = min(int(floor(max(xa, max(xb, xc)))), size - 1)
        top = max(int(ceil(min(ya, min(yb, yc)))), 0)
        bottom = min(int(floor(max(ya, max(yb, yc)))), size - 1)
        if left > right or top > bottom:
            continue
        scale_area = _ONE / area
        za = flat[a, 2]
        zb = flat[b, 2]
        zc = flat[c, 2]
        step_a = -(yc - yb) * scale_area
        step_b = -(ya - yc) * scale_area
        for y in range(top, bottom + 1):
            weight_a = ((xb - left) * (yc - y) - (xc - left) * (yb - y)) * scale_area
            weight_b = ((xc - left) * (ya - y) - (xa - left) * (yc - y)) * scale_area
            for x in range(left, right + 1):
                if weight_a >= _EDGE and weight_b >= _EDGE and weight_a + weight_b <= _ONE - _EDGE:
                    z = weight_a * za + weight_b * zb + (_ONE - weight_a - weight_b) * zc
                    if z < depth[y, x]:
                        depth[y, x] = z
                weight_a += step_a
                weight_b += step_b


@nb.njit(cache=True)
def bounds(points):  # type: ignore[no-untyped-def]
    """Least and greatest coordinates (2, 3) of points (N, 3)."""
    out = np.empty((2, 3), points.dtype)
    for k in range(3):
        low = high = points[0, k]
        for i in range(1, len(points)):
            low = min(low, points[i, k])
            high = max(high, points[i, k])
        out[0, k] = low
        out[1, k] = high
    return out


@nb.njit(cache=True, fastmath=True, boundscheck=False)
def vertex_normals(points, faces, normals):  # type: ignore[no-untyped-def]
    """Area-weighted unit normals (N, 3) of a triangle mesh, outwards."""
    normals[:] = 0
    for f in range(faces.shape[0]):
        a = faces[f, 0]
        b = faces[f, 1]
        c = faces[f, 2]
        ux = points[b, 0] - points[a, 0]
        uy = points[b, 1] - points[a, 1]
        uz = points[b, 2] - points[a, 2]
        vx = points[c, 0] - points[a, 0]
        vy = points[c, 1] - points[a, 1]
        vz = points[c, 2] - points[a, 2]
        nx = uy * vz - uz * vy
        ny = uz * vx - ux * vz
        nz = ux * vy - uy * vx
        for k in range(3):
            i = faces[f, k]
            normals[i, 0] += nx
            normals[i, 1] += ny
            normals[i, 2] += nz
    for i in range(normals.shape[0]):
        length = sqrt(normals[i, 0] ** 2 + normals[i, 1] ** 2 + normals[i, 2] ** 2) + np.float32(1e-12)
        for k in range(3):
            normals[i, k] /= length


@nb.njit(cache=True, fastmath=True, boundscheck=False)
def sky_light(points, normals, faces, directions, colours, size, wrap, flat, depth, light):  # type: ignore[no-untyped-def]
    """Ambient light (N, 3) at each vertex: from each direction (K, 3) as far as other faces leave it open.

    light (N, 4) receives the sum of colour x cosine x openness, so that white light all round with
    nothing in the way gives 1; and last the mean openness, 0..1.
    """
    count = points.shape[0]
    light[:] = 0
    # Over all directions the mean of (cosine + wrap) / (1 + wrap), where positive, is (1 + wrap) / 4.
    total = np.float32(0.25) * directions.shape[0] * (_ONE + wrap)
    axes = np.empty((3, 3), np.float32)
    low = np.empty(3, np.float32)
    high = np.empty(3, np.float32)
    for k in range(directions.shape[0]):
        dx = -directions[k, 0]
        dy = -directions[k, 1]
        dz = -directions[k, 2]
        if abs(dy) < 0.9:
            rx, ry, rz = dz, np.float32(0.0), -dx
        else:
            rx, ry, rz = np.float32(0.0), -dz, dy
        length = sqrt(rx * rx + ry * ry + rz * rz)
        rx /= length
        ry /= length
        rz /= length
        axes[0, 0], axes[0, 1], axes[0, 2] = rx, ry, rz
        axes[1, 0] = dy * rz - dz * ry
        axes[1, 1] = dz * rx - dx * rz
        axes[1, 2] = dx * ry - dy * rx
        axes[2, 0], axes[2, 1], axes[2, 2] = dx, dy, dz
        for m in range(3):
            low[m] = np.float32(1e9)
            high[m] = np.float32(-1e9)
        for i in range(count):
            for m in range(3):
                value = axes[m, 0] * points[i, 0] + axes[m, 1] * points[i, 1] + axes[m, 2] * points[i, 2]
                low[m] = min(low[m], value)
                high[m] = max(high[m], value)
        scale = (size - 1) / max(max(high[0] - low[0], high[1] - low[1]), np.float32(1e-6))
        depth_map(points, axes, low, scale, faces, flat, depth)
        slack = np.float32(0.004) + np.float32(1.2) / scale
        for i in range(count):
            cosine = -(normals[i, 0] * dx + normals[i, 1] * dy + normals[i, 2] * dz)
            amount = (cosine + wrap) / (_ONE + wrap)
            if amount <= 0:
                continue
            x = int(flat[i, 0] + np.float32(0.5))
            y = int(flat[i, 1] + np.float32(0.5))
            nearest = depth[min(max(y, 0), size - 1), min(max(x, 0), size - 1)]
            hidden = (flat[i, 2] - nearest - slack) / np.float32(0.006)
            openness = _ONE - min(max(hidden, np.float32(0.0)), _ONE)
            amount /= total
            light[i, 3] += amount * openness
            amount *= openness
            for m in range(3):
                light[i, m] += amount * colours[k, m]


@nb.njit(cache=True, fastmath=True, boundscheck=False)
def _depth_both_ways(flat, faces, near, far):  # type: ignore[no-untyped-def]
    """Least depth (s, s) of faces turned towards a distant light and greatest of those turned away, in one go."""
    size = near.shape[0]
    near[:] = np.float32(1e9)
    far[:] = np.float32(-1e9)
    for f in range(faces.shape[0]):
        a = faces[f, 0]
        b = faces[f, 1]
        c = faces[f, 2]
        xa = flat[a, 0]
        ya = flat[a, 1]
        xb = flat[b, 0]
        yb = flat[b, 1]
        xc = flat[c, 0]
        yc = flat[c, 1]
        left = max(int(ceil(min(xa, min(xb, xc)))), 0)
        right = min(int(floor(max(xa, max(xb, xc)))), size - 1)
        top = max(int(ceil(min(ya, min(yb, yc)))), 0)
        bottom = min(int(floor(max(ya, max(yb, yc)))), size - 1)
        area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
        if left > right or top > bottom or area == 0:
            continue
        scale = _ONE / area
        za = flat[a, 2]
        zb = flat[b, 2]
        zc = flat[c, 2]
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                weight_a = ((xb - x) * (yc - y) - (xc - x) * (yb - y)) * scale
                weight_b = ((xc - x) * (ya - y) - (xa - x) * (yc - y)) * scale
                if weight_a >= _EDGE and weight_b >= _EDGE and weight_a + weight_b <= _ONE - _EDGE:
                    z = weight_a * za + weight_b * zb + (_ONE - weight_a - weight_b) * zc
                    if area < 0:
                        near[y, x] = min(near[y, x], z)
                    else:
                        far[y, x] = max(far[y, x], z)


@nb.njit(cache=True, fastmath=True, boundscheck=False)
def sky_light_in_pairs(points, normals, faces, directions, opposite, colours, size, wrap, flat, light):  # type: ignore[no-untyped-def]
    """As sky_light, but each direction is looked along both ways at once: opposite (K,) is the index of -directions."""
    count = points.shape[0]
    light[:] = 0
    total = np.float32(0.25) * directions.shape[0] * (_ONE + wrap)
    near = np.empty((size, size), np.float32)
    far = np.empty((size, size), np.float32)
    axes = np.empty((3, 3), np.float32)
    low = np.empty(3, np.float32)
    for k in range(directions.shape[0]):
        other = opposite[k]
        if other < k:
            continue
        _light_axes(-directions[k, 0], -directions[k, 1], -directions[k, 2], axes)
        scale = _flattened(points, axes, size, low, flat)
        _depth_both_ways(flat, faces, near, far)
        slack = np.float32(0.004) + np.float32(1.2) / scale
        for i in range(count):
            facing = (
                normals[i, 0] * directions[k, 0] + normals[i, 1] * directions[k, 1] + normals[i, 2] * directions[k, 2]
            )
            way = k if facing > 0 else other
            amount = (abs(facing) + wrap) / (_ONE + wrap)
            x = min(max(int(flat[i, 0] + np.float32(0.5)), 0), size - 1)
            y = min(max(int(flat[i, 1] + np.float32(0.5)), 0), size - 1)
            before = flat[i, 2] - near[y, x] if facing > 0 else far[y, x] - flat[i, 2]
            openness = _ONE - min(max((before - slack) / np.float32(0.006), np.float32(0.0)), _ONE)
            amount *= openness / total
            light[i, 3] += amount
            for m in range(3):
                light[i, m] += amount * colours[way, m]
            # What faces a direction only by the wrap: open or not, as the surface itself lies there.
            amount = (wrap - abs(facing)) / (_ONE + wrap)
            if amount > 0:
                behind = far[y, x] - flat[i, 2] if facing > 0 else flat[i, 2] - near[y, x]
                openness = _ONE - min(max((behind - slack) / np.float32(0.006), np.float32(0.0)), _ONE)
                amount *= openness / total
                light[i, 3] += amount
                for m in range(3):
                    light[i, m] += amount * colours[other if facing > 0 else k, m]


@nb.njit(cache=True, fastmath=True, boundscheck=False)
def _light_axes(dx, dy, dz, axes):  # type: ignore[no-untyped-def]
    """Rows right, down and away (3, 3) of a light that shines along d."""
    if abs(dy) < 0.9:
        rx, ry, rz = dz, np.float32(0.0), -dx
    else:
        rx, ry, rz = np.float32(0.0), -dz, dy
    length = sqrt(rx * rx + ry * ry + rz * rz)
    rx /= length
    ry /= length
    rz /= length
    axes[0, 0], axes[0, 1], axes[0, 2] = rx, ry, rz
    axes[1, 0] = dy * rz - dz * ry
    axes[1, 1] = dz * rx - dx * rz
    axes[1, 2] = dx * ry - dy * rx
    axes[2, 0], axes[2, 1], axes[2, 2] = dx, dy, dz


@nb.njit(cache=True, fastmath=True, boundscheck=False)
def _flattened(points, axes, size, low, flat):  # type: ignore[no-untyped-def]
    """Points (N, 3) in a light's axes, the first two in pixels of its map of `size`; returns pixels a metre."""
    count = points.shape[0]
    for m in range(3):
        least = np.float32(1e9)
        for i in range(count):
            flat[i, m] = axes[m, 0] * points[i, 0] + axes[m, 1] * points[i, 1] + axes[m, 2] * points[i, 2]
            least = min(least, flat[i, m])
        low[m] = least
    wide = np.float32(1e-6)
    for i in range(count):
        for m in range(3):
            flat[i, m] -= low[m]
        wide = max(wide, max(flat[i, 0], flat[i, 1]))
    scale = (size - 1) / wide
    for i in range(count):
        flat[i, 0] *= scale
        flat[i, 1] *= scale
    return np.float32(scale)
