# SPDX-License-Identifier: GPL-3.0-or-later
"""Heads on the trunk's taps of a hand's own crop that say where both hands are.

Hands are in the order of SIDES, as the crop shows them; the crop's own hand is always shown as a
right one. The grid is half as fine as DetNet's: what counts here is how the hands stand to each
other, and where the points are DetNet says better. Depth is relative to the right wrist, or to the
left one where there is no right hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from blender_handmocap.engine.hand.names import CONTACT_PARTS, SIDES, TIP_KEYPOINTS
from training.detnet.trunk import TAPS

GRID: Final = 14
CROP: Final = 224
HANDS: Final = len(SIDES)
POINTS: Final = 21
PARTS: Final = len(CONTACT_PARTS)
_READ: Final = 12
"""features a contact part is described by"""
_PALM_POINT: Final = 9
_CONTACT_POINTS: Final = (*TIP_KEYPOINTS, _PALM_POINT)


def _conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class PairHeads(nn.Module):
    """Taps in; positions, depths, the vector between the wrists, contact."""

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        self.channels = channels
        for name, width in TAPS.items():
            self.register_buffer(f"mean_{name}", torch.zeros(width, 1, 1))
            self.register_buffer(f"std_{name}", torch.ones(width, 1, 1))
        self.lateral = nn.ModuleDict({name: nn.Conv2d(width, channels, 1) for name, width in TAPS.items()})
        self.merge_7, self.merge_14, self.last = (_conv(channels, channels) for _ in range(3))
        self.heat = nn.Conv2d(channels, HANDS * POINTS, 1)
        self.sharpness = nn.Parameter(torch.ones(1))
        self.joint = nn.Conv2d(channels, HANDS * POINTS * 2, 1)
        """a point's depth and the logarithm of its error in the picture"""
        self.touch = nn.Conv2d(channels, HANDS * PARTS * _READ, 1)
        described = HANDS * PARTS * _READ + HANDS * POINTS * 3 + TAPS["features_7"] + channels
        self.whole = nn.Sequential(
            nn.Linear(described, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU()
        )
        self.vector = nn.Linear(128, 6)
        """left wrist minus right wrist in palm lengths, and the logarithms of its errors"""
        self.states = nn.Linear(128, HANDS + 1)
        """logits: each hand is there; the left one is nearer"""
        self.contact = nn.Linear(128, PARTS * PARTS)
        self.register_buffer("cells", (torch.arange(GRID) + 0.5) / GRID)

    def set_statistics(self, statistics: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        """Mean and deviation (C,) of each tap over training data."""
        for name, (mean, std) in statistics.items():
            getattr(self, f"mean_{name}").copy_(mean[:, None, None])
            getattr(self, f"std_{name}").copy_(std[:, None, None])

    def forward(self, features_28: Tensor, features_14: Tensor, features_7: Tensor) -> dict[str, Tensor]:
        """Positions (N, 2, 21, 2) in crop shares 0..1, depths (N, 2, 21) in palm lengths, and the rest."""
        taps = {"features_28": features_28, "features_14": features_14, "features_7": features_7}
        scaled = {
            name: (tap - getattr(self, f"mean_{name}")) / getattr(self, f"std_{name}") for name, tap in taps.items()
        }
        level = {name: self.lateral[name](tap) for name, tap in scaled.items()}
        x = _grown(self.merge_7(level["features_7"]))
        x = self.last(self.merge_14(level["features_14"] + functional.avg_pool2d(level["features_28"], 2) + x))
        logits = self.heat(x) * self.sharpness
        chance = torch.softmax(logits.flatten(2), -1).reshape(-1, HANDS, POINTS, GRID * GRID)
        maps = chance.reshape(-1, HANDS, POINTS, GRID, GRID)
        across, down = (maps.sum(3) * self.cells).sum(-1), (maps.sum(4) * self.cells).sum(-1)
        position = torch.stack([across, down], -1)
        joint = self.joint(x).reshape(-1, HANDS, POINTS, 2, GRID * GRID)
        joint = (joint * chance[..., None, :]).sum(-1)
        touch = self.touch(x).reshape(-1, HANDS, PARTS, _READ, GRID * GRID)
        touch = (touch * chance[:, :, list(_CONTACT_POINTS), None]).sum(-1)
        described = [
            touch.flatten(1), position.flatten(1), joint[..., 0].flatten(1),
            scaled["features_7"].mean((2, 3)), x.mean((2, 3)),
        ]  # fmt: skip
        whole = self.whole(torch.cat(described, 1))
        vector, states = self.vector(whole), self.states(whole)
        return {
            "logits": logits,
            "position": position,
            "depth": joint[..., 0],
            "log_error": joint[..., 1],
            "vector": vector[:, :3],
            "log_sigma": vector[:, 3:],
            "present": states[:, :HANDS],
            "left_nearer": states[:, HANDS],
            "contact": self.contact(whole).reshape(-1, PARTS, PARTS),
        }


def _grown(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class PairNet(nn.Module):
    """What ships: taps in, readings in the engine's units out."""

    def __init__(self, heads: PairHeads) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, features_28: Tensor, features_14: Tensor, features_7: Tensor) -> tuple[Tensor, ...]:
        """-> points (N, 2, 21, 2) crop pixels, error (N, 2, 21) crop pixels, depth (N, 2, 21) palm lengths,
        vector (N, 3) and sigma (N, 3) palm lengths, state (N, 3) and contact (N, 6, 6) probabilities"""
        out = self.heads(features_28, features_14, features_7)
        return (
            # Integer pixels are centres, so the crop's left edge lies at -0.5.
            out["position"] * CROP - 0.5,
            torch.exp(out["log_error"]) * CROP,
            out["depth"],
            out["vector"],
            torch.exp(out["log_sigma"]),
            torch.sigmoid(torch.cat([out["present"], out["left_nearer"][:, None]], 1)),
            torch.sigmoid(out["contact"]),
        )
