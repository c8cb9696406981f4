# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels: what each shows of the faces its samples see, and the exact maps. Compiled by numba."""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np

from .surface_light import own_colour, surface, surface_called, weights

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
                    r, g, b, light_r, light_g, light_b, shine_r, shine_g, shine_b = surface(
                        f, u, v, vertices, faces, face_uv, face_material, materials, texels,
                        textures, light_direction, light_colour, light_axes, light_low, light_scale, light_depth,
                        light_spread, mirror, (x + y) & 1, False,
                    )  # fmt: skip
                    covered += share
                    red += share * (r * light_r + shine_r)
                    green += share * (g * light_g + shine_g)
                    blue += share * (b * light_b + shine_b)
            linear[y, x, 0] = red
            linear[y, x, 1] = green
            linear[y, x, 2] = blue
            coverage[y, x] = covered


@nb.njit(cache=True, fastmath=True, boundscheck=False)
def shade_quickly(
    vertices, faces, face_uv, face_material, materials, texels, textures,
    light_direction, light_colour, light_axes, light_low, light_scale, light_depth, light_spread,
    mirror, centre_face, centre_depth, fine_face, fine_depth, slack, linear, coverage, light, known,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """As `shade`, with less light: it is worked out at every other pixel of every other row, and between them where
    nothing of the same surface lies about; elsewhere it is the mean of its neighbours', under each pixel's own colour.

    No pixel is shaded more than twice: in its middle, and where the first of its four samples lies that sees another
    surface. Samples whose inverse depth differs by less than `slack`, a share, see the same surface.
    light (h, w, 6) and known (h, w) uint8 are workspace.
    """
    height, width = centre_face.shape
    fine = fine_face.shape[0] > 0
    for later in range(2):
        for y in range(height):
            for x in range(width):
                if ((x | y) & 1) != later:
                    continue
                middle = centre_face[y, x]
                known[y, x] = 0
                own = 4 if middle >= 0 else 0
                others = 0
                other = np.int32(-1)
                u = np.float32(x)
                v = np.float32(y)
                inverse = centre_depth[y, x]
                if fine:
                    own = 0
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
                turn = ((x >> 1) + (y >> 1)) & 1
                if own > 0:
                    lent = _ZERO
                    light_r = light_g = light_b = shine_r = shine_g = shine_b = _ZERO
                    if later:
                        for corner in range(4):
                            # Neighbours with light lie left and right, above and below, or at the four corners.
                            i = x + (2 * (corner & 1) - 1) * (x & 1)
                            j = y + (2 * (corner >> 1) - 1) * (y & 1)
                            if i >= width or j >= height or not known[j, i]:
                                continue
                            near = centre_face[j, i]
                            if face_material[near] != face_material[middle]:
                                continue
                            if abs(centre_depth[j, i] - inverse) <= np.float32(2.0) * slack * inverse:
                                lent += _ONE
                                light_r += light[j, i, 0]
                                light_g += light[j, i, 1]
                                light_b += light[j, i, 2]
                                shine_r += light[j, i, 3]
                                shine_g += light[j, i, 4]
                                shine_b += light[j, i, 5]
                    own_share = np.float32(0.25) * np.float32(own)
                    if lent > 0:
                        paint_r, paint_g, paint_b = own_colour(
                            middle, np.float32(x), np.float32(y), vertices, faces, face_uv, face_material, materials,
                            texels, textures,
                        )  # fmt: skip
                        own_share /= lent
                        red = own_share * (paint_r * light_r + shine_r)
                        green = own_share * (paint_g * light_g + shine_g)
                        blue = own_share * (paint_b * light_b + shine_b)
                    else:
                        (
                            paint_r, paint_g, paint_b, light_r, light_g, light_b, shine_r, shine_g, shine_b,
                        ) = surface_called(
                            middle, np.float32(x), np.float32(y), vertices, faces, face_uv, face_material, materials,
                            texels, textures, light_direction, light_colour, light_axes, light_low, light_scale,
                            light_depth, light_spread, mirror, turn, True,
                        )  # fmt: skip
                        known[y, x] = 1
                        light[y, x, 0] = light_r
                        light[y, x, 1] = light_g
                        light[y, x, 2] = light_b
                        light[y, x, 3] = shine_r
                        light[y, x, 4] = shine_g
                        light[y, x, 5] = shine_b
                        red = own_share * (paint_r * light_r + shine_r)
                        green = own_share * (paint_g * light_g + shine_g)
                        blue = own_share * (paint_b * light_b + shine_b)
                if others > 0:
                    paint_r, paint_g, paint_b, light_r, light_g, light_b, shine_r, shine_g, shine_b = surface_called(
                        other, u, v, vertices, faces, face_uv, face_material, materials,
                        texels, textures, light_direction, light_colour, light_axes, light_low, light_scale,
                        light_depth, light_spread, mirror, turn, True,
                    )  # fmt: skip
                    share = np.float32(0.25) * np.float32(others)
                    red += share * (paint_r * light_r + shine_r)
                    green += share * (paint_g * light_g + shine_g)
                    blue += share * (paint_b * light_b + shine_b)
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
