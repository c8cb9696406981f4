# SPDX-License-Identifier: GPL-3.0-or-later
"""DetNet's heads on the trunk's taps, after Zhou et al. 2020, and the whole network for export.

As published: shared features, a 2D detector (21 heatmaps), a 3D detector (delta maps with bone
directions, then location maps relative to the middle knuckle in units of wrist to knuckle),
read at the heatmaps. Ours besides: a soft reading, each joint's expected error and visibility,
and whether the crop shows a hand of the side it was cut for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from .trunk import TAPS, own_blocks

GRID = 28
POINTS = 21
CROP = 224
_READ_FROM: Final = 0.1
"""of a heatmap's peak: weaker cells are another guess, or none, and would only pull the reading to the middle"""


def _conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class Heads(nn.Module):
    """Taps in, maps and readings out."""

    def __init__(self, channels: int = 64, *, own: bool = False, widths: Mapping[str, int] = TAPS) -> None:
        """`own`: with a copy of the trunk's first blocks after features_14, to be tuned beside the shared ones.

        `widths`: channels of the taps, for another trunk than the shared one.
        """
        super().__init__()
        self.channels = channels
        for name, width in widths.items():
            self.register_buffer(f"mean_{name}", torch.zeros(width, 1, 1))
            self.register_buffer(f"std_{name}", torch.ones(width, 1, 1))
        self.lateral = nn.ModuleDict({name: nn.Conv2d(width, channels, 1) for name, width in widths.items()})
        self.own = nn.Sequential(*own_blocks()) if own else None
        if own:
            # From zero, so that heads trained without it go on where they were.
            self.lateral_own = nn.Conv2d(TAPS["features_7"], channels, 1, bias=False)
            nn.init.zeros_(self.lateral_own.weight)
        self.merge_7, self.merge_14, self.merge_28 = (_conv(channels, channels) for _ in range(3))
        self.heat = nn.Conv2d(channels, POINTS, 1)
        self.sharpness = nn.Parameter(torch.ones(1))
        self.shared_3d = _conv(channels + POINTS, channels)
        self.delta = nn.Conv2d(channels, POINTS * 3, 1)
        self.location = nn.Sequential(
            nn.Conv2d(channels + POINTS * 3, channels, 1), nn.ReLU(), nn.Conv2d(channels, POINTS * 3, 1)
        )
        self.joint = nn.Conv2d(channels, POINTS * 3, 1)
        """a joint's log error in the picture, log error in depth units, visibility"""
        self.whole = nn.Sequential(nn.Linear(widths["features_7"] + channels, 64), nn.ReLU(), nn.Linear(64, 2))
        """logits: shows a hand; that hand is of the side the crop was cut for"""
        cells = (torch.arange(GRID) + 0.5) / GRID
        self.register_buffer("cells", cells)

    def set_statistics(self, statistics: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        """Mean and deviation (C,) of each tap over training data."""
        for name, (mean, std) in statistics.items():
            getattr(self, f"mean_{name}").copy_(mean[:, None, None])
            getattr(self, f"std_{name}").copy_(std[:, None, None])

    def forward(self, features_28: Tensor, features_14: Tensor, features_7: Tensor) -> dict[str, Tensor]:
        """Maps (N, 21, 3, H * W) and readings; positions in crop shares 0..1, locations in palm units."""
        taps = {"features_28": features_28, "features_14": features_14, "features_7": features_7}
        level = {
            name: self.lateral[name]((tap - getattr(self, f"mean_{name}")) / getattr(self, f"std_{name}"))
            for name, tap in taps.items()
        }
        deep = level["features_7"]
        if self.own is not None:
            deep = deep + self.lateral_own((self.own(features_14) - self.mean_features_7) / self.std_features_7)
        x = self.merge_7(deep)
        x = self.merge_14(level["features_14"] + _grown(x, 2))
        x = self.merge_28(level["features_28"] + _grown(x, 2))
        logits = self.heat(x) * self.sharpness
        spread = torch.softmax(logits.flatten(2), -1)
        chance = _around_peak(spread)
        maps = chance.reshape(-1, POINTS, GRID, GRID)
        y = self.shared_3d(torch.cat([x, spread.reshape(-1, POINTS, GRID, GRID) * GRID], 1))
        delta = self.delta(y)
        location = self.location(torch.cat([y, delta], 1))
        across, down = (maps.sum(2) * self.cells).sum(-1), (maps.sum(3) * self.cells).sum(-1)
        location_map = _by_point(location)
        joint = _read(_by_point(self.joint(y)), chance)
        pooled = torch.cat([features_7.mean((2, 3)), x.mean((2, 3))], 1)
        return {
            "logits": logits,
            "position": torch.stack([across, down], -1),
            "delta_map": _by_point(delta),
            "location_map": location_map,
            "location": _read(location_map, chance),
            "log_error_2d": joint[..., 0],
            "log_error_3d": joint[..., 1],
            "visible": joint[..., 2],
            "whole": self.whole(pooled),
        }


def _grown(x: Tensor, factor: int) -> Tensor:
    return functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def _around_peak(chance: Tensor) -> Tensor:
    """Chances (N, 21, H * W) of sum 1 with those far below their peak left out."""
    near = chance * (chance >= _READ_FROM * chance.amax(-1, keepdim=True)).to(chance.dtype)
    return near / near.sum(-1, keepdim=True)


def _by_point(maps: Tensor) -> Tensor:
    """(N, 63, H, W) -> (N, 21, 3, H * W)"""
    return maps.reshape(-1, POINTS, 3, GRID * GRID)


def _read(maps: Tensor, chance: Tensor) -> Tensor:
    """Maps (N, 21, 3, H * W) read where each joint is likely: (N, 21, 3)."""
    return (maps @ chance[..., None]).squeeze(-1)


class DetNet(nn.Module):
    """What ships: taps of the untouched trunk in, readings in the engine's units out."""

    def __init__(self, heads: Heads) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, features_28: Tensor, features_14: Tensor, features_7: Tensor) -> tuple[Tensor, ...]:
        """What `readings` gives."""
        return readings(self.heads(features_28, features_14, features_7))


class Whole(nn.Module):
    """A network from the picture on, with a trunk that is trained, too; MediaPipe's heads get nothing from it."""

    def __init__(self, trunk: nn.Module, heads: Heads) -> None:
        super().__init__()
        self.trunk, self.heads = trunk, heads

    def taps(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """RGB bytes (N, 224, 224, 3) -> features_28, features_14, features_7."""
        low = self.trunk.low(picture.permute(0, 3, 1, 2).float())
        middle = self.trunk.middle(low)
        return low, middle, self.trunk.tail(middle)

    def forward(self, picture: Tensor) -> tuple[Tensor, ...]:
        """What `readings` gives, of RGB bytes (N, 224, 224, 3)."""
        return readings(self.heads(*self.taps(picture)))


def readings(out: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """-> points (N, 21, 2) crop pixels, location (N, 21, 3) palm units relative to the middle knuckle,
    error_2d (N, 21) crop pixels, error_3d (N, 21) palm units, visibility (N, 21), hand (N, 2)"""
    return (
        # Integer pixels are centres, so the crop's left edge lies at -0.5.
        out["position"] * CROP - 0.5,
        out["location"],
        torch.exp(out["log_error_2d"]) * CROP,
        torch.exp(out["log_error_3d"]),
        torch.sigmoid(out["visible"]),
        torch.sigmoid(out["whole"]),
    )
