# SPDX-License-Identifier: GPL-3.0-or-later
"""Analytic derivatives of keypoints and of chosen vertices of posed hands.

With R_0 the root rotation and R_1..R_15 the rotations relative to the parent, an increment w
(radians) turns a rotation as R <- exp(w) R. So the root's increment is in camera axes and turns
the hand about its wrist joint; a joint's increment is in the canonical axes of its parent. There
are no derivatives of rotation vectors anywhere: a column is an axis crossed with a lever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from .. import rotations
from .model import Array, HandModel, PosedHand, RestHand
from .names import (
    JOINT_COUNT,
    JOINT_PARENTS,
    KEYPOINT_COUNT,
    KEYPOINT_OF_JOINT,
    PALM_LENGTH_JOINT,
    TIP_JOINTS,
    TIP_KEYPOINTS,
)

_PARENTS: Final = np.array(JOINT_PARENTS[1:])
_JOINT_KEYPOINTS: Final = np.array(KEYPOINT_OF_JOINT)
_TIPS: Final = np.array(TIP_KEYPOINTS)
_TIP_JOINTS: Final = np.array(TIP_JOINTS)


def _is_moved_by() -> Array:
    """(16, 16) one where the joint of the row is the joint of the column or hangs from it."""
    moved = np.eye(JOINT_COUNT)
    for joint in range(1, JOINT_COUNT):
        moved[joint] += moved[JOINT_PARENTS[joint]]
    return moved


_MOVED_BY: Final = _is_moved_by()
_JOINT_OF_KEYPOINT: Final = np.array(
    [
        TIP_JOINTS[TIP_KEYPOINTS.index(k)] if k in TIP_KEYPOINTS else KEYPOINT_OF_JOINT.index(k)
        for k in range(KEYPOINT_COUNT)
    ]
)
# A joint's own keypoint does not move when the joint turns, so it counts with its parent.
_TURNED_POINTS, _TURNING_JOINTS = np.nonzero(
    [
        [
            joint > 0
            and _MOVED_BY[_JOINT_OF_KEYPOINT[k], joint] > 0
            and (k in TIP_KEYPOINTS or _JOINT_OF_KEYPOINT[k] != joint)
            for joint in range(JOINT_COUNT)
        ]
        for k in range(KEYPOINT_COUNT)
    ]
)


@dataclass(frozen=True)
class PointJacobian:
    """Derivatives of N points of T hands, camera axes, metres; the translation's is the identity."""

    root: Array
    """(T, N, 3, 3) by the root's increment, camera axes"""
    joints: Array
    """(T, N, 3, 15, 3) by the increments of joints 1..15, canonical axes of the parent"""
    betas: Array
    """(T, N, 3, B); the palm length stays put when the rest hand was made with a size"""
    size: Array
    """(T, N, 3) by the palm length, metres a metre"""


def _rest_by_betas(model: HandModel, rest: RestHand) -> tuple[Array, Array, Array]:
    """Derivatives (16, 3, B), (5, 3, B) of the rest joints and tips, and (B,) of log scale."""
    joint_dirs = np.moveaxis(model.joint_dirs - model.joint_dirs[:, :1], 0, -1) * rest.scale
    tip_dirs = np.moveaxis(model.tip_dirs - model.joint_dirs[:, :1], 0, -1) * rest.scale
    if not rest.sized:
        return joint_dirs, tip_dirs, np.zeros(joint_dirs.shape[-1])
    palm = rest.joints[PALM_LENGTH_JOINT]
    log_scale = -(palm @ joint_dirs[PALM_LENGTH_JOINT]) / (palm @ palm)
    return joint_dirs + rest.joints[..., None] * log_scale, tip_dirs + rest.tips[..., None] * log_scale, log_scale


def _joints_by_betas(posed: PosedHand, rest_joints: Array) -> Array:
    """Forward kinematics of the derivatives of the rest joints (16, 3, B) -> (T, 16, 3, B)."""
    bones = rest_joints[1:] - rest_joints[_PARENTS]
    turned = posed.orientation[:, _PARENTS] @ bones
    out = np.zeros((len(posed.joints), *rest_joints.shape))
    for first in (1, 2, 3):
        level = np.arange(first, JOINT_COUNT, 3)
        out[:, level] = out[:, _PARENTS[level - 1]] + turned[:, level - 1]
    return out


