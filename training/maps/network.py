# SPDX-License-Identifier: GPL-3.0-or-later
"""The maps of a crop around both hands, after Wang et al. 2020, on the taps of MediaPipe's hand trunk.

Two stages, each a U of which the trunk is the way down: what each cell belongs to (nothing, left, right); then, from
the picture and that answer, the code of the surface (three numbers), depth within the hand and between the hands, and
a heatmap of each of the 42 points, true under occlusion. Ours besides: what is known of the hands before goes in as
maps of their fingers, since two hands that overlap look alike, and codes and heatmaps are said as what must be added
to those of the known points.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

FINE: Final = "features_56"
TAPS: Final = {FINE: 24, "features_28": 40, "features_14": 112, "features_7": 192}
"""channels of each tap of the trunk"""
GRID: Final = 56
"""cells a side of the maps"""
COARSE: Final = 28
"""... and of the heatmaps"""
HANDS: Final = 2
POINTS: Final = 21
CLASSES: Final = 3
"""no hand, left, right"""
RADIUS: Final = 0.07
"""of a point in its heatmap, in sides of the crop"""
_CHAINS: Final = ((0, 5, 9, 13, 17), (1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))
"""points that are shown to the network on one map"""
_KNOWN_WIDTH: Final = 0.03
"""of a known point on its map, in sides of the crop"""
_TRUST: Final = 0.5
"""height of the bells of known points that the network starts from"""
_NARROW, _WIDE = 24, 32
_HANDED_UP: Final = 20
"""maps that go on from 28 to 56 cells"""
_COARSE_WIDTH, _MIDDLE_WIDTH, _DEEP_WIDTH = 48, 64, 64


def heatmaps(points: Tensor, size: int, width: float) -> Tensor:
    """(..., size, size) bells of height 1 about points (..., 2), given as shares of the crop."""
    cells = (torch.arange(size, dtype=points.dtype, device=points.device) + 0.5) / size
    across = torch.exp(-0.5 * ((cells - points[..., :1]) / width) ** 2)
    down = torch.exp(-0.5 * ((cells - points[..., 1:]) / width) ** 2)
    return down[..., :, None] * across[..., None, :]


def known_maps(points: Tensor, known: Tensor) -> Tensor:
    """(N, 12, 28, 28) what is known of both hands: points (N, 2, 21, 2) crop shares, known (N, 2)."""
    bells = heatmaps(points, COARSE, _KNOWN_WIDTH) * known[:, :, None, None, None]
    chains = [bells[:, :, list(chain)].amax(2) for chain in _CHAINS]
    return torch.stack(chains, 2).flatten(1, 2)


def known_code(points: Tensor, known: Tensor, codes: Tensor, classes: Tensor) -> Tensor:
    """(N, 3, 56, 56) the code of the nearest known point of the hand that each cell shows.

    points (N, 2, 21, 2) crop shares, known (N, 2), codes (21, 3) of the points, classes (N, 3, 56, 56) of sum 1; the
    mean of all points where nothing is known.
    """
    cells = (torch.arange(COARSE, dtype=points.dtype) + 0.5) / COARSE
    across = ((cells - points[..., :1]) / _KNOWN_WIDTH) ** 2
    down = ((cells - points[..., 1:]) / _KNOWN_WIDTH) ** 2
    near = -0.5 * (down[..., :, None] + across[..., None, :]) * known[:, :, None, None, None]
    share = torch.softmax(near, 2)
    code = torch.einsum("nhpyx,pc->nhcyx", share, codes).flatten(1, 2)
    left, right = _grown(code).unflatten(1, (HANDS, 3)).unbind(1)
    toward = classes[:, 1:2] / classes[:, 1:].sum(1, keepdim=True).clamp(min=1e-6)
    return left * toward + right * (1.0 - toward)


def _conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.InstanceNorm2d(outputs, affine=True),
        nn.ReLU(),
    )


def _grown(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class _Rise(nn.Module):
    """The way up of a U: from 7 to 28 cells, with `more` maps joined at 28."""

    def __init__(self, more: int) -> None:
        super().__init__()
        self.deep = nn.Conv2d(TAPS["features_7"], _DEEP_WIDTH, 1)
        self.middle_in = nn.Conv2d(TAPS["features_14"], _MIDDLE_WIDTH, 1)
        self.middle = _conv(_DEEP_WIDTH + _MIDDLE_WIDTH + more, _MIDDLE_WIDTH)
        self.coarse = _conv(_MIDDLE_WIDTH + TAPS["features_28"] + more, _COARSE_WIDTH)
        self.up = nn.Conv2d(_COARSE_WIDTH, _HANDED_UP, 1)

    def forward(self, taps: Mapping[str, Tensor], more: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (N, 48, 28, 28), and what of them goes on to 56 cells (N, 20, 56, 56)."""
        deep = _grown(self.deep(taps["features_7"]))
        less = functional.avg_pool2d(more, 2)
        middle = self.middle(torch.cat([deep, self.middle_in(taps["features_14"]), less], 1))
        coarse = self.coarse(torch.cat([_grown(middle), taps["features_28"], more], 1))
        return coarse, _grown(self.up(coarse))


