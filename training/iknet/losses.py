# SPDX-License-Identifier: GPL-3.0-or-later
"""The four published losses on quaternions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .kinematics import canonical, pose


@dataclass(frozen=True)
class Weights:
    """How much each term counts; 0 switches it off (ablation)."""

    cos: float = 1.0
    l2: float = 1.0
    xyz: float = 1.0
    norm: float = 0.1


@dataclass(frozen=True)
class Targets:
    """What is true of a batch, in the axes of the palm as it was seen."""

    rotation: Tensor
    """(N, 16, 4) unit quaternions; joint 0: canonical axes to the seen palm's"""
    joints: Tensor
    """(N, 16, 3) the flat hand's joints, in units of the palm's spread"""
    points: Tensor
    """(N, 21, 3) its keypoints in the same unit"""


def loss(raw: Tensor, truth: Targets, weights: Weights) -> tuple[Tensor, dict[str, float]]:
    """The sum that is trained on, and each unweighted term; raw (N, 64)."""
    answer = raw.reshape(-1, truth.rotation.shape[1], 4)
    wanted = canonical(truth.rotation)
    unit = functional.normalize(answer, dim=-1, eps=1e-6)
    reached = pose(unit, truth.joints, truth.points)
    with torch.no_grad():
        goal = pose(wanted, truth.joints, truth.points)
    terms = {
        # 1 - real part of (true rotation times the inverse of ours): the sign of either does not matter here.
        "cos": (1.0 - (unit * wanted).sum(-1).abs()).mean(),
        "l2": (answer - wanted).square().sum(-1).mean(),
        "xyz": (reached - goal).square().sum(-1).mean(),
        "norm": (1.0 - answer.square().sum(-1)).square().mean(),
    }
    total = torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()
    return total, {name: float(value.detach()) for name, value in terms.items()}
