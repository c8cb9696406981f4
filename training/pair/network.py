# SPDX-License-Identifier: GPL-3.0-or-later
"""A few fully connected layers from `engine.see.pair.align`'s features to how two hands stand to each other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from blender_handmocap.engine.see.pair import FEATURE_COUNT, PARTS


class Between(nn.Module):
    """Features in; shift of the vector between the wrists, logarithms of its errors, logits of contact out."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("mean", torch.zeros(FEATURE_COUNT))
        self.register_buffer("deviation", torch.ones(FEATURE_COUNT))
        stack: list[nn.Module] = []
        inputs = FEATURE_COUNT
        for _ in range(4):
            stack += [nn.Linear(inputs, width), nn.LayerNorm(width), nn.SiLU()]
            inputs = width
        self.stack = nn.Sequential(*stack)
        self.last = nn.Linear(width, 3 + 3 + PARTS * PARTS)
        with torch.no_grad():
            self.last.weight *= 0.1
            self.last.bias[:3] = 0.0
            self.last.bias[3:6] = -1.5
            self.last.bias[6:] = -3.0

    def prepare(self, features: Tensor) -> None:
        """Scale the inputs by a large batch (N, F)."""
        self.mean.copy_(features.mean(0))
        self.deviation.copy_(features.std(0).clamp(min=1e-2))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, F) -> (N, 3) palm lengths, (N, 3), (N, 6, 6)"""
        out = self.last(self.stack((features - self.mean) / self.deviation))
        return out[:, :3], out[:, 3:6], out[:, 6:].reshape(-1, PARTS, PARTS)


class Shipped(nn.Module):
    """What ships: errors in palm lengths, contact as probabilities."""

    def __init__(self, network: Between) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, F) -> shift (N, 3), expected error (N, 3), contact (N, 6, 6)"""
        shift, log_error, contact = self.network(features)
        return shift, torch.exp(log_error), torch.sigmoid(contact)
