# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotations: quaternions (w, x, y, z), matrices, rotation vectors; conversions in one place.

Every function is vectorised over leading dimensions. Quaternions are unit, Hamilton
product, active rotations; matrices act on column vectors; rotation vectors are axis
times angle in radians.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])

_MIRROR_QUATERNION = np.array([1.0, 1.0, -1.0, -1.0])
"""Reflecting x turns (w, x, y, z) into (w, x, -y, -z): an axis is a pseudo-vector."""


def matrix_from_vector(vector: ArrayLike) -> Array:
    """Rodrigues: rotation vectors (..., 3) in radians -> matrices (..., 3, 3). Smooth at zero."""
    v = np.asarray(vector, dtype=np.float64)
    squared = (v * v).sum(-1)
    angle = np.sqrt(squared)
    small = angle < 1e-6
    safe = np.where(small, 1.0, angle)
    a = np.where(small, 1.0 - squared / 6.0, np.sin(safe) / safe)[..., None, None]
    b = np.where(small, 0.5 - squared / 24.0, (1.0 - np.cos(safe)) / (safe * safe))[..., None, None]
    k = skew(v)
    return np.eye(3) + a * k + b * (k @ k)


def skew(vector: ArrayLike) -> Array:
    """Vectors (..., 3) -> matrices (..., 3, 3) with skew(a) @ b = a x b."""
    v = np.asarray(vector, dtype=np.float64)
    k = np.zeros((*v.shape[:-1], 3, 3))
    k[..., 0, 1], k[..., 0, 2], k[..., 1, 2] = -v[..., 2], v[..., 1], -v[..., 0]
    k[..., 1, 0], k[..., 2, 0], k[..., 2, 1] = v[..., 2], -v[..., 1], v[..., 0]
    return k


def vector_from_quaternion(quaternion: ArrayLike) -> Array:
    """Unit quaternions (..., 4) -> rotation vectors (..., 3) with angle in [0, pi]."""
    q = np.asarray(quaternion, dtype=np.float64)
    q = np.where(q[..., :1] < 0.0, -q, q)
    length = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(length, q[..., :1])
    small = length < 1e-9
    return q[..., 1:] * np.where(small, 2.0, angle / np.where(small, 1.0, length))


def quaternion_from_vector(vector: ArrayLike) -> Array:
    """Rotation vectors (..., 3) -> unit quaternions (..., 4)."""
    v = np.asarray(vector, dtype=np.float64)
    angle = np.linalg.norm(v, axis=-1, keepdims=True)
    small = angle < 1e-9
    scale = np.where(small, 0.5, np.sin(0.5 * angle) / np.where(small, 1.0, angle))
    return np.concatenate([np.cos(0.5 * angle), v * scale], axis=-1)


def vector_from_matrix(matrix: ArrayLike) -> Array:
    """Rotation matrices (..., 3, 3) -> rotation vectors (..., 3); exact up to and at pi."""
    return vector_from_quaternion(quaternion_from_matrix(matrix))


def matrix_from_quaternion(quaternion: ArrayLike) -> Array:
    """Unit quaternions (..., 4) -> matrices (..., 3, 3)."""
    q = np.asarray(quaternion, dtype=np.float64)
    products = (q[..., :, None] * q[..., None, :]).reshape(*q.shape[:-1], 16)
    entries: Array = products @ _MATRIX_OF_PRODUCTS + _FLAT_IDENTITY
    return entries.reshape(*q.shape[:-1], 3, 3)


def _matrix_of_products() -> Array:
    """(16, 9): R - I, row-major, as a linear map of the products (w, x, y, z) x (w, x, y, z)."""
    unit = np.zeros((4, 4, 3, 3))
    for axis in range(3):
        after, last = (axis + 1) % 3, (axis + 2) % 3
        for other in (after, last):
            unit[other + 1, other + 1, axis, axis] = -2.0
            unit[axis + 1, other + 1, axis, other] = 2.0
        unit[0, last + 1, axis, after] = -2.0
        unit[0, after + 1, axis, last] = 2.0
    return unit.reshape(16, 9)


_MATRIX_OF_PRODUCTS = _matrix_of_products()
_FLAT_IDENTITY = np.eye(3).ravel()


