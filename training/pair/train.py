# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the pair network: one command that resumes, logs its curve and keeps the best.

python -m training.pair.train --run DIR [--samples N]

Chosen on held-out patterns of the families it is trained on; the unseen families are only watched.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.footage import split, two_hands
from training.runs import Keeper, add_without, command_line, configured, cosine, weighed

from .batches import Batch, Pool, draw
from .network import Between

log = logging.getLogger(__name__)

_RATE: Final = 2e-3
_WARM_UP: Final = 50_000
_CLIP: Final = 1.0
_HELD_OUT: Final = 3000
_SEED: Final = 30
_ASKED: Final = ("samples", "width", "seed")
"""settings that are options of the command"""


@dataclass(frozen=True)
class Weights:
    """How much each term counts; 0 switches it off (ablation)."""

    shift: float = 1.0
    error: float = 0.5
    contact: float = 2.0


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run becomes."""

    width: int = 256
    batch: int = 512
    samples: int = 6_000_000
    """pairs seen in all; the learning rate falls to zero over them"""
    weight_decay: float = 1e-3
    seed: int = 0
    weights: Weights = field(default_factory=Weights)


def loss(out: tuple[Tensor, Tensor, Tensor], truth: Batch, weights: Weights) -> tuple[Tensor, dict[str, float]]:
    """The sum that is trained on, and each unweighted term."""
    shift, log_error, contact = out
    off = (shift - truth.shift).abs()
    # Far hands are placed badly whatever one does: distances count by their logarithm.
    terms = {
        "shift": torch.log1p(off / 0.1).mean(),
        "error": (off.detach() * torch.exp(-log_error) + log_error).mean(),
        "contact": (
            functional.binary_cross_entropy_with_logits(contact, truth.contact, reduction="none") * truth.known
        ).sum()
        / truth.known.sum().clamp(min=1.0),
    }
    total = torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()
    return total, {name: float(value.detach()) for name, value in terms.items()}


@dataclass(frozen=True)
class HeldOut:
    """Pairs never trained on: other patterns of the trained families, and families never trained on."""

    known: Batch
    unseen: Batch

    @classmethod
    def make(cls) -> HeldOut:
        """Always the same pairs for the same patterns."""
        test = two_hands.load().chosen(test=True)
        new = np.array([split.is_test("family", name) for name in test.names])[test.family]
        parts = []
        for number, chosen in enumerate((~new, new)):
            random = np.random.default_rng([_SEED, number])
            parts.append(draw(Pool.of(test[chosen]), random, _HELD_OUT))
        return cls(*parts)


@torch.no_grad()
def validate(network: Between, batch: Batch) -> dict[str, float]:
    """Errors in palm lengths as placed by size and as answered, and how well contact is told."""
    network.eval()
    shift, log_error, contact = network(batch.features)
    network.train()
    off, before = (shift - batch.shift).abs(), batch.shift.abs()
    told, true = contact > 0, batch.contact > 0
    hits = float((told & true).sum())
    return {
        "placed": float(before.norm(dim=1).mean()),
        "placed_depth": float(before[:, 2].mean()),
        "vector": float(off.norm(dim=1).mean()),
        "vector_plane": float(off[:, :2].norm(dim=1).mean()),
        "vector_depth": float(off[:, 2].mean()),
        "error_ratio": float((off / torch.exp(log_error)).mean()),
        "contact_precision": hits / max(float((told & (batch.known > 0)).sum()), 1.0),
        "contact_recall": hits / max(float(true.sum()), 1.0),
    }


class Run:
    """A training run in a folder."""

    def __init__(self, folder: Path, config: Config, pool: Pool, held_out: HeldOut) -> None:
        self.config, self.pool, self.held_out = config, pool, held_out
        torch.manual_seed(config.seed)
        self.network = Between(config.width)
        optimiser = torch.optim.AdamW(self.network.parameters(), lr=_RATE, weight_decay=config.weight_decay)
        self.keeper = Keeper(folder, config, self.network, optimiser)
        if not self.keeper.resume():
            self.network.prepare(draw(pool, np.random.default_rng([config.seed, 1]), 4096).features)

    def train(self, every: int) -> None:
        """Until `samples` pairs were used; validates and saves after each `every` pairs."""
        config, keeper = self.config, self.keeper
        # What is drawn depends on how far the run is, so that a resumed run does not see its first pairs again.
        random = np.random.default_rng([config.seed, 2, keeper.used])
        while keeper.used < config.samples:
            batch = draw(self.pool, random, config.batch)
            total, terms = loss(self.network(batch.features), batch, config.weights)
            share = cosine(keeper.used, config.samples, warm_up=_WARM_UP)
            keeper.step(total, config.batch, share=share, clip=_CLIP)
            if keeper.used // every != (keeper.used - config.batch) // every or keeper.used >= config.samples:
                self._report(terms)

    def _report(self, terms: dict[str, float]) -> None:
        keeper = self.keeper
        known, unseen = (validate(self.network, batch) for batch in (self.held_out.known, self.held_out.unseen))
        judged, _ = loss(self.network(self.held_out.known.features), self.held_out.known, self.config.weights)
        keeper.report(float(judged.detach()), {"known": known, "unseen": unseen, "terms": terms})
        shown = "; ".join(
            ", ".join(f"{name} {value:.3f}" for name, value in errors.items()) for errors in (known, unseen)
        )
        log.info("%d pairs, %.0f/s, loss %.3f, %s", keeper.used, keeper.pace, keeper.loss, shown)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = command_line(__doc__, Config(), _ASKED, every=200_000)
    add_without(parser, Weights())
    options = parser.parse_args(arguments)
    config = configured(options, Config(), _ASKED, weights=weighed(options, Weights()))
    Run(options.run, config, Pool.of(two_hands.load().chosen(test=False)), HeldOut.make()).train(options.every)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
