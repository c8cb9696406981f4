# SPDX-License-Identifier: GPL-3.0-or-later
"""Arithmetic on whole pictures in one pass each, where numpy would need several. Compiled by numba.

No kernel here reorders or fuses sums, so each gives the very bytes of the numpy expression its docstring names.
Pictures are (H, W, 3) float32.
"""

from __future__ import annotations

from math import sqrt

import numba as nb
import numpy as np

_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)


@nb.njit(cache=True)
def scale(picture, factors):  # type: ignore[no-untyped-def]
    """picture *= factors (3,)"""
    height, width = picture.shape[:2]
    red, green, blue = factors[0], factors[1], factors[2]
    for y in range(height):
        for x in range(width):
            picture[y, x, 0] *= red
            picture[y, x, 1] *= green
            picture[y, x, 2] *= blue


@nb.njit(cache=True)
def lay_over(picture, backdrop, coverage):  # type: ignore[no-untyped-def]
    """picture += backdrop * (1 - coverage (H, W))"""
    height, width = coverage.shape
    for y in range(height):
        for x in range(width):
            open_share = _ONE - coverage[y, x]
            for c in range(3):
                picture[y, x, c] += backdrop[y, x, c] * open_share


@nb.njit(cache=True)
def darken(picture, share):  # type: ignore[no-untyped-def]
    """picture *= share (H, W)"""
    height, width = share.shape
    for y in range(height):
        for x in range(width):
            for c in range(3):
                picture[y, x, c] *= share[y, x]


@nb.njit(cache=True)
def add_noise(picture, grain, shot, read):  # type: ignore[no-untyped-def]
    """picture += grain * sqrt(max(picture, 0) * shot + read); shot and read are variances"""
    flat, noise = picture.reshape(-1), grain.reshape(-1)
    for i in range(len(flat)):
        light = flat[i]
        flat[i] = light + noise[i] * np.float32(sqrt(max(light, _ZERO) * shot + read))


@nb.njit(cache=True)
def toned(picture, curve, most, steps, out):  # type: ignore[no-untyped-def]
    """out = curve[int(sqrt(clip(picture, 0, most)) * steps)]"""
    flat, result = picture.reshape(-1), out.reshape(-1)
    for i in range(len(flat)):
        result[i] = curve[np.int32(np.float32(sqrt(min(max(flat[i], _ZERO), most))) * steps)]


@nb.njit(cache=True)
def saturate(picture, grey, strength):  # type: ignore[no-untyped-def]
    """picture = grey (H, W) + (picture - grey) * strength"""
    height, width = grey.shape
    for y in range(height):
        for x in range(width):
            base = grey[y, x]
            for c in range(3):
                picture[y, x, c] = base + (picture[y, x, c] - base) * strength


@nb.njit(cache=True)
def sharpen(picture, soft, strength):  # type: ignore[no-untyped-def]
    """picture += (picture - soft) * strength"""
    flat, blurred = picture.reshape(-1), soft.reshape(-1)
    for i in range(len(flat)):
        flat[i] += (flat[i] - blurred[i]) * strength


@nb.njit(cache=True)
def to_bytes(picture, out):  # type: ignore[no-untyped-def]
    """out = uint8(clip(picture * 255 + 0.5, 0, 255))"""
    flat, result = picture.reshape(-1), out.reshape(-1)
    for i in range(len(flat)):
        value = flat[i] * np.float32(255.0) + np.float32(0.5)
        result[i] = np.uint8(min(max(value, _ZERO), np.float32(255.0)))
