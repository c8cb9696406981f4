# SPDX-License-Identifier: GPL-3.0-or-later
"""A network that looks at both hands at once: what was seen of each, and the picture where it was seen.

Every point of both hands is a token: where it was seen and how surely, the form it was seen in, and the trunk's taps
around it in a crop that holds both hands. The tokens look at each other, and say where each point really is, how deep
it lies in one frame, how the wrists stand to each other, which parts touch, and whether the hands are there at all.
Hands are in the order of SIDES; lengths are palm lengths (wrist to middle knuckle), axes those of a camera that looks
along the crop's own ray.

A hand that nobody saw has no place where its tokens could look. Heatmaps over the whole crop, which are shown where the
other hand is, guess one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from blender_handmocap.engine.hand.names import CONTACT_PARTS, KEYPOINT_COUNT, SIDES, TIP_KEYPOINTS
from blender_handmocap.engine.see.pair_given import PAIR_FEATURES, POINT_FEATURES
from training.detnet.trunk import LOW_BLOCKS, TAPS, Trunk, Upper

HANDS: Final = len(SIDES)
POINTS: Final = KEYPOINT_COUNT
TOKENS: Final = HANDS * POINTS
PARTS: Final = len(CONTACT_PARTS)
LEFT: Final = SIDES.index("left")
RIGHT: Final = SIDES.index("right")
CROP: Final = 224
CELLS: Final = 14
"""of the map on which a hand that nobody saw is looked for, along an edge of the crop"""
KNOWN: Final = 11
"""of POINT_FEATURES: whether anything is known of the point's hand"""
_GUESS_CHANNELS: Final = 64
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
        """(N, T, width) -> the same"""
        each = self.width // _HEADS
        asked = self.ask(self.before(tokens)).reshape(-1, TOKENS + 1, 3, _HEADS, each).permute(2, 0, 3, 1, 4)
        share = torch.softmax(asked[0] @ asked[1].transpose(-1, -2) * each**-0.5, -1)
        heard = (share @ asked[2]).transpose(1, 2).reshape(-1, TOKENS + 1, self.width)
        tokens = tokens + self.answer(heard)
        return tokens + self.own(self.after(tokens))


