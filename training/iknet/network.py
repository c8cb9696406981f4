# SPDX-License-Identifier: GPL-3.0-or-later
"""Seven fully connected layers with batch norm and sigmoid, after Zhou et al. 2020; the last is linear.

Ours besides: the last layer also reads the input. At little noise the turns in it are nearly the
answer, and the layers before need only to say what is wrong with them.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from blender_handmocap.engine.hand.names import JOINT_COUNT
from blender_handmocap.engine.see.iknet import FEATURE_COUNT

LAYERS: Final = 7
_RIDGE: Final = 1e-3


class IKNet(nn.Module):
    """Features of `engine.see.iknet.align` in, raw quaternions out."""

    def __init__(self, width: int = 384) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("mean", torch.zeros(FEATURE_COUNT))
        self.register_buffer("deviation", torch.ones(FEATURE_COUNT))
        stack: list[nn.Module] = []
        inputs = FEATURE_COUNT
        for _ in range(LAYERS - 1):
            stack += [nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width), nn.Sigmoid()]
            inputs = width
        last = nn.Linear(inputs + FEATURE_COUNT, JOINT_COUNT * 4)
        with torch.no_grad():
            last.weight.zero_()
            last.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(JOINT_COUNT))
        self.stack = nn.Sequential(*stack)
        self.last = last

    @torch.no_grad()
    def prepare(self, features: Tensor, rotation: Tensor) -> None:
        """Scale the inputs by a large batch (N, F), and start from the best linear guess of its truth (N, 16, 4)."""
        self.mean.copy_(features.mean(0))
        self.deviation.copy_(features.std(0).clamp(min=1e-2))
        given = (features - self.mean) / self.deviation
        wanted = rotation.reshape(len(rotation), -1)
        normal = given.T @ given + _RIDGE * len(given) * torch.eye(given.shape[1])
        self.last.bias.copy_(wanted.mean(0))
        self.last.weight[:, self.width :] = torch.linalg.solve(normal, given.T @ (wanted - wanted.mean(0))).T

    def forward(self, features: Tensor) -> Tensor:
        """(N, F) -> quaternions w,x,y,z side by side (N, 64), of about unit length."""
        given = (features - self.mean) / self.deviation
        answer: Tensor = self.last(torch.cat([self.stack(given), given], -1))
        return answer


class Folded(nn.Module):
    """A trained IKNet as it ships: the scales of its inputs and its batch norms are in its weights.

    Weights are rounded to halves before the offsets are worked out, so that inputs far from zero that vary little
    (the hand at rest) do not multiply what rounding takes.
    """

    @torch.no_grad()
    def __init__(self, network: IKNet) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        mean, deviation = network.mean, network.deviation
        for linear, norm in zip(network.stack[0::3], network.stack[1::3], strict=True):
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            folded = nn.Linear(linear.in_features, linear.out_features)
            folded.weight.copy_((scale[:, None] * linear.weight / deviation).half().float())
            folded.bias.copy_(norm.bias - scale * norm.running_mean - folded.weight @ mean)
            layers += [folded, nn.Sigmoid()]
            # Only the first layer reads the input.
            mean, deviation = torch.zeros(linear.out_features), torch.ones(linear.out_features)
        self.stack = nn.Sequential(*layers)
        self.last = nn.Linear(network.width, network.last.out_features, bias=False)
        self.beside = nn.Linear(FEATURE_COUNT, network.last.out_features)
        self.last.weight.copy_(network.last.weight[:, : network.width].half().float())
        self.beside.weight.copy_((network.last.weight[:, network.width :] / network.deviation).half().float())
        self.beside.bias.copy_(network.last.bias - self.beside.weight @ network.mean)

    def forward(self, features: Tensor) -> Tensor:
        """As IKNet's."""
        return torch.addmm(self.beside(features), self.stack(features), self.last.weight.T)
