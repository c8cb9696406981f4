# SPDX-License-Identifier: GPL-3.0-or-later
"""Forward kinematics in torch: every hand of a batch has a shape of its own."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from blender_handmocap.engine.hand.names import (
    JOINT_PARENTS,
    KEYPOINT_OF_JOINT,
    KEYPOINT_PARENTS,
)

_JOINT_OF_KEYPOINT: Final = {keypoint: joint for joint, keypoint in enumerate(KEYPOINT_OF_JOINT)}
CARRIER: Final = tuple(0 if parent < 0 else _JOINT_OF_KEYPOINT[parent] for parent in KEYPOINT_PARENTS)
"""(21,) the joint that each keypoint, as a point of the surface or of a detector, moves with."""
_LEVELS: Final = ([1, 4, 7, 10, 13], [2, 5, 8, 11, 14], [3, 6, 9, 12, 15])


def matrices(quaternion: Tensor) -> Tensor:
    """Quaternions (..., 4) w,x,y,z of any length -> rotation matrices (..., 3, 3)."""
    w, x, y, z = torch.nn.functional.normalize(quaternion, dim=-1, eps=1e-9).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).reshape(*quaternion.shape[:-1], 3, 3)


def pose(quaternion: Tensor, joints: Tensor, points: Tensor) -> Tensor:
    """Rotations (N, 16, 4), rest joints (N, 16, 3) and rest keypoints (N, 21, 3) -> keypoints (N, 21, 3).

    The wrist joint stays at 0. `points` may be anybody's keypoints: each moves with CARRIER's joint.
    """
    turns = matrices(quaternion)
    count = len(turns)
    orientations, places = [], []
    parent_orientation = turns[:, :1].expand(-1, 5, -1, -1)
    parent_place = torch.zeros_like(joints[:, :5])
    for level in _LEVELS:
        parents = [JOINT_PARENTS[joint] for joint in level]
        bone = (joints[:, level] - joints[:, parents])[..., None]
        parent_place = parent_place + (parent_orientation @ bone)[..., 0]
        parent_orientation = parent_orientation @ turns[:, level]
        orientations.append(parent_orientation)
        places.append(parent_place)
    # [finger, level] in MANO's order is the order of joints 1..15.
    whole_orientation = torch.cat([turns[:, :1], torch.stack(orientations, 2).reshape(count, 15, 3, 3)], 1)
    whole_place = torch.cat([torch.zeros_like(joints[:, :1]), torch.stack(places, 2).reshape(count, 15, 3)], 1)
    carrier = list(CARRIER)
    arm = (points - joints[:, carrier])[..., None]
    return whole_place[:, carrier] + (whole_orientation[:, carrier] @ arm)[..., 0]


def canonical(quaternion: Tensor) -> Tensor:
    """The one of q and -q (..., 4) whose first component that is not zero is positive."""
    positive = torch.ones_like(quaternion[..., 0])
    for component in reversed(quaternion.unbind(-1)):
        positive = torch.where(component != 0, torch.sign(component), positive)
    return quaternion * positive[..., None]