class Guess(nn.Module):
    """Where both hands may be, from the whole crop and from where those hands are that were seen."""

    def __init__(self, channels: int = _GUESS_CHANNELS) -> None:
        super().__init__()
        inputs = TAPS["features_14"] + TAPS["features_7"] + TOKENS
        self.stem = nn.Conv2d(inputs, channels, 1, bias=False)
        self.fine = nn.Conv2d(TAPS["features_28"], channels, 4, 2, 1, bias=False)
        self.joined = nn.Sequential(nn.BatchNorm2d(channels), nn.SiLU())
        self.body = nn.Sequential(*(_wide(channels, spread) for spread in (1, 2, 1)))
        self.heat = nn.Conv2d(channels, TOKENS, 1)
        cells = (torch.arange(CELLS) + 0.5) / CELLS
        self.register_buffer("cells", cells)

    def forward(
        self, features_28: Tensor, features_14: Tensor, features_7: Tensor, seen: Tensor, known: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`seen` (N, 2, 21, 2) crop shares, `known` (N, 2, 1) -> logits (N, 2, 21, CELLS**2) and places as `seen`."""
        marks = torch.exp(-0.5 * ((seen[..., None] - self.cells) * CELLS) ** 2)
        shown = (marks[..., 1, :, None] * marks[..., 0, None, :]) * known[..., None, None]
        grown = functional.interpolate(features_7, scale_factor=2, mode="bilinear", align_corners=False)
        deep = self.stem(torch.cat([features_14, grown, shown.flatten(1, 2)], 1))
        x = self.body(self.joined(deep + self.fine(features_28)))
        logits = self.heat(x).reshape(-1, HANDS, POINTS, CELLS**2)
        chance = torch.softmax(logits, -1).reshape(-1, HANDS, POINTS, CELLS, CELLS)
        places = [(chance.sum(axis) * self.cells).sum(-1) for axis in (-2, -1)]
        return logits, torch.stack(places, -1)


def _wide(channels: int, spread: int) -> nn.Sequential:
    conv = nn.Conv2d(channels, channels, 3, padding=spread, dilation=spread, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.SiLU())


class PairHeads(nn.Module):
    """Taps and what was seen in; what is so out."""

    def __init__(self, width: int = 128, layers: int = 4, *, upper: Upper | None = None) -> None:
        """`upper`: what of the trunk is tuned with it."""
        super().__init__()
        self.width, self.layers = width, layers
        self.upper = upper
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
        self.guess = Guess()
        self.guessed = nn.Linear(2, width)
        self.stack = nn.Sequential(*(Layer(width) for _ in range(layers)))
        self.last = nn.LayerNorm(width)
        self.told = nn.Linear(width, _TOLD)
        self.vector = nn.Linear(width, 6)
        """what is added to the way that sizes say, and the logarithms of its errors"""
        self.states = nn.Linear(width, HANDS + 2)
        """logits: each hand is there; they belong together; the left one is nearer"""
        self.sides = nn.Linear(width, 1)
        """logit: the hands are of the sides that they are said to be of"""
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

    def taps(self, cached: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What `forward` reads, from what shards keep of the untouched trunk."""
        return dict(cached) if self.upper is None else self.upper(cached["features_28"])

    def forward(
        self, features_28: Tensor, features_14: Tensor, features_7: Tensor, seen: Tensor, points: Tensor, pair: Tensor
    ) -> dict[str, Tensor]:
        """The taps as `taps` gives them; `seen` (N, 2, 21, 2) crop shares; `points` (N, 2, 21, POINT_FEATURES) and
        `pair` (N, PAIR_FEATURES) as engine.see.pair_crop makes them. Positions in crop shares, lengths in palms."""
        taps = {"features_28": features_28, "features_14": features_14, "features_7": features_7}
        scaled = {
            name: (tap - getattr(self, f"mean_{name}")) / getattr(self, f"std_{name}") for name, tap in taps.items()
        }
        known = points[..., KNOWN : KNOWN + 1]
        logits, guess = self.guess(**scaled, seen=seen, known=known[:, :, 0])
        seen = seen * known + guess * (1.0 - known)
        at = seen.flatten(1, 2)
        fine = _sampled(scaled["features_28"], (at[:, :, None] + self.around).flatten(1, 2))
        fine = fine.reshape(-1, TOKENS, _AROUND**2 * TAPS["features_28"])
        image = torch.cat([fine, _sampled(scaled["features_14"], at), _sampled(scaled["features_7"], at)], -1)
        given = (points.flatten(1, 2) - self.point_mean) / self.point_std
        placed = ((guess - 0.5) * (1.0 - known)).flatten(1, 2)
        tokens = self.image(image) + self.point(given) + self.guessed(placed) + self.which
        pair_given = (pair - self.pair_mean) / self.pair_std
        whole = self.whole(torch.cat([pair_given, scaled["features_7"].mean((2, 3))], -1))
        tokens = self.last(self.stack(torch.cat([tokens, whole[:, None]], 1)))
        each, whole = tokens[:, :TOKENS], tokens[:, TOKENS]
        told = self.told(each).reshape(-1, HANDS, POINTS, _TOLD)
        reach, form = pair[:, :1, None, None], points[..., 2:5]
        position = seen + told[..., :2] * reach
        vector, states = self.vector(whole), self.states(whole)
        location = form + told[..., 2:5]
        location = location - location[:, :, :1]
        return {
            "guess": guess,
            "guess_logits": logits,
            "known": known[:, :, 0, 0],
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
            "as_told": self.sides(whole)[:, 0],
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
        vector (N, 3) left wrist minus right wrist, sigma (N, 3), state (N, 5): left there, right there, belong
        together, left nearer, of the sides that they are said to be of; contact (N, 6, 6) left part first"""
        out = self.heads(features_28, features_14, features_7, seen, points, pair)
        state = torch.cat([out["present"], torch.stack([out["pair"], out["left_nearer"], out["as_told"]], 1)], 1)
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


class PairTrunk(nn.Module):
    """What ships beside the heads: the trunk that they read, tuned from features_28 on."""

    def __init__(self, trunk: Trunk, upper: Upper) -> None:
        super().__init__()
        self.trunk, self.upper = trunk, upper
        del self.trunk.blocks[LOW_BLOCKS.stop :]

    def forward(self, picture: Tensor) -> tuple[Tensor, ...]:
        """RGB bytes (N, 224, 224, 3) -> features_28, features_14, features_7."""
        taps = self.upper(self.trunk.low(picture.permute(0, 3, 1, 2).float()))
        return tuple(taps[name] for name in TAPS)
