# SPDX-License-Identifier: GPL-3.0-or-later
"""Light on one point of a surface: texture, lamps with soft shadows, the sky, what it mirrors. Compiled by numba.

Colours are linear RGB; bodies.py says what textures and materials hold.
"""

from __future__ import annotations

from math import exp, sqrt
from typing import Final

import numba as nb
import numpy as np

from .bodies import BLUE, BUMP, GREEN, RED, REFLECTANCE, ROUGHNESS, SKIN, SLOPE_STEPS, TRANSLUCENCY

SHADOW_SLACK: Final = np.float32(0.0022)
"""Metres a surface may lie behind what the light sees before it counts as shaded."""

_STEEPNESS: Final = np.float32(1.0 / 0.003)
"""Over how many metres of depth a shadow sets in."""
POINT, NORMAL, SKY, COLUMNS = 3, 6, 9, 16
"""A vertex row (16,) float32, one line of the processor's memory: its screen place, the point and the normal in camera
axes, the light of the sky and its openness, three unused. What is read together lies together."""
_ONE: Final = np.float32(1.0)
_ZERO: Final = np.float32(0.0)
_NO_AREA: Final = np.float32(-1e-12)
_LEAST_WEIGHT: Final = np.float32(-0.01)
_THICKNESS: Final = np.float32(0.006)
"""Metres of flesh after which light that shines through has lost 63 %."""


@nb.njit(cache=True, fastmath=True, boundscheck=False)
def _mixed(texels, top, low, w00, w01, w10, w11, channel):  # type: ignore[no-untyped-def]
    """One channel of four neighbouring texels."""
    after = channel + np.uintp(6)
    return (
        np.float32(texels[top + channel]) * w00
        + np.float32(texels[top + after]) * w01
        + np.float32(texels[low + channel]) * w10
        + np.float32(texels[low + after]) * w11
    )


@nb.njit(cache=True, fastmath=True, boundscheck=False)
def _texel(texels, begin, size, u, v):  # type: ignore[no-untyped-def]
    """Bilinear lookup of the six channels at place u, v of the texture of `size` texels a side at texels[begin]."""
    last = np.float32(size) - np.float32(1.01)
    x = min(max(u * np.float32(size) - np.float32(0.5), _ZERO), last)
    y = min(max(v * np.float32(size) - np.float32(0.5), _ZERO), last)
    i = int(x)
    j = int(y)
    a = x - np.float32(i)
    b = y - np.float32(j)
    # Unsigned places spare the check for negative ones at each of the 24 reads.
    top = np.uintp(begin + (j * size + i) * 6)
    low = top + np.uintp(size * 6)
    w00 = (_ONE - a) * (_ONE - b)
    w01 = a * (_ONE - b)
    w10 = (_ONE - a) * b
    w11 = a * b
    t0 = _mixed(texels, top, low, w00, w01, w10, w11, np.uintp(0))
    t1 = _mixed(texels, top, low, w00, w01, w10, w11, np.uintp(1))
    t2 = _mixed(texels, top, low, w00, w01, w10, w11, np.uintp(2))
    t3 = _mixed(texels, top, low, w00, w01, w10, w11, np.uintp(3))
    t4 = _mixed(texels, top, low, w00, w01, w10, w11, np.uintp(4))
    t5 = _mixed(texels, top, low, w00, w01, w10, w11, np.uintp(5))
    return t0, t1, t2, t3, t4, t5


@nb.njit(cache=True, fastmath=True, boundscheck=False)
def _octahedron(x, y, z, size):  # type: ignore[no-untyped-def]
    """Column and row of a direction in a table folded from the octahedron."""
    total = abs(x) + abs(y) + abs(z) + np.float32(1e-9)
    u = x / total
    v = y / total
    if z < 0:
        folded = (_ONE - abs(v)) * (_ONE if u >= 0 else -_ONE)
        v = (_ONE - abs(u)) * (_ONE if v >= 0 else -_ONE)
        u = folded
    i = int((u * np.float32(0.5) + np.float32(0.5)) * size)
    j = int((v * np.float32(0.5) + np.float32(0.5)) * size)
    return min(max(i, 0), size - 1), min(max(j, 0), size - 1)