class MapHeads(nn.Module):
    """Taps and what is known of the hands in, maps out."""

    def __init__(self) -> None:
        super().__init__()
        for name, width in TAPS.items():
            self.register_buffer(f"mean_{name}", torch.zeros(width, 1, 1))
            self.register_buffer(f"std_{name}", torch.ones(width, 1, 1))
        self.register_buffer("point_codes", torch.zeros(POINTS, 3))
        known = HANDS * len(_CHAINS)
        self.first = _Rise(known)
        self.first_fine = _conv(_HANDED_UP + TAPS[FINE], _NARROW)
        self.classes = nn.Conv2d(_NARROW, CLASSES, 1)
        self.hint = nn.Conv2d(_COARSE_WIDTH, _HANDED_UP, 1)
        self.second = _Rise(known + CLASSES + _HANDED_UP)
        self.heat = nn.Conv2d(_COARSE_WIDTH, HANDS * POINTS, 1)
        self.second_fine = nn.Sequential(
            _conv(_HANDED_UP + TAPS[FINE] + CLASSES, _WIDE),
            nn.Conv2d(_WIDE, _WIDE, 3, padding=1, groups=_WIDE),
            nn.Conv2d(_WIDE, _WIDE, 1),
            nn.ReLU(),
        )
        self.code = nn.Conv2d(_WIDE, 3, 1)
        self.depth = nn.Conv2d(_WIDE, 2, 1)

    def set_statistics(self, statistics: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        """Mean and deviation (C,) of each tap over training data."""
        for name, (mean, std) in statistics.items():
            getattr(self, f"mean_{name}").copy_(mean[:, None, None])
            getattr(self, f"std_{name}").copy_(std[:, None, None])

    def forward(self, taps: Mapping[str, Tensor], points: Tensor, known: Tensor) -> dict[str, Tensor]:
        """Maps (N, C, 56, 56): class logits, code, depth within and between; heat (N, 2, 21, 28, 28)."""
        level = {
            name: (tap - getattr(self, f"mean_{name}")) / getattr(self, f"std_{name}") for name, tap in taps.items()
        }
        told = known_maps(points, known)
        first, up = self.first(level, told)
        logits = self.classes(self.first_fine(torch.cat([up, level[FINE]], 1)))
        # What the second stage is told of the first is its answer; it does not teach the first by it.
        answer = torch.softmax(logits, 1).detach()
        coarse, up = self.second(level, torch.cat([told, functional.avg_pool2d(answer, 2), self.hint(first)], 1))
        fine = self.second_fine(torch.cat([up, level[FINE], answer], 1))
        depth = self.depth(fine)
        bells = heatmaps(points, COARSE, RADIUS / 2) * known[:, :, None, None, None]
        return {
            "logits": logits,
            "code": self.code(fine) + known_code(points, known, self.point_codes, answer),
            "within": depth[:, 0],
            "between": depth[:, 1],
            "heat": self.heat(coarse).unflatten(1, (HANDS, POINTS)) + _TRUST * bells,
        }


INPUTS: Final = (*TAPS, "points_seen", "known")
OUTPUTS: Final = ("classes", "code", "within", "between", "heat")


class MapsNet(nn.Module):
    """What ships: taps of the untouched trunk and what is known in, maps out."""

    def __init__(self, heads: MapHeads) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, *given: Any) -> tuple[Tensor, ...]:
        """Inputs in the order of INPUTS -> classes (N, 3, 56, 56) of sum 1, code (N, 3, 56, 56), within and between
        (N, 56, 56) palm lengths, heat (N, 2, 21, 28, 28)"""
        taps = dict(zip(TAPS, given, strict=False))
        out = self.heads(taps, *given[len(TAPS) :])
        return torch.softmax(out["logits"], 1), out["code"], out["within"], out["between"], out["heat"]
