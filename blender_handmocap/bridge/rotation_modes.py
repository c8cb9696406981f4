# SPDX-License-Identifier: GPL-3.0-or-later
"""A pose bone's rotation over time in whatever form its rotation mode stores it, without jumps.

Quaternions are unit (w, x, y, z); Euler angles are radians in x, y, z order of components whatever the order of
turning; axis-angle is (angle, x, y, z). Blender's order `XYZ` turns about X first: the matrix is Rz Ry Rx.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..engine import rotations

Array = NDArray[np.float64]

DATA_PATHS: Final = {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}
"""Rotation mode -> property of a pose bone; every other mode is an Euler order."""
_EVEN: Final = ("XYZ", "YZX", "ZXY")
_SAME_AXIS: Final = 1e-6


def data_path(mode: str) -> str:
    """The property that a bone or object with this rotation mode animates."""
    return DATA_PATHS.get(mode, "rotation_euler")


def from_quaternions(quaternion: ArrayLike, mode: str, *, before: ArrayLike | None = None) -> Array:
    """Quaternions (T, 4) -> (T, 4) or (T, 3) values of `mode`, continuous over time.

    `before` are the values just before the first (same form), which the first then follows as closely as it can.
    """
    q = rotations.continuous(quaternion)
    if mode == "QUATERNION":
        if before is not None and len(q) and q[0] @ np.asarray(before, dtype=np.float64) < 0.0:
            return -q
        return q
    if mode == "AXIS_ANGLE":
        return _axis_angle(q, before)
    return _euler(q, mode, before)


def to_quaternions(values: ArrayLike, mode: str) -> Array:
    """Values (..., 4) or (..., 3) of `mode` -> quaternions (..., 4)."""
    v = np.asarray(values, dtype=np.float64)
    if mode == "QUATERNION":
        return rotations.normalized(v)
    if mode == "AXIS_ANGLE":
        axis = v[..., 1:]
        length = np.linalg.norm(axis, axis=-1, keepdims=True)
        axis = np.where(length > _SAME_AXIS, axis / np.where(length > _SAME_AXIS, length, 1.0), [0.0, 1.0, 0.0])
        return rotations.quaternion_from_vector(axis * v[..., :1])
    out = np.broadcast_to(rotations.IDENTITY, (*v.shape[:-1], 4))
    for axis_name in mode:
        axis = "XYZ".index(axis_name)
        turn = np.zeros((*v.shape[:-1], 4))
        turn[..., 0], turn[..., 1 + axis] = np.cos(v[..., axis] / 2), np.sin(v[..., axis] / 2)
        out = rotations.multiply(turn, out)
    return out


def _axis_angle(q: Array, before: ArrayLike | None) -> Array:
    half_sine = np.linalg.norm(q[:, 1:], axis=-1)
    known = half_sine > _SAME_AXIS
    axis = np.where(known[:, None], q[:, 1:] / np.where(known, half_sine, 1.0)[:, None], 0.0)
    # Where nothing turns any axis will do: the last one there was, or the first to come.
    last_known = np.maximum.accumulate(np.where(known, np.arange(len(q)), -1))
    first_known = int(known.argmax()) if known.any() else -1
    last_known = np.where(last_known < 0, first_known, last_known)
    axis = axis[last_known] if first_known >= 0 else np.tile([0.0, 1.0, 0.0], (len(q), 1))
    start = None if before is None else np.asarray(before, dtype=np.float64)
    reference = axis[:1] if start is None else start[None, 1:]
    dots = (axis * np.concatenate([reference, axis[:-1]])).sum(-1)
    axis = axis * np.cumprod(np.where(dots < 0.0, -1.0, 1.0))[:, None]
    angle = 2.0 * np.arctan2((q[:, 1:] * axis).sum(-1), q[:, 0])
    angle = _unwrapped(angle[:, None], None if start is None else start[:1])
    return np.concatenate([angle, axis], axis=-1)


def _euler(q: Array, order: str, before: ArrayLike | None) -> Array:
    principal = _principal_euler(q, order)
    other = principal + np.pi
    middle = "XYZ".index(order[1])
    other[:, middle] = np.pi - principal[:, middle]
    start = principal[:1] if before is None else np.asarray(before, dtype=np.float64)[None]
    # The two solutions are related the same way in both directions, so whether the next one changes over
    # does not depend on which one is being followed.
    previous = np.concatenate([start, principal[:-1]])
    stay = (_wrapped(principal - previous) ** 2).sum(-1)
    change = (_wrapped(other - previous) ** 2).sum(-1)
    changed = np.cumsum(change < stay) % 2 == 1
    return _unwrapped(np.where(changed[:, None], other, principal), None if before is None else start[0])


def _principal_euler(q: Array, order: str) -> Array:
    """Euler angles (T, 3) with the middle one within a quarter turn.

    After Bernardes and Viollet (2022): half the sum and half the difference of the outer angles come straight from
    the quaternion, so their sum stays right in gimbal lock, where each alone means nothing.
    """
    i, j, k = ("XYZ".index(axis) for axis in order)
    sign = 1.0 if order in _EVEN else -1.0
    w, first, middle, last = q[:, 0], q[:, 1 + i], q[:, 1 + j], q[:, 1 + k] * sign
    half_sum = np.arctan2(first + last, w - middle)
    half_difference = np.arctan2(last - first, w + middle)
    angles = np.empty((len(q), 3))
    lean = 2.0 * np.arctan2(np.hypot(w + middle, last - first), np.hypot(w - middle, first + last))
    angles[:, i] = half_sum - half_difference
    angles[:, j] = lean - np.pi / 2.0
    angles[:, k] = (half_sum + half_difference) * sign
    return angles


def _wrapped(angle: Array) -> Array:
    return (angle + np.pi) % (2.0 * np.pi) - np.pi


def _unwrapped(angles: Array, before: Array | None) -> Array:
    """Angles (T, C) moved by whole turns so that neighbours, and the first and `before`, are near."""
    if before is None:
        return np.unwrap(angles, axis=0)
    return np.unwrap(np.concatenate([before[None], angles]), axis=0)[1:]