@nb.njit(cache=True, fastmath=True, boundscheck=False)
def mirror_table(directions, colours, table):  # type: ignore[no-untyped-def]
    """Fill table (s, s, 3) with the light (K, 3) from directions (K, 3), blurred widely, by octahedron place."""
    size = table.shape[0]
    for j in range(size):
        for i in range(size):
            u = (i + np.float32(0.5)) / size * np.float32(2.0) - _ONE
            v = (j + np.float32(0.5)) / size * np.float32(2.0) - _ONE
            z = _ONE - abs(u) - abs(v)
            x = u
            y = v
            if z < 0:
                x = (_ONE - abs(v)) * (_ONE if u >= 0 else -_ONE)
                y = (_ONE - abs(u)) * (_ONE if v >= 0 else -_ONE)
            length = sqrt(x * x + y * y + z * z)
            total = np.float32(1e-6)
            for c in range(3):
                table[j, i, c] = 0
            for k in range(directions.shape[0]):
                toward = (x * directions[k, 0] + y * directions[k, 1] + z * directions[k, 2]) / length
                if toward > 0:
                    amount = toward * toward * toward * toward
                    total += amount
                    for c in range(3):
                        table[j, i, c] += amount * colours[k, c]
            for c in range(3):
                table[j, i, c] /= total


@nb.njit(cache=True, fastmath=True, boundscheck=False)
def weights(screen, a, b, c, x, y):  # type: ignore[no-untyped-def]
    """Perspective-correct barycentric weights of face (a, b, c) at screen place x, y, and the depth."""
    xa = screen[a, 0]
    ya = screen[a, 1]
    xb = screen[b, 0]
    yb = screen[b, 1]
    xc = screen[c, 0]
    yc = screen[c, 1]
    area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
    # A face that a finer sample sees nearly edge on may have no area left here, or a wrong one, by rounding.
    scale = _ONE / (area if area < _NO_AREA else _NO_AREA)
    wa = min(max(((xb - x) * (yc - y) - (xc - x) * (yb - y)) * scale, _LEAST_WEIGHT), _ONE - _LEAST_WEIGHT)
    wb = min(max(((xc - x) * (ya - y) - (xa - x) * (yc - y)) * scale, _LEAST_WEIGHT), _ONE - _LEAST_WEIGHT)
    wc = _ONE - wa - wb
    ia = wa / screen[a, 2]
    ib = wb / screen[b, 2]
    ic = wc / screen[c, 2]
    z = _ONE / (ia + ib + ic)
    return ia * z, ib * z, ic * z, z


@nb.njit(cache=True, fastmath=True, boundscheck=False)
def _shadow(px, py, pz, k, axes, low, scale, depth, spread, odd):  # type: ignore[no-untyped-def]
    """Share of light k that arrives (soft-edged), and metres of matter before the point.

    Five looks at the light's depth map: the middle, and four about it, upright or (odd) aslant; pixels take
    turns, and the eye or the lens evens them out.
    """
    last = np.float32(depth.shape[1] - 1)
    x = (axes[k, 0, 0] * px + axes[k, 0, 1] * py + axes[k, 0, 2] * pz - low[k, 0]) * scale[k] + np.float32(0.5)
    y = (axes[k, 1, 0] * px + axes[k, 1, 1] * py + axes[k, 1, 2] * pz - low[k, 1]) * scale[k] + np.float32(0.5)
    z = axes[k, 2, 0] * px + axes[k, 2, 1] * py + axes[k, 2, 2] * pz - low[k, 2]
    near = spread[k] * np.float32(0.7)
    a = near if odd else spread[k]
    b = near if odd else _ZERO
    matter = z - depth[k, np.uintp(min(max(y, _ZERO), last)), np.uintp(min(max(x, _ZERO), last))]
    hidden = min(max((matter - SHADOW_SLACK) * _STEEPNESS, _ZERO), _ONE)
    for _ in range(4):
        behind = z - depth[k, np.uintp(min(max(y + b, _ZERO), last)), np.uintp(min(max(x + a, _ZERO), last))]
        hidden += min(max((behind - SHADOW_SLACK) * _STEEPNESS, _ZERO), _ONE)
        a, b = -b, a
    return max(_ONE - hidden * np.float32(0.2), _ZERO), max(matter, _ZERO)


