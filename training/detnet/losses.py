# SPDX-License-Identifier: GPL-3.0-or-later
"""Targets and losses. Heat, location and delta as published; soft readings, errors and visibility besides."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from blender_handmocap.engine.hand.names import KEYPOINT_PARENTS

from .network import GRID, POINTS

_PARENTS: Final = [max(parent, 0) for parent in KEYPOINT_PARENTS]
_BONES: Final = slice(1, POINTS)
MIDDLE_KNUCKLE: Final = 9

PALM: Final = (0, 5, 9, 13, 17)
_LEAST_SPREAD: Final = 0.02
"""of a crop, or of a palm: no usual size is smaller"""

_MARKED: Final = 0.2
"""of a heatmap's peak: what belongs to a joint"""
_MARKED_REACH: Final = math.sqrt(-2.0 * math.log(_MARKED))
"""cells"""
_WINDOW: Final = 4
"""cells across that hold everything within reach"""


@dataclass(frozen=True)
class Targets:
    """What is true of a batch of crops; rows without a hand have `present` 0, without 3D `has_3d` 0."""

    position: Tensor
    """(N, 21, 2) crop shares 0..1"""
    location: Tensor
    """(N, 21, 3) relative to the middle knuckle, unit wrist to middle knuckle"""
    visible: Tensor
    """(N, 21) 1 seen, 0 hidden"""
    has_3d: Tensor
    """(N,)"""
    use_2d: Tensor
    """(N, 21) 0 where a label is not to be trusted"""
    present: Tensor
    """(N,) the crop shows a hand"""
    right_side: Tensor
    """(N,) that hand is of the side the crop was cut for"""

    def to(self, device: torch.device) -> Targets:
        """The same on a device."""
        return Targets(**{name: value.to(device) for name, value in vars(self).items()})


@dataclass(frozen=True)
class Weights:
    """How much each term counts; 0 switches it off (ablation)."""

    heat: float = 0.3
    position: float = 8.4
    location: float = 2.0
    location_map: float = 1.0
    delta: float = 0.5
    bone: float = 0.5
    error: float = 0.1
    size: float = 0.0
    """only for a network that knows where points are: a fresh one would learn to spread them first"""
    visible: float = 0.2
    whole: float = 0.2


def unit_locations(points: Tensor) -> Tensor:
    """Points (N, 21, 3) in any unit -> relative to the middle knuckle, wrist to knuckle = 1."""
    relative = points - points[:, MIDDLE_KNUCKLE : MIDDLE_KNUCKLE + 1]
    return relative / relative[:, :1].norm(dim=-1, keepdim=True).clamp(min=1e-9)


def heatmaps(position: Tensor, *, sigma: float = 1.0) -> Tensor:
    """Gaussians (N, 21, 28, 28) of `sigma` cells around positions in crop shares."""
    cells = torch.arange(GRID, device=position.device, dtype=position.dtype) + 0.5
    x = torch.exp(-((position[..., :1] * GRID - cells) ** 2) / (2 * sigma**2))
    y = torch.exp(-((position[..., 1:] * GRID - cells) ** 2) / (2 * sigma**2))
    return y[..., :, None] * x[..., None, :]


def marked_cells(position: Tensor) -> tuple[Tensor, Tensor]:
    """The paper's masks: maps count where the true heatmap is.

    -> indices (N, 21, 16) of the cells around positions in crop shares, their weights (N, 21, 16) of sum 1
    """
    centre = position * GRID - 0.5
    first = torch.ceil(centre - _MARKED_REACH).clamp(0, GRID - _WINDOW)
    steps = torch.arange(_WINDOW, device=position.device, dtype=position.dtype)
    x, y = first[..., :1] + steps, first[..., 1:] + steps
    heat_x = torch.exp(-((x - centre[..., :1]) ** 2) / 2)
    heat_y = torch.exp(-((y - centre[..., 1:]) ** 2) / 2)
    heat = (heat_y[..., :, None] * heat_x[..., None, :]).flatten(2)
    heat = heat * (heat > _MARKED)
    cells = (y[..., :, None] * GRID + x[..., None, :]).flatten(2).long()
    return cells, heat / heat.sum(-1, keepdim=True).clamp(min=1e-3)


def _at(maps: Tensor, cells: Tensor) -> Tensor:
    """Maps (N, 21, 3, H * W) at cells (N, 21, K): (N, 21, 3, K)."""
    return maps.gather(-1, cells[:, :, None].expand(-1, -1, maps.shape[2], -1))


