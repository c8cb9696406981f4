# SPDX-License-Identifier: GPL-3.0-or-later
"""Smooth random fields, the same for the same seed: in space for skins, in the plane for pictures."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

_LATTICE: Final = 64


@lru_cache(maxsize=4)
def _lattice(seed: int) -> FloatArray:
    return np.random.default_rng(seed).uniform(-1.0, 1.0, (_LATTICE,) * 3).astype(np.float32)


def space(points: FloatArray, seed: int) -> FloatArray:
    """Value noise -1..1 at points (N, 3); features are about one unit wide."""
    lattice = _lattice(seed % 4).ravel()
    # Seeds share four lattices and differ by where they look into them.
    shifted = points + np.random.default_rng(seed).uniform(0.0, _LATTICE, 3).astype(np.float32)
    cell = np.floor(shifted)
    share = shifted - cell
    share = share * share * (3.0 - 2.0 * share)
    low = cell.astype(np.int32) & (_LATTICE - 1)
    high = (low + 1) & (_LATTICE - 1)
    x = (low[:, 0] * _LATTICE**2, high[:, 0] * _LATTICE**2)
    y = (low[:, 1] * _LATTICE, high[:, 1] * _LATTICE)
    z = (low[:, 2], high[:, 2])
    a, b, c = share.T

    def along_z(xi: NDArray[np.int32], yi: NDArray[np.int32]) -> FloatArray:
        base = xi + yi
        first = lattice[base + z[0]]
        return first + (lattice[base + z[1]] - first) * c

    near = along_z(x[0], y[0])
    near += (along_z(x[0], y[1]) - near) * b
    far = along_z(x[1], y[0])
    far += (along_z(x[1], y[1]) - far) * b
    return near + (far - near) * a


def space_octaves(points: FloatArray, seed: int, octaves: int = 3) -> FloatArray:
    """Value noise of several sizes, each half as wide and half as strong as the one before."""
    total = space(points, seed)
    for k in range(1, octaves):
        total += space(points * np.float32(2**k), seed + 7919 * k) * np.float32(0.5**k)
    return total


def plane(random: np.random.Generator, height: int, width: int, cell: float, octaves: int = 3) -> FloatArray:
    """A field (height, width) of about unit deviation; the widest features are `cell` pixels."""
    total = np.zeros((height, width), np.float32)
    weight, norm = 1.0, 0.0
    for _ in range(octaves):
        rows, columns = max(int(height / cell) + 3, 3), max(int(width / cell) + 3, 3)
        grid = random.standard_normal((rows, columns)).astype(np.float32)
        grown = cv2.resize(grid, (int(columns * cell) + 1, int(rows * cell) + 1), interpolation=cv2.INTER_CUBIC)
        top, left = (
            int(random.integers(0, max(n - size, 0) + 1))
            for n, size in ((grown.shape[0], height), (grown.shape[1], width))
        )
        part = grown[top : top + height, left : left + width]
        total[: part.shape[0], : part.shape[1]] += weight * part
        norm += weight**2
        weight *= 0.5
        cell = max(cell / 2, 1.0)
    return total / np.float32(np.sqrt(norm) * 0.7)
