# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the pair network: one command that resumes, logs its curve and keeps the best.

python -m training.pair.train --run DIR [--samples N]

Chosen on held-out patterns of the families it is trained on; the unseen families are only watched.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.footage import split, two_hands

from .batches import Batch, Pool, draw
from .network import Between

log = logging.getLogger(__name__)

_RATE: Final = 2e-3
_WARM_UP: Final = 50_000
_CLIP: Final = 1.0
_HELD_OUT: Final = 3000
_SEED: Final = 30


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
    """A training run in a folder: checkpoint.pt to go on from, best.pt to keep, curve.jsonl to look at."""

    def __init__(self, folder: Path, config: Config, pool: Pool, held_out: HeldOut) -> None:
        self.folder, self.config, self.pool, self.held_out = folder, config, pool, held_out
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(config.seed)
        self.network = Between(config.width)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=_RATE, weight_decay=config.weight_decay)
        self.used, self.best = 0, math.inf
        if (folder / "checkpoint.pt").exists():
            self._resume()
        else:
            self.network.prepare(draw(pool, np.random.default_rng([config.seed, 1]), 4096).features)

    def _resume(self) -> None:
        state = torch.load(self.folder / "checkpoint.pt", map_location="cpu", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.used, self.best = state["used"], state["best"]
        log.info("going on after %d pairs", self.used)

    def _save(self, name: str, *, whole: bool) -> None:
        state: dict[str, Any] = {"network": self.network.state_dict(), "used": self.used, "best": self.best}
        if whole:
            state["optimiser"] = self.optimiser.state_dict()
        temporary = self.folder / f"{name}.tmp"
        torch.save(state, temporary)
        temporary.replace(self.folder / name)

    def train(self, every: int) -> None:
        """Until `samples` pairs were used; validates and saves after each `every` pairs."""
        config = self.config
        # What is drawn depends on how far the run is, so that a resumed run does not see its first pairs again.
        random = np.random.default_rng([config.seed, 2, self.used])
        began, at_start, smooth = time.monotonic(), self.used, math.nan
        while self.used < config.samples:
            share = self.used / config.samples
            rate = _RATE * min(1.0, self.used / _WARM_UP + 0.05) * (0.5 + 0.5 * math.cos(math.pi * share))
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            batch = draw(self.pool, random, config.batch)
            total, terms = loss(self.network(batch.features), batch, config.weights)
            self.optimiser.zero_grad(set_to_none=True)
            total.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
            self.optimiser.step()
            value = float(total.detach())
            smooth = value if math.isnan(smooth) else 0.98 * smooth + 0.02 * value
            self.used += config.batch
            if self.used // every != (self.used - config.batch) // every or self.used >= config.samples:
                self._report(smooth, terms, (self.used - at_start) / (time.monotonic() - began))

    def _report(self, smooth: float, terms: dict[str, float], pace: float) -> None:
        known, unseen = (validate(self.network, batch) for batch in (self.held_out.known, self.held_out.unseen))
        record = {"used": self.used, "loss": smooth, "pace": round(pace, 1), "known": known, "unseen": unseen}
        with (self.folder / "curve.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({**record, "terms": terms}) + "\n")
        shown = "; ".join(
            ", ".join(f"{name} {value:.3f}" for name, value in errors.items()) for errors in (known, unseen)
        )
        log.info("%d pairs, %.0f/s, loss %.3f, %s", self.used, pace, smooth, shown)
        judged, _ = loss(self.network(self.held_out.known.features), self.held_out.known, self.config.weights)
        if float(judged.detach()) < self.best:
            self.best = float(judged.detach())
            self._save("best.pt", whole=False)
        self._save("checkpoint.pt", whole=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=Config.samples)
    parser.add_argument("--width", type=int, default=Config.width)
    parser.add_argument("--without", nargs="*", default=[], help="loss terms to switch off")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--every", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    config = Config(
        width=options.width,
        samples=options.samples,
        seed=options.seed,
        weights=replace(Weights(), **dict.fromkeys(options.without, 0.0)),
    )
    run = Run(options.run, config, Pool.of(two_hands.load().chosen(test=False)), HeldOut.make())
    (options.run / "config.json").write_text(json.dumps(asdict(config), indent=2), encoding="utf-8")
    run.train(options.every)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
