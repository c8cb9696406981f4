# SPDX-License-Identifier: GPL-3.0-or-later
"""Hinge angles <-> rotations of a Take.

A joint turns by flexion, abduction and twist about the three axes of its hinge frame F
(columns, canonical axes at rest): its rotation relative to the parent, in canonical axes,
is F Rx(flexion) Ry(abduction) Rz(twist) F^T. Angles are radians, shaped (..., 16, 3) in
MANO's joint order; joint 0 has no hinge and its angles are zero. `Hinges.free` says which
of the 48 turn at all; the packed form (..., n) holds only those, row by row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import rotations
from ..hand.free import Hinges
from ..hand.names import JOINT_COUNT, JOINT_PARENTS

Array = NDArray[np.float64]

_ASCENT_ROUNDS = 12
"""Rounds of coordinate ascent in the projection of a rotation on fewer than three axes; each
round shrinks what is left by about the square of the angle that cannot be expressed."""


def free_index(hinges: Hinges) -> NDArray[np.intp]:
    """(n,) indices of the free angles in a flattened (16, 3)."""
    return np.flatnonzero(hinges.free)


def zero_shift(hinges: Hinges, reference: Hinges) -> Array:
    """(16, 3) radians to add to angles of `reference` for the same pose of hinges with another rest pose.

    A finger that another model draws a little bent at rest needs that much less of an angle. Joints
    of one finger count from the joint before them, the knuckles from the palm.
    """
    out = np.zeros((JOINT_COUNT, 3))
    if np.array_equal(hinges.frame, reference.frame):
        return out
    for joint in range(1, JOINT_COUNT):
        parent = JOINT_PARENTS[joint]
        own, theirs = hinges.frame[joint], reference.frame[joint]
        if parent > 0:
            own, theirs = hinges.frame[parent].T @ own, reference.frame[parent].T @ theirs
        out[joint] = _nearest_angles(own.T @ theirs, hinges.free[joint])
    return out


def pack(angles: ArrayLike, hinges: Hinges) -> Array:
    """Angles (..., 16, 3) -> the free ones (..., n)."""
    full = np.asarray(angles, dtype=np.float64)
    return full.reshape(*full.shape[:-2], -1)[..., free_index(hinges)]


def unpack(packed: ArrayLike, hinges: Hinges) -> Array:
    """The free angles (..., n) -> angles (..., 16, 3), zero where a joint does not turn."""
    free = np.asarray(packed, dtype=np.float64)
    full = np.zeros((*free.shape[:-1], JOINT_COUNT * 3))
    full[..., free_index(hinges)] = free
    return full.reshape(*free.shape[:-1], JOINT_COUNT, 3)


def euler_matrix(angles: ArrayLike) -> Array:
    """Angles (..., 3) -> Rx Ry Rz (..., 3, 3), in the hinge frame."""
    a = np.asarray(angles, dtype=np.float64)
    c0, c1, c2 = np.moveaxis(np.cos(a), -1, 0)
    s0, s1, s2 = np.moveaxis(np.sin(a), -1, 0)
    m = np.empty((*a.shape, 3))
    m[..., 0, 0], m[..., 0, 1], m[..., 0, 2] = c1 * c2, -c1 * s2, s1
    m[..., 1, 0], m[..., 1, 1], m[..., 1, 2] = c0 * s2 + s0 * s1 * c2, c0 * c2 - s0 * s1 * s2, -s0 * c1
    m[..., 2, 0], m[..., 2, 1], m[..., 2, 2] = s0 * s2 - c0 * s1 * c2, s0 * c2 + c0 * s1 * s2, c0 * c1
    return m


def rotations_from_angles(angles: ArrayLike, hinges: Hinges, root: ArrayLike | None = None) -> Array:
    """Angles (..., 16, 3) -> unit quaternions (..., 16, 4) w,x,y,z of a Take.

    `root` (..., 4) becomes joint 0; without it joint 0 is the identity.
    """
    half = 0.5 * np.asarray(angles, dtype=np.float64)
    c, s = np.cos(half), np.sin(half)
    c0, c1, c2 = np.moveaxis(c, -1, 0)
    s0, s1, s2 = np.moveaxis(s, -1, 0)
    # The product of the three axis quaternions; its vector part only needs turning out of the frame.
    out = np.empty((*half.shape[:-1], 4))
    out[..., 0] = c0 * c1 * c2 - s0 * s1 * s2
    vector = np.stack([s0 * c1 * c2 + c0 * s1 * s2, c0 * s1 * c2 - s0 * c1 * s2, c0 * c1 * s2 + s0 * s1 * c2], axis=-1)
    out[..., 1:] = (hinges.frame @ vector[..., None])[..., 0]
    out[..., 0, :] = rotations.IDENTITY if root is None else np.asarray(root, dtype=np.float64)
    return out


def angles_from_rotations(
    rotation: ArrayLike, hinges: Hinges, *, carry: bool = True, within_limits: bool = False
) -> Array:
    """The hinge angles (..., 16, 3) that come closest to rotations (..., 16, 4).

    Each joint takes the free angles whose rotation is nearest (smallest angle of the
    difference). With `carry`, what a joint cannot express is handed on to the next one of
    its finger, so that the finger's end keeps its direction. Exact for rotations that the
    hinges can make with |abduction| < 90 degrees. `within_limits` clips to the joint limits
    before carrying on.
    """
    local = rotations.matrix_from_quaternion(rotation)
    angles = np.zeros(local.shape[:-1])
    remainder: dict[int, Array] = {}
    for joint in range(1, JOINT_COUNT):
        frame, free, parent = hinges.frame[joint], hinges.free[joint], JOINT_PARENTS[joint]
        target = remainder[parent] @ local[..., joint, :, :] if parent in remainder else local[..., joint, :, :]
        found = _nearest_angles(frame.T @ target @ frame, free)
        if within_limits:
            found = np.clip(found, hinges.limits[joint, :, 0], hinges.limits[joint, :, 1]) * free
        angles[..., joint, :] = found
        if carry:
            remainder[joint] = np.swapaxes(frame @ euler_matrix(found) @ frame.T, -1, -2) @ target
    return angles


def _nearest_angles(matrix: Array, free: NDArray[np.bool_]) -> Array:
    """Angles (..., 3) of the nearest Rx Ry Rz to rotations (..., 3, 3), fixed axes at zero."""
    m = matrix
    angles: Array = np.stack(
        [
            np.arctan2(-m[..., 1, 2], m[..., 2, 2]),
            np.arcsin(np.clip(m[..., 0, 2], -1.0, 1.0)),
            np.arctan2(-m[..., 0, 1], m[..., 0, 0]),
        ],
        axis=-1,
    )
    if free.all():
        return angles
    angles = angles * free
    # The trace of the difference is, in each angle alone, a cosine: its best value is known in closed form.
    for _ in range(_ASCENT_ROUNDS if free.sum() > 1 else 1):
        for axis in np.flatnonzero(free):
            before, after = angles.copy(), angles.copy()
            before[..., axis:] = 0.0
            after[..., : axis + 1] = 0.0
            rest = np.swapaxes(euler_matrix(before), -1, -2) @ m @ np.swapaxes(euler_matrix(after), -1, -2)
            i, j = (axis + 1) % 3, (axis + 2) % 3
            angles[..., axis] = np.arctan2(rest[..., j, i] - rest[..., i, j], rest[..., i, i] + rest[..., j, j])
    return angles
