# SPDX-License-Identifier: GPL-3.0-or-later
"""The published trunk: ResNet-50 (He et al. 2016), cut where our heads tap it.

Parameters have the names that torchvision gives them. It is trained from nothing here: no weights with a licence
that lets them ship are known to us.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

_EXPANSION: Final = 4
_STAGES: Final = (3, 4, 6, 3)
_WIDTH: Final = 64
_MEAN: Final = (123.675, 116.28, 103.53)
_DEVIATION: Final = (58.395, 57.12, 57.375)
"""of photographs, RGB 0..255"""


class Block(nn.Module):
    """One bottleneck with a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * _EXPANSION
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        # A block that begins as the identity lets gradients reach the first ones.
        nn.init.zeros_(self.bn3.weight)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H / stride, W / stride)"""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        return functional.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class ResNet(nn.Module):
    """A trunk with the same three steps as MediaPipe's: to 28, to 14 and to 7 cells."""

    def __init__(self, stages: Sequence[int] = _STAGES, width: int = _WIDTH) -> None:
        """Blocks of the four stages, and channels of the first; as given: ResNet-50."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        layers, inputs = [], width
        for number, blocks in enumerate(stages):
            own = width * 2**number
            strides = [1 if number == 0 else 2] + [1] * (blocks - 1)
            layers.append(nn.Sequential(*self._chain(inputs, own, strides)))
            inputs = own * _EXPANSION
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.widths: Mapping[str, int] = {
            name: width * 2**number * _EXPANSION
            for number, name in enumerate(("features_28", "features_14", "features_7"), start=1)
        }
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION)[:, None, None], persistent=False)

    @staticmethod
    def _chain(inputs: int, width: int, strides: Sequence[int]) -> list[Block]:
        return [Block(inputs if k == 0 else width * _EXPANSION, width, stride) for k, stride in enumerate(strides)]

    def low(self, picture: Tensor) -> Tensor:
        """RGB 0..255 (N, 3, 224, 224) -> features_28"""
        x = functional.relu(self.bn1(self.conv1((picture - self.mean) / self.deviation)))
        x = functional.max_pool2d(x, 3, 2, padding=1)
        return self.layer2(self.layer1(x))

    def middle(self, features_28: Tensor) -> Tensor:
        """features_28 -> features_14"""
        return self.layer3(features_28)

    def tail(self, features_14: Tensor) -> Tensor:
        """features_14 -> features_7"""
        return self.layer4(features_14)
