# SPDX-License-Identifier: GPL-3.0-or-later
"""The finder's heads on the palm detector's feature maps, their targets and loss.

For each side a heatmap of hand centres (of the crop the hand network wants), and at each cell where exactly that
centre is, how large the crop and how it is turned. A side has maps of its own, so hands that cover each other do not
suppress each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from blender_handmocap.engine.see.crops import PALM_INPUT, crop_of_hand

from .pictures import ABSENT, HARDLY, THERE, UNKNOWN
from .taps import TAPS

GRID: Final = 24
CELL: Final = PALM_INPUT / GRID
SHAPE: Final = 5
"""of a crop at a cell: shift x, y in cells, log of its side over the input's, cosine and sine of its rotation"""
_RARE: Final = -4.0
"""logit that every cell begins with: most are empty"""
_REACH: Final = 0.16
"""standard deviation of a centre's mark, in sides of its crop"""
_LEAST_REACH: Final = 0.7
_MOST_REACH: Final = 2.0
"""the same in cells, at least and at most"""
_MARKED: Final = 0.4
"""of a mark's peak: cells from which a crop is read"""
_UNSURE: Final = 0.1
_SHAPE_WEIGHT: Final = 1.0


def _conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class Finder(nn.Module):
    """Taps in; for two sides a centre's logit and the crop's shape at each cell out."""

    def __init__(self, channels: int = 48) -> None:
        super().__init__()
        for name, width in TAPS.items():
            self.register_buffer(f"mean_{name}", torch.zeros(width, 1, 1))
            self.register_buffer(f"std_{name}", torch.ones(width, 1, 1))
        self.lateral = nn.ModuleDict({name: nn.Conv2d(width, channels, 1) for name, width in TAPS.items()})
        self.context = nn.Sequential(_conv(channels, channels), _conv(channels, channels), _conv(channels, channels))
        self.merge = nn.Sequential(nn.ReLU(), _conv(channels, channels), _conv(channels, channels, 1))
        self.centre = nn.Conv2d(channels, 2, 1)
        self.shape = nn.Conv2d(channels, 2 * SHAPE, 1)
        nn.init.constant_(self.centre.bias, _RARE)

    def set_statistics(self, taps: dict[str, Tensor]) -> None:
        """Normalise by the mean and deviation of some rows' taps."""
        for name, values in taps.items():
            getattr(self, f"mean_{name}").copy_(values.mean((0, 2, 3))[:, None, None])
            getattr(self, f"std_{name}").copy_(values.std((0, 2, 3))[:, None, None] + 1e-3)

    def forward(self, trunk_24: Tensor, features_24: Tensor, features_12: Tensor) -> tuple[Tensor, Tensor]:
        """-> (N, 2, 24, 24) logits; (N, 2, SHAPE, 24, 24)"""
        level = {
            name: self.lateral[name]((values - getattr(self, f"mean_{name}")) / getattr(self, f"std_{name}"))
            for name, values in (("trunk_24", trunk_24), ("features_24", features_24), ("features_12", features_12))
        }
        around = level["features_12"] + functional.avg_pool2d(level["trunk_24"], 2)
        around = functional.interpolate(self.context(around), scale_factor=2, mode="bilinear", align_corners=False)
        x = self.merge(level["trunk_24"] + level["features_24"] + around)
        return self.centre(x), self.shape(x).reshape(len(x), 2, SHAPE, GRID, GRID)


@dataclass(frozen=True)
class Targets:
    """What is true of some rows; B rows, two sides."""

    centre: Tensor
    """(B, 2, 24, 24) marks, 1 at a centre's cell"""
    counts: Tensor
    """(B, 2, 24, 24) 0 where nothing is known"""
    shape: Tensor
    """(B, 2, SHAPE, 24, 24)"""
    shape_weight: Tensor
    """(B, 2, 24, 24)"""


def mirrored(points: NDArray[np.float32], present: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Labels (2, 21, 2), (2,) of the mirrored picture."""
    other = points[::-1].copy()
    other[..., 0] = PALM_INPUT - 1 - other[..., 0]
    return other, present[::-1].copy()


def targets_of(points: NDArray[np.float32], present: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
    """The four arrays of `Targets` for one row: points (2, 21, 2), present (2,)."""
    row, column = np.mgrid[:GRID, :GRID].astype(np.float32)
    centre, counts = np.zeros((2, GRID, GRID), np.float32), np.ones((2, GRID, GRID), np.float32)
    shape, weight = np.zeros((2, SHAPE, GRID, GRID), np.float32), np.zeros((2, GRID, GRID), np.float32)
    marks = {}
    for side in np.flatnonzero((present == THERE) | (present == HARDLY)):
        x, y, size, _, turn = crop_of_hand(points[side].astype(np.float64))
        # Centres outside of the picture are looked for at its edge.
        u, v = np.clip([(x + 0.5) / CELL - 0.5, (y + 0.5) / CELL - 0.5], 0.0, GRID - 1.0)
        reach = float(np.clip(_REACH * size / CELL, _LEAST_REACH, _MOST_REACH))
        mark = np.exp(-((column - round(u)) ** 2 + (row - round(v)) ** 2) / (2 * reach**2))
        marks[side] = mark
        if present[side] == HARDLY:
            counts[side] *= mark < _UNSURE
            continue
        centre[side] = mark
        exact_u, exact_v = (x + 0.5) / CELL - 0.5, (y + 0.5) / CELL - 0.5
        shape[side] = np.stack(
            [
                exact_u - column, exact_v - row, np.full_like(row, np.log(size / PALM_INPUT)),
                np.full_like(row, np.cos(turn)), np.full_like(row, np.sin(turn)),
            ]
        )  # fmt: skip
        weight[side] = mark * (mark >= _MARKED)
    for side in np.flatnonzero(present == UNKNOWN):
        # All that is known is that it is not where the other one is.
        counts[side] = marks.get(1 - side, np.zeros_like(row)) >= _UNSURE
    if (present == ABSENT).all():
        counts[:] = 1.0
    return centre, counts, shape, weight


def loss(centre: Tensor, shape: Tensor, truth: Targets) -> tuple[Tensor, float, float]:
    """Focal loss of the centres and the error of the crops at them, per hand; their sum and both."""
    chance = torch.sigmoid(centre)
    peak = (truth.centre > 0.999).float() * truth.counts
    hit = peak * (1 - chance) ** 2 * functional.logsigmoid(centre)
    miss = (1 - peak) * truth.counts * (1 - truth.centre) ** 4 * chance**2 * functional.logsigmoid(-centre)
    hands = peak.sum().clamp(min=1.0)
    found = -(hit.sum() + miss.sum()) / hands
    off = functional.smooth_l1_loss(shape, truth.shape, reduction="none", beta=0.1)
    scale = shape.new_tensor([0.3, 0.3, 1.0, 1.0, 1.0])[:, None, None]
    placed = (off * scale).sum(2) * truth.shape_weight
    laid = placed.sum() / truth.shape_weight.sum().clamp(min=1.0)
    return found + _SHAPE_WEIGHT * laid, float(found.detach()), float(laid.detach())
