# SPDX-License-Identifier: GPL-3.0-or-later
"""Small algebra with the batch as the LAST axis.

Inside `fit/` a 3-vector is (3, ..., B), a matrix (3, 3, ..., B): numpy's inner loops then run
over the hands of a batch instead of over three components, which is several times faster for
a whole clip and no slower for one hand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def product(first: Array, second: Array) -> Array:
    """Matrix products (3, 3, ..., B) x (3, 3, ..., B)."""
    out: Array = np.einsum("ij...,jk...->ik...", first, second)
    return out


def apply(matrix: Array, vector: Array) -> Array:
    """Matrices (3, 3, ..., B) on vectors (3, ..., B)."""
    out: Array = np.einsum("ij...,j...->i...", matrix, vector)
    return out


def transposed(matrix: Array) -> Array:
    """(n, m, ...) -> (m, n, ...), a view."""
    return matrix.swapaxes(0, 1)


def cross(first: Array, second: Array) -> Array:
    """Cross products of vectors (3, ...), trailing axes broadcast."""
    out = np.empty(np.broadcast_shapes(first.shape, second.shape))
    np.subtract(first[1] * second[2], first[2] * second[1], out=out[0])
    np.subtract(first[2] * second[0], first[0] * second[2], out=out[1])
    np.subtract(first[0] * second[1], first[1] * second[0], out=out[2])
    return out


def skew(vector: Array) -> Array:
    """Vectors (3, ...) -> matrices (3, 3, ...) with skew(a) b = a x b."""
    out = np.zeros((3, *vector.shape))
    out[0, 1], out[0, 2], out[1, 2] = -vector[2], vector[1], -vector[0]
    out[1, 0], out[2, 0], out[2, 1] = vector[2], -vector[1], vector[0]
    return out


def exponential(vector: Array) -> Array:
    """Rotation vectors (3, ...) in radians -> matrices (3, 3, ...); smooth at zero."""
    squared = (vector * vector).sum(0)
    angle = np.sqrt(squared)
    small = angle < 1e-6
    safe = np.where(small, 1.0, angle)
    sine = np.where(small, 1.0 - squared / 6.0, np.sin(safe) / safe)
    versine = np.where(small, 0.5 - squared / 24.0, (1.0 - np.cos(safe)) / (safe * safe))
    # R = cos I + sine [v] + versine v v^T, with cos = 1 - versine |v|^2
    out = versine * (vector[:, None] * vector[None]) + sine * skew(vector)
    diagonal = 1.0 - versine * squared
    for i in range(3):
        out[i, i] += diagonal
    return out


def logarithm(matrix: Array) -> Array:
    """Rotation matrices (3, 3, ...) -> rotation vectors (3, ...) of at most pi.

    Exact below pi - 1e-3; closer to pi the axis comes from the symmetric part.
    """
    odd = 0.5 * np.stack([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]])
    sine = np.sqrt((odd * odd).sum(0))
    cosine = 0.5 * (matrix[0, 0] + matrix[1, 1] + matrix[2, 2] - 1.0)
    angle = np.arctan2(sine, cosine)
    small = sine < 1e-9
    out: Array = odd * np.where(small, 1.0, angle / np.where(small, 1.0, sine))
    turned = angle > np.pi - 1e-3
    if turned.any():
        symmetric = 0.5 * (matrix[:, :, turned] + matrix[:, :, turned].swapaxes(0, 1))
        diagonal = np.stack([symmetric[i, i] for i in range(3)])
        best = diagonal.argmax(0)
        column = np.take_along_axis(symmetric, best[None, None], axis=1)[:, 0]
        column = column - np.eye(3)[:, best] * cosine[turned]
        axis = column / np.linalg.norm(column, axis=0)
        sign = np.where((axis * odd[:, turned]).sum(0) < 0.0, -1.0, 1.0)
        out[:, turned] = axis * sign * angle[turned]
    return out


def left_jacobian_inverse(vector: Array) -> Array:
    """(3, ...) -> (3, 3, ...): how log(exp(d) R) changes with d at R = exp(vector).

    Its transpose is the same for d applied on the right.
    """
    squared = (vector * vector).sum(0)
    angle = np.sqrt(squared)
    small = angle < 1e-4
    safe = np.where(small, 1.0, angle)
    half = 0.5 * safe
    factor = np.where(small, 1.0 / 12.0 + squared / 720.0, (1.0 - half / np.tan(half)) / (safe * safe))
    out = factor * (vector[:, None] * vector[None]) - 0.5 * skew(vector)
    diagonal = 1.0 - factor * squared
    for i in range(3):
        out[i, i] += diagonal
    return out


def from_batch_first(array: Array) -> Array:
    """(B, ...) -> contiguous (..., B)."""
    return np.ascontiguousarray(np.moveaxis(np.asarray(array, dtype=np.float64), 0, -1))


def to_batch_first(array: Array) -> Array:
    """(..., B) -> contiguous (B, ...)."""
    return np.ascontiguousarray(np.moveaxis(array, -1, 0))
