# SPDX-License-Identifier: GPL-3.0-or-later
"""MediaPipe's hand network in torch, with its exact weights, cut where our heads tap it.

Input is RGB (N, 3, 224, 224) with values 0..255: the converted network holds the 1/255 in its first weights.
TensorFlow pads even sizes at stride 2 on the far side only; symmetric padding would give other numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.onnx_file import constants


class BlockSpec(NamedTuple):
    """One inverted bottleneck."""

    kernel: int
    stride: int
    expanded: int
    out: int
    residual: bool


BLOCKS: Final = tuple(
    BlockSpec(*spec)
    for spec in (
        (3, 2, 64, 24, False), (3, 1, 144, 24, True),
        (5, 2, 144, 40, False), (5, 1, 240, 40, True),
        (3, 2, 240, 80, False), (3, 1, 480, 80, True), (3, 1, 480, 80, True),
        (5, 1, 480, 112, False), (5, 1, 672, 112, True), (5, 1, 672, 112, True),
        (5, 2, 672, 192, False), (5, 1, 1152, 192, True), (5, 1, 1152, 192, True), (5, 1, 1152, 192, True),
    )
)  # fmt: skip
"""The blocks up to the last tap; what follows only feeds MediaPipe's own outputs."""

LOW_BLOCKS: Final = slice(0, 4)
"""picture to features_28"""
MIDDLE_BLOCKS: Final = slice(4, 10)
"""features_28 to features_14"""
TAIL_BLOCKS: Final = slice(10, 14)
"""features_14 to features_7"""

UPPER_BLOCKS: Final = slice(MIDDLE_BLOCKS.start, TAIL_BLOCKS.stop)
"""features_28 to both others"""

OWN_BLOCKS: Final = slice(10, 12)
"""what DetNet may have a tuned copy of: all of the tail would cost half as much as the trunk"""

TAPS: Final = {"features_28": 40, "features_14": 112, "features_7": 192}
"""Channels of each tap."""

TAP_SHAPES: Final = {"features_28": (40, 28, 28), "features_14": (112, 14, 14), "features_7": (192, 7, 7)}


class SamePadConv(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding for even inputs."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding=kernel // 2 if stride == 1 else 0, groups=groups)
        before = (kernel - 2) // 2
        self.far_padding = (before, kernel - 2 - before) * 2 if stride == 2 else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H / stride, W / stride)"""
        if self.far_padding is not None:
            x = functional.pad(x, self.far_padding)
        return super().forward(x)


class Bottleneck(nn.Module):
    """Expand, filter each channel, project back."""

    def __init__(self, inputs: int, spec: BlockSpec) -> None:
        super().__init__()
        self.residual = spec.residual
        self.expand = SamePadConv(inputs, spec.expanded, 1)
        self.depthwise = SamePadConv(spec.expanded, spec.expanded, spec.kernel, spec.stride, spec.expanded)
        self.project = SamePadConv(spec.expanded, spec.out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H / stride, W / stride)"""
        y = self.project(functional.relu6(self.depthwise(functional.relu6(self.expand(x)))))
        return x + y if self.residual else y


class Trunk(nn.Module):
    """The part of the network that our heads share or tune."""

    def __init__(self) -> None:
        super().__init__()
        self.widths = TAPS
        self.stem = SamePadConv(3, 24, 3, 2)
        self.stem_depthwise = SamePadConv(24, 24, 3, 1, 24)
        self.stem_project = SamePadConv(24, 16, 1)
        inputs = [16, *(spec.out for spec in BLOCKS[:-1])]
        self.blocks = nn.ModuleList(Bottleneck(i, spec) for i, spec in zip(inputs, BLOCKS, strict=True))

    def low(self, picture: Tensor) -> Tensor:
        """RGB 0..255 (N, 3, 224, 224) -> features_28"""
        x = self.stem_project(functional.relu6(self.stem_depthwise(functional.relu6(self.stem(picture)))))
        return self._through(LOW_BLOCKS, x)

    def middle(self, features_28: Tensor) -> Tensor:
        """features_28 -> features_14"""
        return self._through(MIDDLE_BLOCKS, features_28)

    def tail(self, features_14: Tensor) -> Tensor:
        """features_14 -> features_7"""
        return self._through(TAIL_BLOCKS, features_14)

    def upper(self) -> Upper:
        """The very blocks that make features_14 and features_7 of features_28."""
        made = Upper()
        made.load_state_dict(nn.ModuleList(self.blocks[UPPER_BLOCKS]).state_dict(prefix="blocks."))
        return made

    def _through(self, part: slice, x: Tensor) -> Tensor:
        for block in self.blocks[part]:
            x = block(x)
        return x

    def load_mediapipe(self, path: Path) -> Trunk:
        """Take the weights out of the converted network, whose convolutions stand in this order."""
        graph = onnx.load(str(path)).graph
        arrays = constants(graph)
        sources = [node for node in graph.node if node.op_type == "Conv"]
        modules = [self.stem, self.stem_depthwise, self.stem_project]
        for block in self.blocks:
            modules += [block.expand, block.depthwise, block.project]
        for node, module in zip(sources, modules, strict=False):
            weight, bias = (torch.from_numpy(np.array(arrays[name], np.float32)) for name in node.input[1:3])
            if weight.shape != module.weight.shape:
                raise ValueError(f"{path.name} is not the network this trunk was written for: {node.name} differs.")
            module.weight.data.copy_(weight)
            module.bias.data.copy_(bias)
        return self


class Upper(nn.Module):
    """A copy of the trunk from features_28 on, to be tuned for another crop than a single hand's."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_fresh(UPPER_BLOCKS, TAPS["features_28"]))

    def forward(self, features_28: Tensor) -> dict[str, Tensor]:
        """All three taps."""
        taps = {"features_28": features_28}
        # Convolutions of single channels are half as dear in this layout.
        x = features_28.contiguous(memory_format=torch.channels_last)
        for number, block in enumerate(self.blocks, UPPER_BLOCKS.start):
            x = block(x)
            if number + 1 == MIDDLE_BLOCKS.stop:
                taps["features_14"] = x
        return {**taps, "features_7": x}


def own_blocks() -> list[Bottleneck]:
    """The blocks that DetNet may tune a copy of, fresh."""
    return _fresh(OWN_BLOCKS, TAPS["features_14"])


def _fresh(blocks: slice, inputs: int) -> list[Bottleneck]:
    specs = BLOCKS[blocks]
    return [Bottleneck(i, spec) for i, spec in zip([inputs, *(spec.out for spec in specs[:-1])], specs, strict=True)]
