# SPDX-License-Identifier: GPL-3.0-or-later
"""A network that looks at both hands at once: what was seen of each, and the picture where it was seen.

Every point of both hands is a token: where it was seen and how surely, the form it was seen in, and the trunk's taps
around it in a crop that holds both hands. The cells of the crop are tokens, too: a hand that nobody saw is somewhere
in them. All look at each other, and the points say where each really is, how deep
it lies in one frame, how the wrists stand to each other, which parts touch, and whether the hands are there at all.
Hands are in the order of SIDES; lengths are palm lengths (wrist to middle knuckle), axes those of a camera that looks
along the crop's own ray.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from blender_handmocap.engine.hand.names import CONTACT_PARTS, KEYPOINT_COUNT, SIDES, TIP_KEYPOINTS
from blender_handmocap.engine.see.pair_crop import PAIR_FEATURES, POINT_FEATURES
from training.detnet.trunk import TAPS

HANDS: Final = len(SIDES)
POINTS: Final = KEYPOINT_COUNT
TOKENS: Final = HANDS * POINTS
PARTS: Final = len(CONTACT_PARTS)
LEFT: Final = SIDES.index("left")
RIGHT: Final = SIDES.index("right")
CROP: Final = 224
CELLS: Final = 7
"""of the coarsest tap along an edge of the crop"""
ALL_TOKENS: Final = TOKENS + 1 + CELLS**2
"""points, the pair as a whole, cells of the crop"""
_AROUND: Final = 3
"""samples of the finest tap along each axis around a point; coarser taps are read once"""
_STEP: Final = 1.0 / 28.0
"""crop shares between those"""
_HEADS: Final = 4
_TOLD: Final = 9
"""of a point: shift in the picture, form, depth in one frame, log errors in the picture and in space, visibility"""
_LOG_ERRORS: Final = (-5.0, 3.0)
"""palm lengths: what is known exactly, as where a form begins, would have no smallest error"""
_TOUCH: Final = 32
_PART_POINTS: Final = (*TIP_KEYPOINTS, 9)


class Layer(nn.Module):
    """Tokens look at each other, then think for themselves."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ask = nn.Linear(width, 3 * width)
        self.answer = nn.Linear(width, width)
        self.own = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        # From nothing, so that a network goes on where it was when it is given one layer more.
        for last in (self.answer, self.own[-1]):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, ALL_TOKENS, width) -> the same"""
        each = self.width // _HEADS
        asked = self.ask(self.before(tokens)).reshape(-1, ALL_TOKENS, 3, _HEADS, each).permute(2, 0, 3, 1, 4)
        share = torch.softmax(asked[0] @ asked[1].transpose(-1, -2) * each**-0.5, -1)
        heard = (share @ asked[2]).transpose(1, 2).reshape(-1, ALL_TOKENS, self.width)
        tokens = tokens + self.answer(heard)
        return tokens + self.own(self.after(tokens))


class PairHeads(nn.Module):
    """Taps and what was seen in; what is so out."""

    def __init__(self, width: int = 128, layers: int = 4) -> None:
        super().__init__()
        self.width, self.layers = width, layers
        for name, channels in TAPS.items():
            self.register_buffer(f"mean_{name}", torch.zeros(channels, 1, 1))
            self.register_buffer(f"std_{name}", torch.ones(channels, 1, 1))
        self.register_buffer("point_mean", torch.zeros(POINT_FEATURES))
        self.register_buffer("point_std", torch.ones(POINT_FEATURES))
        self.register_buffer("pair_mean", torch.zeros(PAIR_FEATURES))
        self.register_buffer("pair_std", torch.ones(PAIR_FEATURES))
        sampled = TAPS["features_28"] * _AROUND**2 + TAPS["features_14"] + TAPS["features_7"]
        self.image = nn.Sequential(nn.Linear(sampled, width), nn.SiLU(), nn.Linear(width, width))
        self.point = nn.Linear(POINT_FEATURES, width)
        self.which = nn.Parameter(torch.randn(TOKENS, width) * 0.1)
        self.whole = nn.Linear(PAIR_FEATURES + TAPS["features_7"], width)
        self.cell = nn.Linear(TAPS["features_7"] + 4 * TAPS["features_14"], width)
        self.where = nn.Parameter(torch.randn(CELLS**2, width) * 0.1)
        self.stack = nn.Sequential(*(Layer(width) for _ in range(layers)))
        self.last = nn.LayerNorm(width)
        self.told = nn.Linear(width, _TOLD)
        self.vector = nn.Linear(width, 6)
        """what is added to the way that sizes say, and the logarithms of its errors"""
        self.states = nn.Linear(width, HANDS + 2)
        """logits: each hand is there; they belong together; the left one is nearer"""
        self.part = nn.Linear(width, _TOUCH)
        self.pooled = nn.Linear(width, 16)
        self.contact = nn.Sequential(nn.Linear(2 * _TOUCH + 16 + 6, 64), nn.SiLU(), nn.Linear(64, 1))
        self.usual = nn.Parameter(torch.full((PARTS, PARTS), -2.5))
        side = (torch.arange(_AROUND) - (_AROUND - 1) / 2) * _STEP
        self.register_buffer("around", torch.stack(torch.meshgrid(side, side, indexing="xy"), -1).reshape(-1, 2))
        with torch.no_grad():
            self.told.weight *= 0.1
            self.vector.weight *= 0.1

    def set_statistics(self, statistics: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        """Mean and deviation of each tap (C,), of the points' and of the pair's features over training data."""
        for name, (mean, std) in statistics.items():
            of_tap = name in TAPS
            for kind, value in (("mean", mean), ("std", std)):
                own = getattr(self, f"{kind}_{name}" if of_tap else f"{name}_{kind}")
                own.copy_(value[:, None, None] if of_tap else value)

    def forward(
        self, features_28: Tensor, features_14: Tensor, features_7: Tensor, seen: Tensor, points: Tensor, pair: Tensor
    ) -> dict[str, Tensor]:
        """`seen` (N, 2, 21, 2) crop shares; `points` (N, 2, 21, POINT_FEATURES) and `pair` (N, PAIR_FEATURES) as
        engine.see.pair_crop makes them. Positions in crop shares, lengths in palm lengths."""
        taps = {"features_28": features_28, "features_14": features_14, "features_7": features_7}
        scaled = {
            name: (tap - getattr(self, f"mean_{name}")) / getattr(self, f"std_{name}") for name, tap in taps.items()
        }
        at = seen.flatten(1, 2)
        fine = _sampled(scaled["features_28"], (at[:, :, None] + self.around).flatten(1, 2))
        fine = fine.reshape(-1, TOKENS, _AROUND**2 * TAPS["features_28"])
        image = torch.cat([fine, _sampled(scaled["features_14"], at), _sampled(scaled["features_7"], at)], -1)
        given = (points.flatten(1, 2) - self.point_mean) / self.point_std
        tokens = self.image(image) + self.point(given) + self.which
        pair_given = (pair - self.pair_mean) / self.pair_std
        whole = self.whole(torch.cat([pair_given, scaled["features_7"].mean((2, 3))], -1))
        cells = self.cell(_by_cell(scaled["features_7"], scaled["features_14"])) + self.where
        tokens = self.last(self.stack(torch.cat([tokens, whole[:, None], cells], 1)))
        each, whole = tokens[:, :TOKENS], tokens[:, TOKENS]
        told = self.told(each).reshape(-1, HANDS, POINTS, _TOLD)
        reach, form = pair[:, :1, None, None], points[..., 2:5]
        position = seen + told[..., :2] * reach
        vector, states = self.vector(whole), self.states(whole)
        location = form + told[..., 2:5]
        location = location - location[:, :, :1]
        return {
            "position": position,
            "location": location,
            "depth": told[..., 5],
            "log_error_2d": told[..., 6].clamp(*_LOG_ERRORS) + torch.log(reach[..., 0]),
            "log_error_3d": told[..., 7].clamp(*_LOG_ERRORS),
            "visible": told[..., 8],
            "vector": pair[:, 1:4] + vector[:, :3],
            "log_sigma": vector[:, 3:].clamp(*_LOG_ERRORS),
            "present": states[:, :HANDS],
            "pair": states[:, HANDS],
            "left_nearer": states[:, HANDS + 1],
            "contact": self._contact(each, position / reach, told[..., 5], whole),
        }

    def _contact(self, each: Tensor, at: Tensor, depth: Tensor, whole: Tensor) -> Tensor:
        """Logits (N, 6, 6), left part first; places `at` and depths in palm lengths."""
        part = self.part(each).reshape(-1, HANDS, POINTS, _TOUCH)[:, :, list(_PART_POINTS)]
        at, deep = at[:, :, list(_PART_POINTS)], depth[:, :, list(_PART_POINTS)]
        beside = at[:, LEFT, :, None] - at[:, RIGHT, None]
        deeper = deep[:, LEFT, :, None] - deep[:, RIGHT, None]
        distance = (beside.square().sum(-1) + 1e-6).sqrt()
        apart = (distance.square() + deeper.square()).sqrt()
        between = torch.stack([beside[..., 0], beside[..., 1], distance, deeper, deeper.abs(), apart], -1)
        left = part[:, LEFT, :, None].expand(-1, -1, PARTS, -1)
        right = part[:, RIGHT, None].expand(-1, PARTS, -1, -1)
        pooled = self.pooled(whole)[:, None, None].expand(-1, PARTS, PARTS, -1)
        described = torch.cat([left, right, pooled, between.clamp(-4.0, 4.0)], -1)
        return self.contact(described)[..., 0] + self.usual


def _by_cell(coarse: Tensor, fine: Tensor) -> Tensor:
    """Taps (N, C, 7, 7) and (N, F, 14, 14) -> (N, 49, C + 4 F)"""
    four = fine.reshape(-1, fine.shape[1], CELLS, 2, CELLS, 2).permute(0, 1, 3, 5, 2, 4)
    return torch.cat([coarse.flatten(2), four.reshape(-1, fine.shape[1] * 4, CELLS**2)], 1).transpose(1, 2)


def _sampled(tap: Tensor, at: Tensor) -> Tensor:
    """A tap (N, C, H, W) read at crop shares (N, K, 2): (N, K, C); beyond the edge what stands there."""
    grid = (at * 2.0 - 1.0)[:, :, None]
    read = functional.grid_sample(tap, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return read[..., 0].transpose(1, 2)


class PairCropNet(nn.Module):
    """What ships: taps and what was seen in, readings in the engine's units out."""

    def __init__(self, heads: PairHeads) -> None:
        super().__init__()
        self.heads = heads

    def forward(
        self, features_28: Tensor, features_14: Tensor, features_7: Tensor, seen: Tensor, points: Tensor, pair: Tensor
    ) -> tuple[Tensor, ...]:
        """-> points (N, 2, 21, 2) crop pixels, location (N, 2, 21, 3) relative to each wrist, depth (N, 2, 21) about
        the middle of both wrists, error_2d (N, 2, 21) crop pixels, error_3d (N, 2, 21), visibility (N, 2, 21),
        vector (N, 3) left wrist minus right wrist, sigma (N, 3), state (N, 4): left there, right there, belong
        together, left nearer; contact (N, 6, 6) left part first"""
        out = self.heads(features_28, features_14, features_7, seen, points, pair)
        state = torch.cat([out["present"], out["pair"][:, None], out["left_nearer"][:, None]], 1)
        return (
            # Integer pixels are centres, so the crop's left edge lies at -0.5.
            out["position"] * CROP - 0.5,
            out["location"],
            out["depth"],
            torch.exp(out["log_error_2d"]) * CROP,
            torch.exp(out["log_error_3d"]),
            torch.sigmoid(out["visible"]),
            out["vector"],
            torch.exp(out["log_sigma"]),
            torch.sigmoid(state),
            torch.sigmoid(out["contact"]),
        )
