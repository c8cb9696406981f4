# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotations: the joints', the root's, and how far the fingers are bent."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.names import FINGERS, KEYPOINT_NAMES
from blender_handmocap.engine.rotations import angle_between, quaternion_from_matrix

from . import alignment

Array = NDArray[np.float64]

BENT_FROM_DEG: Final = 30.0
"""A finger counts as bent when its true PIP bend is at least this."""
_PIP: Final = tuple(KEYPOINT_NAMES.index(f"{finger}2") for finger in FINGERS if finger != "thumb")


def joint_angle_errors_deg(predicted: Array, truth: Array) -> Array:
    """(N, 15) geodesic angle in degrees between predicted and true local rotations of joints 1..15.

    Both are (N, 16, 4), MANO's joint order, relative to the parent, flat hand = identity.
    """
    return np.degrees(angle_between(predicted[:, 1:], truth[:, 1:]))


def angle_rmse_deg(errors: Array, mask: NDArray[np.bool_] | None = None) -> float:
    """Root of the mean square of joint angle errors (N, 15) degrees over all hands and joints (within `mask`)."""
    counted = np.isfinite(errors) if mask is None else np.isfinite(errors) & mask
    return float(np.sqrt(np.square(errors[counted]).mean())) if counted.any() else float("nan")


def root_rotation_deg(predicted: Array, truth: Array) -> Array:
    """(N,) geodesic angle in degrees between predicted and true rotation of joint 0 (canonical to camera)."""
    return np.degrees(angle_between(predicted[:, 0], truth[:, 0]))


def points_rotation_deg(predicted: Array, truth: Array) -> Array:
    """(N,) angle in degrees of the rotation that lays the centred 21 points best on the true ones.

    It needs no joint rotations, so it compares any two point sets (N, 21, 3); a hand that is only bent
    differently can turn it a little.
    """
    matrix = alignment.best_rotation(predicted, truth)
    known = np.isfinite(matrix).all((-1, -2))
    quaternion = quaternion_from_matrix(np.where(known[:, None, None], matrix, np.eye(3)))
    angle = np.degrees(angle_between(quaternion, np.array([1.0, 0.0, 0.0, 0.0])))
    return np.where(known, angle, np.nan)


def pip_bend_deg(points: Array) -> Array:
    """(N, 4) degrees between the proximal and the middle bone of index, middle, ring and pinky; straight = 0.

    Read from points (N, 21, 3) in any unit and axes.
    """
    joints = np.array(_PIP)
    first, second = points[:, joints] - points[:, joints - 1], points[:, joints + 1] - points[:, joints]
    cross = np.linalg.norm(np.cross(first, second), axis=-1)
    return np.degrees(np.arctan2(cross, (first * second).sum(-1)))


def bent_pip_differences_deg(predicted: Array, truth: Array) -> Array:
    """(N, 4) predicted minus true PIP bend in degrees where the true bend is at least BENT_FROM_DEG, else NaN.

    The mean of the absolute values is the bent-finger error, the mean itself the bias: negative is too straight.
    """
    bend = pip_bend_deg(truth)
    return np.where(bend >= BENT_FROM_DEG, pip_bend_deg(predicted) - bend, np.nan)