@nb.njit(cache=True, fastmath=True, boundscheck=False)
def _matter(px, py, pz, k, axes, low, scale, depth):  # type: ignore[no-untyped-def]
    """Metres of matter between light k and the point."""
    last = np.float32(depth.shape[1] - 1)
    x = (axes[k, 0, 0] * px + axes[k, 0, 1] * py + axes[k, 0, 2] * pz - low[k, 0]) * scale[k] + np.float32(0.5)
    y = (axes[k, 1, 0] * px + axes[k, 1, 1] * py + axes[k, 1, 2] * pz - low[k, 1]) * scale[k] + np.float32(0.5)
    z = axes[k, 2, 0] * px + axes[k, 2, 1] * py + axes[k, 2, 2] * pz - low[k, 2]
    return max(z - depth[k, np.int32(min(max(y, _ZERO), last)), np.int32(min(max(x, _ZERO), last))], _ZERO)


def _light_of(
    f, x, y, vertices, faces, face_uv, face_material, materials, texels, textures,
    light_direction, light_colour, light_axes, light_low, light_scale, light_depth, light_spread,
    mirror, turn, quick,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Of face f at screen place x, y: its own colour, the light it scatters and what shines off it, linear RGB each.

    What is seen is colour x light + shine. `turn` says how the looks at shadows lie, 0 or 1; `quick` takes one look
    where a light can only shine through.
    """
    # Unsigned places spare the check for negative ones at each read.
    f = np.uintp(f)
    a = np.uintp(faces[f, 0])
    b = np.uintp(faces[f, 1])
    c = np.uintp(faces[f, 2])
    wa, wb, wc, _z = weights(vertices, a, b, c, x, y)
    nx = vertices[a, NORMAL] * wa + vertices[b, NORMAL] * wb + vertices[c, NORMAL] * wc
    ny = vertices[a, NORMAL + 1] * wa + vertices[b, NORMAL + 1] * wb + vertices[c, NORMAL + 1] * wc
    nz = vertices[a, NORMAL + 2] * wa + vertices[b, NORMAL + 2] * wb + vertices[c, NORMAL + 2] * wc
    px = vertices[a, POINT] * wa + vertices[b, POINT] * wb + vertices[c, POINT] * wc
    py = vertices[a, POINT + 1] * wa + vertices[b, POINT + 1] * wb + vertices[c, POINT + 1] * wc
    pz = vertices[a, POINT + 2] * wa + vertices[b, POINT + 2] * wb + vertices[c, POINT + 2] * wc
    length = sqrt(nx * nx + ny * ny + nz * nz) + np.float32(1e-9)
    nx /= length
    ny /= length
    nz /= length
    u = face_uv[f, 0, 0] * wa + face_uv[f, 1, 0] * wb + face_uv[f, 2, 0] * wc
    v = face_uv[f, 0, 1] * wa + face_uv[f, 1, 1] * wb + face_uv[f, 2, 1] * wc
    m = np.uintp(face_material[f])
    red, green, blue, rough, slope_u, slope_v = _texel(texels, textures[m, 0], textures[m, 1], u, v)
    red = red * red * (materials[m, RED] / np.float32(65025.0))
    green = green * green * (materials[m, GREEN] / np.float32(65025.0))
    blue = blue * blue * (materials[m, BLUE] / np.float32(65025.0))
    roughness = min(max(materials[m, ROUGHNESS] * rough / np.float32(128.0), np.float32(0.12)), _ONE)
    bump = materials[m, BUMP] / np.float32(SLOPE_STEPS)
    if bump > 0:
        # Height rises along the gradients of u and v on the face: tilt the normal against it.
        slope_u = (slope_u - np.float32(128.0)) * bump
        slope_v = (slope_v - np.float32(128.0)) * bump
        ex = vertices[b, POINT] - vertices[a, POINT]
        ey = vertices[b, POINT + 1] - vertices[a, POINT + 1]
        ez = vertices[b, POINT + 2] - vertices[a, POINT + 2]
        gx = vertices[c, POINT] - vertices[a, POINT]
        gy = vertices[c, POINT + 1] - vertices[a, POINT + 1]
        gz = vertices[c, POINT + 2] - vertices[a, POINT + 2]
        rise_e = slope_u * (face_uv[f, 1, 0] - face_uv[f, 0, 0]) + slope_v * (face_uv[f, 1, 1] - face_uv[f, 0, 1])
        rise_g = slope_u * (face_uv[f, 2, 0] - face_uv[f, 0, 0]) + slope_v * (face_uv[f, 2, 1] - face_uv[f, 0, 1])
        # Dual basis of the two edges in the plane of the smooth normal.
        ax = gy * nz - gz * ny
        ay = gz * nx - gx * nz
        az = gx * ny - gy * nx
        bx = ny * ez - nz * ey
        by = nz * ex - nx * ez
        bz = nx * ey - ny * ex
        det = ex * ax + ey * ay + ez * az
        if abs(det) > np.float32(1e-12):
            tilt_e = rise_e / det
            tilt_g = rise_g / det
            nx -= ax * tilt_e + bx * tilt_g
            ny -= ay * tilt_e + by * tilt_g
            nz -= az * tilt_e + bz * tilt_g
            length = sqrt(nx * nx + ny * ny + nz * nz) + np.float32(1e-9)
            nx /= length
            ny /= length
            nz /= length
    distance = sqrt(px * px + py * py + pz * pz)
    vx = -px / distance
    vy = -py / distance
    vz = -pz / distance
    facing = nx * vx + ny * vy + nz * vz
    if facing < np.float32(0.02):
        facing = np.float32(0.02)
    sky_r = vertices[a, SKY] * wa + vertices[b, SKY] * wb + vertices[c, SKY] * wc
    sky_g = vertices[a, SKY + 1] * wa + vertices[b, SKY + 1] * wb + vertices[c, SKY + 1] * wc
    sky_b = vertices[a, SKY + 2] * wa + vertices[b, SKY + 2] * wb + vertices[c, SKY + 2] * wc
    light_r = sky_r
    light_g = sky_g
    light_b = sky_b
    shine_r = _ZERO
    shine_g = _ZERO
    shine_b = _ZERO
    skin = materials[m, SKIN]
    wrap_r = np.float32(0.34) * skin
    wrap_g = np.float32(0.14) * skin
    wrap_b = np.float32(0.08) * skin
    reflectance = materials[m, REFLECTANCE]
    sharpness = np.float32(2.0) / (roughness**4 + np.float32(1e-4))
    for k in range(light_direction.shape[0]):
        lx = light_direction[k, 0]
        ly = light_direction[k, 1]
        lz = light_direction[k, 2]
        cosine = nx * lx + ny * ly + nz * lz
        if cosine < -wrap_r and materials[m, TRANSLUCENCY] == 0:
            continue
        if quick and cosine < -wrap_r:
            arrives = _ZERO
            matter = _matter(
                px + nx * np.float32(0.0015), py + ny * np.float32(0.0015), pz + nz * np.float32(0.0015),
                np.uintp(k), light_axes, light_low, light_scale, light_depth,
            )  # fmt: skip
        else:
            arrives, matter = _shadow(
                px + nx * np.float32(0.0015), py + ny * np.float32(0.0015), pz + nz * np.float32(0.0015),
                np.uintp(k), light_axes, light_low, light_scale, light_depth, light_spread, turn == 1,
            )  # fmt: skip
        diffuse_r = max((cosine + wrap_r) / (_ONE + wrap_r), _ZERO)
        diffuse_g = max((cosine + wrap_g) / (_ONE + wrap_g), _ZERO)
        diffuse_b = max((cosine + wrap_b) / (_ONE + wrap_b), _ZERO)
        # Light bleeds under the edge of a shadow in flesh, red farthest.
        bleed = skin * (sqrt(arrives) - arrives)
        light_r += light_colour[k, 0] * diffuse_r * (arrives + np.float32(0.55) * bleed)
        light_g += light_colour[k, 1] * diffuse_g * (arrives + np.float32(0.15) * bleed)
        light_b += light_colour[k, 2] * diffuse_b * (arrives + np.float32(0.08) * bleed)
        if materials[m, TRANSLUCENCY] > 0 and cosine < np.float32(0.2):
            through = materials[m, TRANSLUCENCY] * exp(-matter / _THICKNESS) * (np.float32(0.2) - cosine)
            light_r += light_colour[k, 0] * through
            light_g += light_colour[k, 1] * through * np.float32(0.18)
            light_b += light_colour[k, 2] * through * np.float32(0.09)
        if cosine > 0 and arrives > 0:
            hx = lx + vx
            hy = ly + vy
            hz = lz + vz
            length = sqrt(hx * hx + hy * hy + hz * hz) + np.float32(1e-6)
            half = (nx * hx + ny * hy + nz * hz) / length
            grazing = _ONE - (vx * hx + vy * hy + vz * hz) / length
            grazing2 = grazing * grazing
            fresnel = reflectance + (_ONE - reflectance) * grazing2 * grazing2 * grazing
            lobe = exp(sharpness * (half - _ONE)) * (sharpness + np.float32(2.0)) * np.float32(0.125)
            amount = fresnel * lobe * arrives * cosine
            shine_r += light_colour[k, 0] * amount
            shine_g += light_colour[k, 1] * amount
            shine_b += light_colour[k, 2] * amount
    if mirror.shape[0] > 0:
        # The surroundings mirrored, from a table over the octahedron, dimmed where the sky is.
        twice = np.float32(2.0) * facing
        rx = twice * nx - vx
        ry = twice * ny - vy
        rz = twice * nz - vz
        i, j = _octahedron(rx, ry, rz, mirror.shape[0])
        grazing = _ONE - facing
        grazing2 = grazing * grazing
        fresnel = reflectance + np.float32(0.4) * (_ONE - roughness) * grazing2 * grazing2 * grazing
        fresnel *= min(vertices[a, SKY + 3] * wa + vertices[b, SKY + 3] * wb + vertices[c, SKY + 3] * wc, _ONE)
        shine_r += mirror[j, i, 0] * fresnel
        shine_g += mirror[j, i, 1] * fresnel
        shine_b += mirror[j, i, 2] * fresnel
    return red, green, blue, light_r, light_g, light_b, shine_r, shine_g, shine_b


@nb.njit(cache=True, fastmath=True, boundscheck=False)
def own_colour(f, x, y, vertices, faces, face_uv, face_material, materials, texels, textures):  # type: ignore[no-untyped-def]
    """Linear RGB of what face f is painted with at screen place x, y."""
    f = np.uintp(f)
    wa, wb, wc, _z = weights(vertices, np.uintp(faces[f, 0]), np.uintp(faces[f, 1]), np.uintp(faces[f, 2]), x, y)
    u = face_uv[f, 0, 0] * wa + face_uv[f, 1, 0] * wb + face_uv[f, 2, 0] * wc
    v = face_uv[f, 0, 1] * wa + face_uv[f, 1, 1] * wb + face_uv[f, 2, 1] * wc
    m = np.uintp(face_material[f])
    red, green, blue, _rough, _u, _v = _texel(texels, textures[m, 0], textures[m, 1], u, v)
    unit = np.float32(1.0 / 65025.0)
    return (
        red * red * (materials[m, RED] * unit),
        green * green * (materials[m, GREEN] * unit),
        blue * blue * (materials[m, BLUE] * unit),
    )


surface = nb.njit(cache=True, fastmath=True, boundscheck=False, inline="always")(_light_of)
surface_called = nb.njit(cache=True, fastmath=True, boundscheck=False)(_light_of)
"""The same, compiled once and called instead of copied to where it is used."""
