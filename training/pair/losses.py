# SPDX-License-Identifier: GPL-3.0-or-later
"""Targets and losses of the heads that read both hands from one crop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from blender_handmocap.engine.hand.names import KEYPOINT_PARENTS
from training.footage.two_hands import TOUCH

from .heads import CELLS, CROP, LEFT, RIGHT
from .pictures import Laid
from .shards import LAID

APART: Final = 0.004
"""metres from which parts surely do not touch; between touch and this a label says nothing"""
_PARENTS: Final = [max(parent, 0) for parent in KEYPOINT_PARENTS]
_RARE: Final = 3.0
"""weight of a pair of parts that touches: most do not"""
_NEARER: Final = 0.1
"""palm lengths by which one hand must be nearer for the label to count"""
_SEEN_GUESS: Final = 0.2
"""weight of guessing where a hand is that was seen: the guess is not used"""
_GUESS_SPREAD: Final = 0.8
"""cells of the guess's map that a point is spread over"""
_DEPTH_STEP: Final = 0.3
"""palm lengths: depths further off count by their logarithm"""


@dataclass(frozen=True)
class Targets:
    """What is true of a batch of crops; hands in the order of SIDES, lengths in palm lengths. Where whoever follows
    them takes each for the other, they stand in the order in which he does."""

    position: Tensor
    """(N, 2, 21, 2) crop shares"""
    location: Tensor
    """(N, 2, 21, 3) relative to each wrist"""
    depth: Tensor
    """(N, 2, 21) about the middle of both wrists"""
    visible: Tensor
    """(N, 2, 21)"""
    vector: Tensor
    """(N, 3) left wrist minus right wrist"""
    present: Tensor
    """(N, 2)"""
    known: Tensor
    """(N, 2) there, and what is said of its points is true"""
    pair: Tensor
    """(N,) both are there and belong together"""
    strangers: Tensor
    """(N,)"""
    placed: Tensor
    """(N,) a pair, and how the hands stand to each other is known"""
    nearer: Tensor
    """(N,) 1 the left hand is clearly the nearer one, -1 the right one; 0: neither, or nobody knows"""
    contact: Tensor
    """(N, 6, 6) 1 touch, 0 do not"""
    contact_known: Tensor
    """(N, 6, 6)"""
    as_told: Tensor
    """(N,) 1 the hands are of the sides that they are said to be of, 0 each is taken for the other"""
    told: Tensor
    """(N,) some hand is said to be where it is, so that its side may be right or wrong"""
    focal: NDArray[np.float64]
    """(N,) in sides of the crop"""

    def taken_for_the_other(self, which: Tensor, told: Tensor) -> Targets:
        """The same where each hand of the crops `which` (N,) is taken for the other one; `told` (N,) as above."""
        of_a_hand = ("position", "location", "depth", "visible", "present", "known")
        swapped = {
            **{name: getattr(self, name).flip(1) for name in of_a_hand},
            **{name: getattr(self, name).transpose(1, 2) for name in ("contact", "contact_known")},
            "vector": -self.vector,
            "nearer": -self.nearer,
            "as_told": torch.zeros_like(self.as_told),
        }
        chosen = {
            name: torch.where(which.reshape(-1, *[1] * (value.dim() - 1)), value, getattr(self, name))
            for name, value in swapped.items()
        }
        return replace(self, **chosen, told=told.float())

    @property
    def inside(self) -> Tensor:
        """(N, 2, 21) points in the crop"""
        return ((self.position > 0) & (self.position < 1)).all(-1).float() * self.known[..., None]


def targets(labels: Mapping[str, NDArray[Any]]) -> Targets:
    """From rows of shards."""
    present = labels["present"].astype(np.float32)
    strangers = labels["strangers"].astype(np.float32)
    pair = labels["pair"].astype(np.float32) * (1.0 - strangers)
    points = labels["points3d"] / labels["palm"][:, None, None, None]
    wrist = points[:, :, 0]
    gap, laid = labels["gap"], labels.get(LAID, np.zeros(len(pair), np.uint8))
    drawn = laid == Laid.DRAWN
    depth = points[..., 2] - wrist[..., 2].mean(1)[:, None, None]
    deeper = (depth[:, LEFT] - depth[:, RIGHT]).mean(1)
    clear = np.where(np.abs(deeper) > _NEARER, -np.sign(deeper), 0.0)
    overlaid = (laid == Laid.LEFT_IN_FRONT).astype(np.float32) - (laid == Laid.RIGHT_IN_FRONT)
    known_gap = (strangers == 0) & (drawn | (pair == 0))
    arrays = (
        (labels["points2d"] + 0.5) / CROP,
        points - wrist[:, :, None],
        depth,
        labels["visible"],
        points[:, LEFT, 0] - points[:, RIGHT, 0],
        present,
        present * (1.0 - strangers)[:, None],
        pair,
        strangers,
        pair * drawn,
        pair * np.where(drawn, clear, overlaid),
        (gap <= TOUCH) & (pair > 0)[:, None, None],
        ((gap <= TOUCH) | (gap >= APART) | (pair == 0)[:, None, None]) & known_gap[:, None, None],
    )
    tensors = [torch.from_numpy(np.asarray(array, np.float32)) for array in arrays]
    nobody, focal = torch.zeros(len(pair)), _focal(labels["points2d"], labels["points3d"], present)
    return Targets(*tensors, as_told=torch.ones(len(pair)), told=nobody, focal=focal)


