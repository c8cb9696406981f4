# SPDX-License-Identifier: GPL-3.0-or-later
"""Targets and losses of the pair network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from blender_handmocap.engine.hand.names import SIDES
from training.footage.two_hands import TOUCH

from .network import CROP, GRID

_LEFT, _RIGHT = SIDES.index("left"), SIDES.index("right")
_APART: Final = 0.004
"""metres from which parts surely do not touch; between touch and this a label says nothing"""
_RARE: Final = 3.0
"""weight of a touching pair of parts: most do not touch"""


@dataclass(frozen=True)
class Targets:
    """What is true of a batch of crops; hands in the order of SIDES."""

    position: Tensor
    """(N, 2, 21, 2) crop shares"""
    depth: Tensor
    """(N, 2, 21) palm lengths from the right wrist, or from the left one of a hand alone"""
    vector: Tensor
    """(N, 3) left wrist minus right wrist in palm lengths"""
    present: Tensor
    """(N, 2)"""
    contact: Tensor
    """(N, 6, 6) 1 touch, 0 do not"""
    contact_known: Tensor
    """(N, 6, 6)"""

    @property
    def both(self) -> Tensor:
        """(N,)"""
        return self.present.prod(1)


def targets(labels: dict[str, NDArray[Any]]) -> Targets:
    """From rows of `labels`."""
    present = labels["present"].astype(np.float32)
    points = labels["points3d"] / labels["palm"][:, None, None, None]
    wrist = points[:, :, 0]
    root = np.where(present[:, _RIGHT, None] > 0, wrist[:, _RIGHT], wrist[:, _LEFT])
    gap = labels["gap"]
    arrays = (
        (labels["points2d"] + 0.5) / CROP,
        points[..., 2] - root[:, None, None, 2],
        wrist[:, _LEFT] - wrist[:, _RIGHT],
        present,
        gap <= TOUCH,
        (gap <= TOUCH) | (gap >= _APART),
    )
    return Targets(*(torch.from_numpy(np.asarray(array, np.float32)) for array in arrays))


@dataclass(frozen=True)
class Weights:
    """How much each term counts; 0 switches it off (ablation)."""

    heat: float = 0.3
    position: float = 8.0
    depth: float = 1.5
    error: float = 0.1
    vector: float = 1.0
    sigma: float = 0.3
    present: float = 0.5
    nearer: float = 0.2
    contact: float = 2.0


def loss(out: dict[str, Tensor], truth: Targets, weights: Weights) -> tuple[Tensor, dict[str, float]]:
    """The sum that is trained on, and each unweighted term for the log."""
    inside = ((truth.position > 0) & (truth.position < 1)).all(-1).float() * truth.present[..., None]
    solid = truth.present[..., None].expand_as(truth.depth)
    count = len(truth.present)
    share = heat_shares(truth.position.flatten(1, 2))
    entropy = -(share * torch.log_softmax(out["logits"].flatten(2), -1)).sum(-1).reshape(count, *inside.shape[1:])
    off = (out["position"] - truth.position).abs().sum(-1)
    distance = (out["position"] - truth.position).norm(dim=-1).detach()
    apart = (out["vector"] - truth.vector).abs()
    both = truth.both[:, None].expand_as(apart)
    nearer = (truth.vector[:, 2] < 0).float()
    contact = functional.binary_cross_entropy_with_logits(
        out["contact"], truth.contact, reduction="none", pos_weight=torch.tensor(_RARE)
    )
    terms = {
        "heat": _mean(entropy, inside),
        "position": _mean(off, inside),
        "depth": _mean((out["depth"] - truth.depth).abs(), solid),
        "error": _mean(distance * torch.exp(-out["log_error"]) + out["log_error"], inside),
        "vector": _mean(apart, both),
        "sigma": _mean(apart.detach() * torch.exp(-out["log_sigma"]) + out["log_sigma"], both),
        "present": functional.binary_cross_entropy_with_logits(out["present"], truth.present),
        "nearer": _mean(
            functional.binary_cross_entropy_with_logits(out["left_nearer"], nearer, reduction="none"), truth.both
        ),
        "contact": _mean(contact, truth.contact_known),
    }
    total = torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()
    return total, {name: float(value.detach()) for name, value in terms.items()}


def heat_shares(position: Tensor, *, sigma: float = 0.7) -> Tensor:
    """Gaussians of `sigma` cells around positions (N, P, 2) in crop shares, of sum 1: (N, P, GRID * GRID)."""
    cells = torch.arange(GRID) + 0.5
    x = torch.exp(-((position[..., :1] * GRID - cells) ** 2) / (2 * sigma**2))
    y = torch.exp(-((position[..., 1:] * GRID - cells) ** 2) / (2 * sigma**2))
    heat = (y[..., :, None] * x[..., None, :]).flatten(2)
    return heat / heat.sum(-1, keepdim=True).clamp(min=1e-3)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1.0)