def quaternion_from_matrix(matrix: ArrayLike) -> Array:
    """Rotation matrices (..., 3, 3) -> unit quaternions (..., 4) with w >= 0.

    Picks the largest of the four components first, so it is exact for any angle.
    """
    m = np.asarray(matrix, dtype=np.float64)
    d0, d1, d2 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    squares = np.stack([1 + d0 + d1 + d2, 1 + d0 - d1 - d2, 1 - d0 + d1 - d2, 1 - d0 - d1 + d2], axis=-1)
    a, b, c = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    p, q, r = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    candidates = np.stack(
        [
            np.stack([squares[..., 0], a, b, c], axis=-1),
            np.stack([a, squares[..., 1], p, q], axis=-1),
            np.stack([b, p, squares[..., 2], r], axis=-1),
            np.stack([c, q, r, squares[..., 3]], axis=-1),
        ],
        axis=-2,
    )
    best = squares.argmax(-1)
    out = np.take_along_axis(candidates, best[..., None, None], axis=-2)[..., 0, :]
    out = out / np.linalg.norm(out, axis=-1, keepdims=True)
    return np.where(out[..., :1] < 0.0, -out, out)


def multiply(first: ArrayLike, second: ArrayLike) -> Array:
    """Hamilton product (..., 4) x (..., 4): the rotation `second`, then `first`."""
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    aw, ax, ay, az = a[..., 0], a[..., 1], a[..., 2], a[..., 3]
    bw, bx, by, bz = b[..., 0], b[..., 1], b[..., 2], b[..., 3]
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def conjugate(quaternion: ArrayLike) -> Array:
    """The inverse of unit quaternions (..., 4)."""
    return np.asarray(quaternion, dtype=np.float64) * np.array([1.0, -1.0, -1.0, -1.0])


def rotate(quaternion: ArrayLike, vector: ArrayLike) -> Array:
    """Vectors (..., 3) rotated by unit quaternions (..., 4); leading dimensions broadcast."""
    return (matrix_from_quaternion(quaternion) @ np.asarray(vector, dtype=np.float64)[..., None])[..., 0]


def normalized(quaternion: ArrayLike) -> Array:
    """Quaternions (..., 4) scaled to unit length; a zero quaternion becomes the identity."""
    q = np.asarray(quaternion, dtype=np.float64)
    length = np.linalg.norm(q, axis=-1, keepdims=True)
    return np.where(length > 1e-12, q / np.where(length > 1e-12, length, 1.0), IDENTITY)


def continuous(quaternion: ArrayLike) -> Array:
    """Quaternions (T, ..., 4) with signs flipped so that neighbours in time never jump by a sign."""
    q = np.array(quaternion, dtype=np.float64)
    if len(q) < 2:
        return q
    dots = (q[1:] * q[:-1]).sum(-1)
    flips = np.cumprod(np.where(dots < 0.0, -1.0, 1.0), axis=0)
    q[1:] *= flips[..., None]
    return q


def slerp(first: ArrayLike, second: ArrayLike, share: ArrayLike) -> Array:
    """Shortest-arc interpolation between unit quaternions (..., 4); share (...) from 0 to 1."""
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    step = vector_from_quaternion(multiply(conjugate(a), b))
    return multiply(a, quaternion_from_vector(step * np.asarray(share, dtype=np.float64)[..., None]))


def angle_between(first: ArrayLike, second: ArrayLike) -> Array:
    """Geodesic angle in radians, in [0, pi], between unit quaternions (..., 4)."""
    dot = np.abs((np.asarray(first) * np.asarray(second)).sum(-1))
    cross = np.linalg.norm(multiply(conjugate(first), second)[..., 1:], axis=-1)
    return 2.0 * np.arctan2(cross, dot)


def mirrored(quaternion: ArrayLike) -> Array:
    """The rotation (..., 4) as seen in a mirror that flips x: a right hand's becomes the left's."""
    return np.asarray(quaternion, dtype=np.float64) * _MIRROR_QUATERNION


def nearest_rotation(matrix: ArrayLike) -> Array:
    """The proper rotation nearest to each matrix (..., 3, 3) in the Frobenius norm."""
    u, _, vt = np.linalg.svd(np.asarray(matrix, dtype=np.float64))
    u = u.copy()
    u[..., :, 2] *= np.sign(np.linalg.det(u @ vt))[..., None]
    return u @ vt


def aligning_rotation(source: ArrayLike, target: ArrayLike, weight: ArrayLike | None = None) -> Array:
    """Kabsch: R (..., 3, 3) with R @ source ~ target for centred clouds (..., N, 3), weight (..., N)."""
    a, b = np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if weight is None:
        a, b = a - a.mean(-2, keepdims=True), b - b.mean(-2, keepdims=True)
        moment = np.swapaxes(b, -1, -2) @ a
    else:
        w = np.asarray(weight, dtype=np.float64)[..., None]
        total = np.maximum(w.sum(-2, keepdims=True), 1e-12)
        a = a - (w * a).sum(-2, keepdims=True) / total
        b = b - (w * b).sum(-2, keepdims=True) / total
        moment = np.swapaxes(b * w, -1, -2) @ a
    return nearest_rotation(moment)