def _focal(places: NDArray[Any], points: NDArray[Any], present: NDArray[Any]) -> NDArray[np.float64]:
    """(N,) focal lengths in sides of the crop: what takes points (N, 2, 21, 3) to places (N, 2, 21, 2)."""
    rays = points[..., :2] / np.maximum(points[..., 2:], 1e-6) * present[..., None, None]
    shares = (places + 0.5) / CROP - 0.5
    fitted = (rays * shares).sum((1, 2, 3)) / np.maximum((rays**2).sum((1, 2, 3)), 1e-9)
    return np.where(present.any(1), np.clip(fitted, 0.3, 60.0), 2.0).astype(np.float64)


@dataclass(frozen=True)
class Weights:
    """How much each term counts; 0 switches it off (ablation)."""

    position: float = 8.0
    guess: float = 4.0
    heat: float = 0.3
    location: float = 2.0
    bone: float = 0.5
    depth: float = 1.5
    error: float = 0.1
    visible: float = 0.2
    vector: float = 1.0
    sigma: float = 0.3
    state: float = 0.5
    sides: float = 1.0
    contact: float = 2.0


def loss(out: dict[str, Tensor], truth: Targets, weights: Weights) -> tuple[Tensor, dict[str, float]]:
    """The sum that is trained on, and each unweighted term for the log."""
    inside = truth.inside
    solid = truth.known[..., None].expand_as(inside)
    both = truth.placed[:, None, None].expand_as(inside)
    off = (out["position"] - truth.position).abs().sum(-1)
    form_off = (out["location"] - truth.location).abs().sum(-1)
    depth_off = (out["depth"] - truth.depth).abs()
    bones, true_bones = (p - p[:, :, _PARENTS] for p in (out["location"], truth.location))
    distance_2d = (out["position"] - truth.position).norm(dim=-1).detach()
    distance_3d = (out["location"] - truth.location).norm(dim=-1).detach()
    apart = (out["vector"] - truth.vector).abs()
    placed = truth.placed[:, None].expand_as(apart)
    some = (truth.strangers == 0).float()
    # Of a hand that was seen the guess is not used.
    sought = inside * (1.0 - (1.0 - _SEEN_GUESS) * out["known"][:, :, None])
    terms = {
        "position": _mean(off, inside),
        "guess": _mean((out["guess"] - truth.position).abs().sum(-1), sought),
        "heat": _mean(_crossed(out["guess_logits"], truth.position), sought),
        "location": _mean(form_off, solid),
        "bone": _mean((bones - true_bones).abs().sum(-1), solid),
        "depth": _mean(_stretched(depth_off), both),
        "error": _mean(_laplace(distance_2d, out["log_error_2d"]), inside)
        + _mean(_laplace(distance_3d, out["log_error_3d"]), solid),
        "visible": _mean(_binary(out["visible"], truth.visible), inside),
        "vector": _mean(_stretched(apart), placed),
        "sigma": _mean(_laplace(apart.detach(), out["log_sigma"]), placed),
        "state": _mean(_binary(out["present"], truth.present), some[:, None].expand_as(truth.present))
        + _binary(out["pair"], truth.pair).mean()
        + 0.5 * _mean(_binary(out["left_nearer"], (truth.nearer > 0).float()), truth.nearer.abs()),
        "sides": _mean(_binary(out["as_told"], truth.as_told), truth.told),
        "contact": _mean(_binary(out["contact"], truth.contact, rare=_RARE), truth.contact_known),
    }
    total = torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()
    return total, {name: float(value.detach()) for name, value in terms.items()}


def _stretched(distance: Tensor) -> Tensor:
    """Distances whose large values count less: far hands are placed badly whatever one does."""
    return torch.log1p(distance / _DEPTH_STEP)


def _crossed(logits: Tensor, position: Tensor) -> Tensor:
    """(N, 2, 21) cross entropy of maps (N, 2, 21, CELLS**2) with blots around crop shares (N, 2, 21, 2)."""
    cells = (torch.arange(CELLS) + 0.5) / CELLS
    across, down = (
        torch.softmax(-0.5 * ((position[..., axis, None] - cells) * CELLS / _GUESS_SPREAD) ** 2, -1) for axis in (0, 1)
    )
    blot = (down[..., :, None] * across[..., None, :]).flatten(-2)
    return -(blot * torch.log_softmax(logits, -1)).sum(-1)


def _laplace(distance: Tensor, log_scale: Tensor) -> Tensor:
    """Negative log-likelihood (up to a constant) of a distance whose expected value is exp(log_scale)."""
    return distance * torch.exp(-log_scale) + log_scale


def _binary(logits: Tensor, truth: Tensor, *, rare: float = 1.0) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, truth, reduction="none", pos_weight=torch.tensor(rare))


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1.0)
