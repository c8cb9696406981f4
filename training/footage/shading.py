# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels: what each shows of the faces its samples see, and the exact maps. Compiled by numba."""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np

from .surface_light import surface, surface_called, weights

_ONE: Final = np.float32(1.0)
_ZERO: Final = np.float32(0.0)


@nb.njit(cache=True, fastmath=True, boundscheck=False)
def shade(
    vertices, faces, face_uv, face_material, materials, texels, textures,
    light_direction, light_colour, light_axes, light_low, light_scale, light_depth, light_spread,
    mirror, centre_face, fine_face, fine_depth, linear, coverage,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Colour every pixel: linear (h, w, 3) receives colour x coverage, coverage (h, w) the covered share.

    fine_face and fine_depth (2h, 2w) hold four samples a pixel; where all of them see about the
    same surface it is shaded once, in the middle. With empty fine arrays every pixel is its middle.
    """
    height, width = centre_face.shape
    fine = fine_face.shape[0] > 0
    for y in range(height):
        for x in range(width):
            middle = centre_face[y, x]
            red = _ZERO
            green = _ZERO
            blue = _ZERO
            covered = _ZERO
            whole = True
            if fine:
                nearest = np.float32(1e-9)
                farthest = np.float32(1e9)
                for j in range(2):
                    for i in range(2):
                        f = fine_face[2 * y + j, 2 * x + i]
                        if (f < 0) != (middle < 0):
                            whole = False
                        elif f >= 0:
                            inverse = fine_depth[2 * y + j, 2 * x + i]
                            nearest = max(nearest, inverse)
                            farthest = min(farthest, inverse)
                            if face_material[f] != face_material[middle]:
                                whole = False
                # Depths within 4 mm at half a metre belong to one surface.
                if whole and middle >= 0 and nearest - farthest > np.float32(0.016):
                    whole = False
            # One sample in the middle, or the four of the finer grid.
            last = 1
            share = _ONE
            if not whole:
                last = 4
                share = np.float32(0.25)
            elif middle < 0:
                last = 0
            for sample in range(last):
                f = middle
                u = np.float32(x)
                v = np.float32(y)
                if not whole:
                    i = sample & 1
                    j = sample >> 1
                    f = fine_face[2 * y + j, 2 * x + i]
                    u += np.float32(0.5) * np.float32(i) - np.float32(0.25)
                    v += np.float32(0.5) * np.float32(j) - np.float32(0.25)
                if f >= 0:
                    r, g, b = surface(
                        f, u, v, vertices, faces, face_uv, face_material, materials, texels,
                        textures, light_direction, light_colour, light_axes, light_low, light_scale, light_depth,
                        light_spread, mirror, (x + y) & 1, False,
                    )  # fmt: skip
                    covered += share
                    red += share * r
                    green += share * g
                    blue += share * b
            linear[y, x, 0] = red
            linear[y, x, 1] = green
            linear[y, x, 2] = blue
            coverage[y, x] = covered


@nb.njit(cache=True, fastmath=True, boundscheck=False)
def shade_quickly(
    vertices, faces, face_uv, face_material, materials, texels, textures,
    light_direction, light_colour, light_axes, light_low, light_scale, light_depth, light_spread,
    mirror, centre_face, centre_depth, fine_face, fine_depth, slack, linear, coverage,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """As `shade`, but no pixel is shaded more than twice: in its middle, and where the first of its four samples
    lies that sees another surface. Samples whose inverse depth differs by less than `slack`, a share, see the same.
    """
    height, width = centre_face.shape
    fine = fine_face.shape[0] > 0
    for y in range(height):
        for x in range(width):
            middle = centre_face[y, x]
            own = 4 if middle >= 0 else 0
            others = 0
            other = np.int32(-1)
            u = np.float32(x)
            v = np.float32(y)
            if fine:
                own = 0
                inverse = centre_depth[y, x]
                for sample in range(4):
                    i = sample & 1
                    j = sample >> 1
                    f = fine_face[2 * y + j, 2 * x + i]
                    if f < 0:
                        continue
                    apart = abs(fine_depth[2 * y + j, 2 * x + i] - inverse)
                    if middle >= 0 and face_material[f] == face_material[middle] and apart <= slack * inverse:
                        own += 1
                        continue
                    if others == 0:
                        other = f
                        u += np.float32(0.5) * np.float32(i) - np.float32(0.25)
                        v += np.float32(0.5) * np.float32(j) - np.float32(0.25)
                    others += 1
            red = _ZERO
            green = _ZERO
            blue = _ZERO
            turn = (x & 1) + 2 * (y & 1)
            for second in range(2):
                count = others if second else own
                if count == 0:
                    continue
                r, g, b = surface_called(
                    other if second else middle, u if second else np.float32(x),
                    v if second else np.float32(y), vertices, faces, face_uv, face_material, materials, texels,
                    textures, light_direction, light_colour, light_axes, light_low, light_scale, light_depth,
                    light_spread, mirror, turn, True,
                )  # fmt: skip
                share = np.float32(0.25) * np.float32(count)
                red += share * r
                green += share * g
                blue += share * b
            linear[y, x, 0] = red
            linear[y, x, 1] = green
            linear[y, x, 2] = blue
            coverage[y, x] = np.float32(0.25) * np.float32(own + others)


@nb.njit(cache=True, fastmath=True, boundscheck=False)
def maps(screen, faces, face_side, vertex_part, canonical, centre_face, side, part, depth, correspondence):  # type: ignore[no-untyped-def]
    """Exact maps at pixel centres; pixels that see no hand stay 0, but depth is that of whatever is seen."""
    height, width = centre_face.shape
    for y in range(height):
        for x in range(width):
            side[y, x] = 0
            part[y, x] = 0
            depth[y, x] = 0
            correspondence[y, x, 0] = 0
            correspondence[y, x, 1] = 0
            correspondence[y, x, 2] = 0
            f = centre_face[y, x]
            if f < 0:
                continue
            a = faces[f, 0]
            b = faces[f, 1]
            c = faces[f, 2]
            wa, wb, wc, z = weights(screen, a, b, c, np.float32(x), np.float32(y))
            depth[y, x] = z
            if face_side[f] == 0:
                continue
            side[y, x] = face_side[f]
            nearest = a
            if wb > wa and wb >= wc:
                nearest = b
            elif wc > wa and wc > wb:
                nearest = c
            part[y, x] = vertex_part[nearest] + 1
            for k in range(3):
                correspondence[y, x, k] = canonical[a, k] * wa + canonical[b, k] * wb + canonical[c, k] * wc
