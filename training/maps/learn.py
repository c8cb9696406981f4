# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the maps of a crop around both hands, on the taps of shards: resumes, takes in new shards.

python -m training.maps.learn --shards DIR --run DIR [--samples N]

`--samples` alone decides how long; the last pictures of every shard are never trained on, the run is chosen on them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.detnet.shards import find
from training.detnet.trunk import TAPS as TRUNK_TAPS
from training.runs import Keeper, command_line, configured, cosine
from training.shipped import begin

from .data import FARTHEST, MapData, Maps, prepare
from .files import read
from .network import COARSE, HANDS, MapHeads
from .surface import surface_code

log = logging.getLogger(__name__)

_WARM_UP: Final = 1500
_CLIP: Final = 5.0
_BATCH_SHOWN: Final = 30
_JUDGED: Final = 240
"""held-out crops, evenly chosen, that a run is judged on while it goes on"""
_CROP: Final = 224
_ASKED: Final = ("samples", "rate", "batch", "seed")
"""settings that are options of the command"""


@dataclass(frozen=True)
class Weights:
    """Of the losses; each is near one for a network that says the mean."""

    classes: float = 1.0
    code: float = 10.0
    within: float = 4.0
    between: float = 1.0
    heat: float = 150.0


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run becomes."""

    batch: int = 24
    samples: int = 60_000
    """crops seen in all; the learning rate falls to zero over them"""
    rate: float = 2e-3
    weight_decay: float = 1e-4
    seed: int = 0
    weights: Weights = field(default_factory=Weights)
    unsure: float = 0.02
    """by how much (sides of the crop) what is known of a hand is shifted in training, and how often it is forgotten"""


def known(data: MapData, rows: NDArray[np.int64], random: np.random.Generator, unsure: float) -> tuple[Tensor, Tensor]:
    """What the network is told of both hands of rows: what is known, shifted and now and then forgotten."""
    points, there = data.told(rows)
    shift = torch.from_numpy(random.normal(size=(len(rows), HANDS, 1, 2))).float() * unsure
    kept = torch.from_numpy(random.random((len(rows), HANDS)) >= unsure).float()
    return points + shift, there * kept


def loss(out: dict[str, Tensor], truth: Maps, weights: Weights) -> tuple[Tensor, dict[str, float]]:
    """The sum of all losses, and each."""
    shown = (truth.classes > 0).float()
    # What is said of cells that show no hand is never read.
    hand, placed, related = (where.sum().clamp(min=1.0) for where in (shown, truth.placed, truth.related))
    off = (out["heat"] - truth.heat).square().mean((1, 2, 3, 4)) * truth.heat_known
    terms = {
        "classes": functional.cross_entropy(out["logits"], truth.classes),
        "code": ((out["code"] - truth.code).square().sum(1) * shown).sum() / hand,
        "within": ((out["within"] - truth.within).square() * truth.placed).sum() / placed,
        "between": ((out["between"] - truth.between).square() * truth.related).sum() / related,
        "heat": off.mean(),
    }
    total = torch.stack([term * getattr(weights, name) for name, term in terms.items()]).sum()
    return total, {name: float(term.detach()) for name, term in terms.items()}


def peaks(heat: Tensor) -> tuple[Tensor, Tensor]:
    """Places (..., 2) as crop shares and heights (...) of heatmaps (..., 28, 28)."""
    flat = heat.flatten(-2)
    height, index = flat.max(-1)
    row, column = index // COARSE, index % COARSE
    cells = torch.arange(COARSE)
    near = ((cells - column[..., None]).abs() <= 2)[..., None, :] & ((cells - row[..., None]).abs() <= 2)[..., :, None]
    weight = heat.clamp(min=0) * near
    total = weight.sum((-1, -2)).clamp(min=1e-6)
    centre = (cells + 0.5) / COARSE
    across, down = (weight.sum(-2) * centre).sum(-1) / total, (weight.sum(-1) * centre).sum(-1) / total
    return torch.stack([across, down], -1), height


def between_hands(classes: Tensor, between: Tensor) -> Tensor:
    """(N,) depth of the left wrist behind the right one, palm lengths: the median of each hand, the mean of the two,
    0 where their signs agree or one of them shows no cell."""
    out = torch.zeros(len(classes))
    for row in range(len(classes)):
        said = [between[row][classes[row] == side] for side in (1, 2)]
        if all(len(values) for values in said):
            left, right = (values.median() for values in said)
            out[row] = (left - right) / 2 if left * right < 0 else 0.0
    return out


@torch.no_grad()
def validate(heads: MapHeads, data: MapData, index: NDArray[np.int64]) -> dict[str, float]:
    """Errors on held-out crops; lengths in palm lengths, points in pixels of the crop, codes in their own unit."""
    heads.eval()
    said: dict[str, list[Tensor]] = {}
    overlap = torch.zeros(2, 2)
    for start in range(0, len(index), _BATCH_SHOWN):
        rows = index[start : start + _BATCH_SHOWN]
        truth, maps = data.targets(rows)
        out = heads(data.features(rows), *data.told(rows))
        classes = out["logits"].argmax(1)
        for side in (1, 2):
            both = ((classes == side) & (maps.classes == side)).sum()
            overlap[side - 1] += torch.stack([both, ((classes == side) | (maps.classes == side)).sum()])
        hand, placed = maps.classes > 0, maps.placed > 0
        sure = hand & (classes > 0)
        points, height = peaks(out["heat"])
        pixels = (points - truth.position).norm(dim=-1) * _CROP
        seen, hidden = (truth.inside * truth.visible) > 0, (truth.inside * (1.0 - truth.visible)) > 0
        pair = truth.placed > 0
        deeper = truth.vector[:, 2].clamp(-FARTHEST, FARTHEST)
        told = between_hands(classes, out["between"])
        before = (data.told(rows)[0] - truth.position).norm(dim=-1) * _CROP
        batch = {
            "before": before[seen],
            "before_hidden": before[hidden],
            "wrong_side": (classes != maps.classes)[sure].float(),
            "code": (out["code"] - maps.code).norm(dim=1)[hand],
            "within": (out["within"] - maps.within).abs()[placed],
            "between": (told - deeper).abs()[pair],
            "between_constant": deeper.abs()[pair],
            "sign": ((told * deeper) > 0)[pair & (deeper.abs() > 0.1)].float(),
            "pixels": pixels[seen],
            "pixels_hidden": pixels[hidden],
            "height": height[seen],
        }
        for name, values in batch.items():
            said.setdefault(name, []).append(values.flatten())
    heads.train()
    errors = {name: float(torch.cat(values).mean()) for name, values in said.items()}
    shares = overlap[:, 0] / overlap[:, 1].clamp(min=1)
    return {"overlap": float(shares.mean()), "code_median": float(torch.cat(said["code"]).median()), **errors}


def train(
    run: Path, config: Config, shards: Path, every: int, start: Path | None = None, kinds: Sequence[str] = ("",)
) -> None:
    """Until `samples` crops were seen; validates, saves and looks for new shards after each `every`.

    `kinds`: what the names of the shards that are used begin with.
    """
    torch.manual_seed(config.seed)
    data = opened(shards, kinds)
    heads = MapHeads()
    if start is None:
        heads.set_statistics(data.statistics())
    else:
        begin(heads, [start], lambda path: read(heads, path))
    heads.point_codes.copy_(torch.from_numpy(surface_code().of_points()))
    heads = heads.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(heads.parameters(), lr=config.rate, weight_decay=config.weight_decay)
    keeper = Keeper(run, config, heads, optimiser)
    keeper.resume()
    terms: dict[str, float] = {}
    while keeper.used < config.samples:
        random = np.random.default_rng([config.seed, keeper.used])
        due = min((keeper.used // every + 1) * every, config.samples)
        while keeper.used < due:
            rows = np.sort(random.choice(data.base.training, config.batch, replace=False))
            _, maps = data.targets(rows)
            out = heads(data.features(rows), *known(data, rows, random, config.unsure))
            total, terms = loss(out, maps, config.weights)
            share = cosine(keeper.used, config.samples, warm_up=_WARM_UP)
            keeper.step(total, config.batch, share=share, clip=_CLIP)
        judged = np.unique(np.linspace(0, len(data.base.validation) - 1, _JUDGED).astype(np.int64))
        errors = validate(heads, data, data.base.validation[judged])
        keeper.report(_score(errors), {"rows": len(data.base.training), **errors, "terms": terms})
        shown = ", ".join(f"{name} {value:.3f}" for name, value in errors.items())
        log.info("%d crops of %d, %.0f/s, loss %.3f, %s", keeper.used, len(data.base), keeper.pace, keeper.loss, shown)
        data = opened(shards, kinds)


def opened(shards: Path, kinds: Sequence[str] = ("",)) -> MapData:
    """The whole shards of a folder whose names begin with one of `kinds`, prepared."""
    folders = [path for path in find(shards, complete=list(TRUNK_TAPS)[-1]) if path.name.startswith(tuple(kinds))]
    prepare(folders)
    return MapData(folders)


def _score(errors: dict[str, float]) -> float:
    """What a run is chosen by: each part about one when badly known; depth between hands counts where it is known."""
    between = errors["between"] / max(errors["between_constant"], 1e-6)
    return (
        2.0 * (1.0 - errors["overlap"])
        + errors["code"] / 0.1
        + errors["within"] / 0.3
        + (between if math.isfinite(between) else 0.0)
        + (errors["pixels"] + errors["pixels_hidden"]) / 20.0
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = command_line(__doc__, Config(), _ASKED, every=5_000)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--from", dest="start", type=Path, help="best.pt of a run, or the file that ships")
    options = parser.parse_args(arguments)
    train(options.run, configured(options, Config(), _ASKED), options.shards, options.every, options.start)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