def bone_directions(location: Tensor) -> Tensor:
    """(N, 21, 3) unit vectors from each point's parent; zero for the wrist."""
    bones = location - location[:, _PARENTS]
    return bones / bones.norm(dim=-1, keepdim=True).clamp(min=1e-6)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1.0)


def loss(out: dict[str, Tensor], truth: Targets, weights: Weights) -> tuple[Tensor, dict[str, float]]:
    """The sum that is trained on, and each unweighted term for the log."""
    inside = ((truth.position > 0) & (truth.position < 1)).all(-1).float()
    use_2d = inside * truth.use_2d * truth.present[:, None]
    solid = (truth.present * truth.has_3d)[:, None]
    heat = heatmaps(truth.position)
    share = heat / heat.sum((2, 3), keepdim=True).clamp(min=1e-3)
    cross_entropy = -(share.flatten(2) * torch.log_softmax(out["logits"].flatten(2), -1)).sum(-1)
    error_2d = (out["position"] - truth.position).abs().sum(-1)
    error_3d = (out["location"] - truth.location).abs().sum(-1)
    cells, region = marked_cells(truth.position)
    location_off = (_at(out["location_map"], cells) - truth.location[..., None]).abs().sum(2)
    directions = bone_directions(truth.location)
    delta_off = (_at(out["delta_map"], cells) - directions[..., None]).abs().sum(2)
    bones, true_bones = (p - p[:, _PARENTS] for p in (out["location"], truth.location))
    distance_2d = (out["position"] - truth.position).norm(dim=-1).detach()
    distance_3d = (out["location"] - truth.location).norm(dim=-1).detach()
    terms = {
        "heat": _mean(cross_entropy, use_2d),
        "position": _mean(error_2d, use_2d),
        "location": _mean(error_3d, solid.expand_as(error_3d)),
        "location_map": _mean((location_off * region).sum(2), inside * solid),
        "delta": _mean((delta_off * region).sum(2)[:, _BONES], (inside * solid)[:, _BONES]),
        "bone": _mean((bones - true_bones).abs().sum(-1)[:, _BONES], solid.expand_as(error_3d)[:, _BONES]),
        "error": _mean(_laplace(distance_2d, out["log_error_2d"]), use_2d)
        + _mean(_laplace(distance_3d, out["log_error_3d"]), solid.expand_as(error_3d)),
        "size": _size_off(out["position"], truth.position, use_2d)
        + _size_off(out["location"], truth.location, solid.expand_as(error_3d)),
        "visible": _mean(
            functional.binary_cross_entropy_with_logits(out["visible"], truth.visible, reduction="none"),
            (inside * solid),
        ),
        "whole": functional.binary_cross_entropy_with_logits(out["whole"][:, 0], truth.present)
        + _mean(
            functional.binary_cross_entropy_with_logits(out["whole"][:, 1], truth.right_side, reduction="none"),
            truth.present,
        ),
    }
    total = torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()
    return total, {name: float(value.detach()) for name, value in terms.items()}


def _size_off(points: Tensor, truth: Tensor, use: Tensor) -> Tensor:
    """How far the sizes of point sets (N, 21, D) are from the true ones, as a share of the usual size.

    The likeliest place of each point that is hard to see is near the middle of the hand; all of them there make a
    hand that is too small, and a hand too small is placed too far away.
    """
    palm = use * use.new_tensor([1.0 if point in PALM else 0.0 for point in range(POINTS)])
    shares = []
    for weight in (use, palm):
        enough = (weight.sum(1) >= len(PALM)).float()
        size = _spread(truth, weight)
        off = (_spread(points, weight) - size).abs()
        shares.append(_mean(off, enough) / _mean(size, enough).clamp(min=_LEAST_SPREAD))
    return shares[0] + shares[1]


def _spread(points: Tensor, weight: Tensor) -> Tensor:
    """(N,) root mean square distance of points (N, 21, D) from their mean, weighted (N, 21)."""
    share = (weight / weight.sum(1, keepdim=True).clamp(min=1.0))[..., None]
    centred = points - (points * share).sum(1, keepdim=True)
    return ((centred**2 * share).sum((1, 2)) + 1e-12).sqrt()


def _laplace(distance: Tensor, log_scale: Tensor) -> Tensor:
    """Negative log-likelihood (up to a constant) of a distance whose expected value is exp(log_scale)."""
    return distance * torch.exp(-log_scale) + log_scale