def keypoint_jacobian(model: HandModel, rest: RestHand, posed: PosedHand) -> PointJacobian:
    """Derivatives of the 21 keypoints of `posed` (made by `model.pose` from `rest`)."""
    frames = len(posed.joints)
    arms = posed.keypoints - posed.joints[:, :1]
    joints = np.zeros((frames, KEYPOINT_COUNT, 3, JOINT_COUNT - 1, 3))
    levers = posed.keypoints[:, _TURNED_POINTS] - posed.joints[:, _TURNING_JOINTS]
    axes = posed.orientation[:, _PARENTS[_TURNING_JOINTS - 1]]
    joints[:, _TURNED_POINTS, :, _TURNING_JOINTS - 1] = np.moveaxis(-rotations.skew(levers) @ axes, 1, 0)
    rest_joints, rest_tips, _ = _rest_by_betas(model, rest)
    by_betas = np.empty((frames, KEYPOINT_COUNT, 3, rest_joints.shape[-1]))
    moved = _joints_by_betas(posed, rest_joints)
    by_betas[:, _JOINT_KEYPOINTS] = moved
    bones = rest_tips - rest_joints[_TIP_JOINTS]
    by_betas[:, _TIPS] = moved[:, _TIP_JOINTS] + posed.orientation[:, _TIP_JOINTS] @ bones
    return PointJacobian(root=-rotations.skew(arms), joints=joints, betas=by_betas, size=arms / rest.palm_length)


def vertex_jacobian(
    model: HandModel, rest: RestHand, posed: PosedHand, rotation: ArrayLike, chosen: ArrayLike
) -> PointJacobian:
    """Derivatives of the vertices `chosen` (N,) of `posed` = model.pose(rotation (T, 16, 4), ., rest)."""
    index = np.asarray(chosen)
    weights = model.weights[index]
    frames, count = len(posed.joints), len(index)
    local = rotations.matrix_from_quaternion(rotation)
    unposed = model.rest_vertices(rest, index)
    offsets: Array | None = None
    if model.pose_dirs is not None:
        bend = (local[:, 1:] - np.eye(3)).reshape(frames, -1)
        offsets = np.tensordot(bend, model.pose_dirs[:, index], 1) * rest.scale
        points = unposed + offsets
    else:
        points = np.broadcast_to(unposed, (frames, count, 3))

    # carried[t, n, j] is where joint j alone would carry vertex n, from the wrist, times its weight.
    shift = posed.joints - posed.joints[:, :1] - (posed.orientation @ rest.joints[..., None])[..., 0]
    carried = np.einsum("tjab,tnb->tnja", posed.orientation, points, optimize=True) + shift[:, None]
    carried *= weights[..., None]
    arms = carried.sum(2)
    # What hangs from joint j: its share of the weight and of the carried position.
    share = weights @ _MOVED_BY[:, 1:]
    hanging = np.einsum("tnka,kj->tnja", carried, _MOVED_BY[:, 1:], optimize=True)
    levers = hanging - share[..., None] * (posed.joints[:, 1:] - posed.joints[:, :1])[:, None]
    joints = np.moveaxis(-rotations.skew(levers) @ posed.orientation[:, None, _PARENTS], 2, 3)

    blended = (weights @ posed.orientation.reshape(frames, JOINT_COUNT, 9)).reshape(frames, count, 3, 3)
    if model.pose_dirs is not None:
        dirs = model.pose_dirs[:, index].reshape(JOINT_COUNT - 1, 3, 3, count, 3)
        turned = -rotations.skew(np.swapaxes(local[:, 1:], -1, -2))  # [t, j, column of R, :, axis] = axis x column
        by_turn = np.einsum("tjcrk,jrcna->tnajk", turned, dirs, optimize=True) * rest.scale
        joints = joints + np.einsum("tnab,tnbjk->tnajk", blended, by_turn, optimize=True)

    rest_joints, _, log_scale = _rest_by_betas(model, rest)
    vertex_dirs = np.moveaxis(model.shape_dirs[:, index] - model.joint_dirs[:, :1], 0, -1) * rest.scale
    by_betas = blended @ (vertex_dirs + unposed[..., None] * log_scale)
    if offsets is not None:
        by_betas = by_betas + (blended @ offsets[..., None]) * log_scale
    moved = _joints_by_betas(posed, rest_joints) - posed.orientation @ rest_joints
    by_betas = by_betas + np.einsum("nj,tjab->tnab", weights, moved, optimize=True)
    return PointJacobian(root=-rotations.skew(arms), joints=joints, betas=by_betas, size=arms / rest.palm_length)
