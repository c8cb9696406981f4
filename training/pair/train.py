# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the pair network's heads on cached taps: resumes, logs its curve and keeps the best.

    python -m training.pair.train --shards DIR --labels DIR --run DIR [--samples N]

Shards are DetNet's with their taps, labels those of `training.pair.labels`; the last rows are held out.
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
from numpy.typing import NDArray
from torch import Tensor, nn

from training.detnet.shards import Shards, find
from training.detnet.trunk import TAPS

from .losses import Targets, Weights, loss, targets
from .network import CROP, PairHeads

log = logging.getLogger(__name__)

_RATE: Final = 2e-3
_WARM_UP: Final = 2000
_CLIP: Final = 5.0
_VALIDATION: Final = 1000
_USED: Final = ("present", "points2d", "points3d", "palm", "gap")


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run becomes."""

    channels: int = 64
    batch: int = 32
    samples: int = 100_000
    """crops seen in all; the learning rate falls to zero over them"""
    both_share: float = 0.75
    """of the crops seen show both hands"""
    weight_decay: float = 1e-2
    seed: int = 0
    weights: Weights = field(default_factory=Weights)


class Data:
    """Taps on disk, labels in memory; rows without a label are never drawn."""

    def __init__(self, shards: Sequence[Path], labels: Path) -> None:
        folders = [folder for folder in shards if (labels / f"{folder.name}.npz").exists()]
        if not folders:
            raise FileNotFoundError(f"No shard has its labels in {labels}; run training.pair.labels first.")
        self.shards = Shards.open(folders, list(TAPS))
        parts = [np.load(labels / f"{folder.name}.npz") for folder in folders]
        self.labels = {key: np.concatenate([part[key] for part in parts]) for key in _USED}
        known = np.concatenate([part["known"] for part in parts]) > 0
        rows = np.flatnonzero(known)
        held = min(_VALIDATION, len(rows) // 8)
        self.training, self.validation = rows[:-held], rows[-held:]
        both = self.labels["present"].sum(1) == self.labels["present"].shape[1]
        self.both, self.others = (self.training[both[self.training] == wanted] for wanted in (True, False))

    def features(self, rows: NDArray[np.int64]) -> dict[str, Tensor]:
        """The taps of sorted rows."""
        return self.shards.features(rows, list(TAPS))

    def targets(self, rows: NDArray[np.int64]) -> Targets:
        """What is true of them."""
        return targets({key: values[rows] for key, values in self.labels.items()})

    def draw(self, random: np.random.Generator, count: int, both_share: float) -> NDArray[np.int64]:
        """Sorted training rows, without repeats."""
        first = min(round(count * both_share), len(self.both))
        parts = [random.choice(self.both, first, replace=False), random.choice(self.others, count - first)]
        return np.unique(np.concatenate(parts))


@torch.no_grad()
def validate(heads: PairHeads, data: Data, rows: NDArray[np.int64]) -> dict[str, float]:
    """Errors on held-out crops: pixels, palm lengths, and how well presence and contact are told."""
    heads.eval()
    outs: list[dict[str, Tensor]] = []
    for start in range(0, len(rows), 64):
        part = heads(**data.features(rows[start : start + 64]))
        outs.append({name: part[name] for name in ("position", "depth", "vector", "log_sigma", "present", "contact")})
    heads.train()
    out = {name: torch.cat([one[name] for one in outs]) for name in outs[0]}
    truth = data.targets(rows)
    both = truth.both > 0
    pixels = (out["position"] - truth.position).norm(dim=-1) * CROP
    off = (out["vector"] - truth.vector)[both]
    told, true, known = out["contact"] > 0, truth.contact > 0, truth.contact_known > 0
    hits = float((told & true).sum())
    return {
        "pixels_right": float(pixels[:, 1][truth.present[:, 1] > 0].mean()),
        "pixels_left": float(pixels[:, 0][truth.present[:, 0] > 0].mean()),
        "vector": float(off.norm(dim=-1).mean()),
        "vector_plane": float(off[:, :2].norm(dim=-1).mean()),
        "vector_depth": float(off[:, 2].abs().mean()),
        "vector_spread": float(truth.vector[both].sub(truth.vector[both].mean(0)).norm(dim=-1).mean()),
        "sigma_ratio": float((off.abs() / torch.exp(out["log_sigma"][both])).mean()),
        "present": float(((out["present"] > 0) == (truth.present > 0)).float().mean()),
        "contact_precision": hits / max(float((told & known).sum()), 1.0),
        "contact_recall": hits / max(float(true.sum()), 1.0),
    }


def score(errors: dict[str, float]) -> float:
    """One number that is lower for a better network."""
    precision, recall = errors["contact_precision"], errors["contact_recall"]
    f1 = 2 * precision * recall / max(precision + recall, 1e-6)
    return errors["vector"] + (1.0 - f1) + 0.01 * errors["pixels_left"]


class Run:
    """A training run in a folder: checkpoint.pt to go on from, best.pt to keep, curve.jsonl to look at."""

    def __init__(self, folder: Path, config: Config, data: Data) -> None:
        self.folder, self.config, self.data = folder, config, data
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(config.seed)
        self.heads = PairHeads(config.channels)
        self.heads.set_statistics(data.shards.statistics())
        self.heads = self.heads.to(memory_format=torch.channels_last)
        self.optimiser = torch.optim.AdamW(self.heads.parameters(), lr=_RATE, weight_decay=config.weight_decay)
        self.seen, self.best = 0, math.inf
        if (folder / "checkpoint.pt").exists():
            self._resume()

    def _resume(self) -> None:
        state = torch.load(self.folder / "checkpoint.pt", map_location="cpu", weights_only=True)
        self.heads.load_state_dict(state["heads"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.seen, self.best = state["seen"], state["best"]
        log.info("going on after %d crops", self.seen)

    def _save(self, name: str, *, whole: bool) -> None:
        state: dict[str, Any] = {"heads": self.heads.state_dict(), "seen": self.seen, "best": self.best}
        if whole:
            state["optimiser"] = self.optimiser.state_dict()
        temporary = self.folder / f"{name}.tmp"
        torch.save(state, temporary)
        temporary.replace(self.folder / name)

    def train(self, every: int) -> None:
        """Until `samples` crops were seen; validates and saves after each `every` crops."""
        config = self.config
        # The order depends on how far the run is, so that a resumed run does not repeat its first rows.
        random = np.random.default_rng([config.seed, self.seen])
        began, at_start, smooth = time.monotonic(), self.seen, math.nan
        while self.seen < config.samples:
            share = self.seen / config.samples
            rate = _RATE * min(1.0, self.seen / _WARM_UP + 0.05) * (0.5 + 0.5 * math.cos(math.pi * share))
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            rows = self.data.draw(random, config.batch, config.both_share)
            total, terms = loss(self.heads(**self.data.features(rows)), self.data.targets(rows), config.weights)
            self.optimiser.zero_grad(set_to_none=True)
            total.backward()
            nn.utils.clip_grad_norm_(self.heads.parameters(), _CLIP)
            self.optimiser.step()
            value = float(total.detach())
            smooth = value if math.isnan(smooth) else 0.98 * smooth + 0.02 * value
            self.seen += config.batch
            if self.seen // every != (self.seen - config.batch) // every or self.seen >= config.samples:
                self._report(smooth, terms, (self.seen - at_start) / (time.monotonic() - began))

    def _report(self, smooth: float, terms: dict[str, float], pace: float) -> None:
        errors = validate(self.heads, self.data, self.data.validation)
        record = {"seen": self.seen, "loss": smooth, "pace": round(pace, 1), **errors, "terms": terms}
        with (self.folder / "curve.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        shown = ", ".join(f"{name} {value:.3f}" for name, value in errors.items())
        log.info("%d crops, %.0f/s, loss %.3f, %s", self.seen, pace, smooth, shown)
        if score(errors) < self.best:
            self.best = score(errors)
            self._save("best.pt", whole=False)
        self._save("checkpoint.pt", whole=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=Config.samples)
    parser.add_argument("--channels", type=int, default=Config.channels)
    parser.add_argument("--without", nargs="*", default=[], help="loss terms to switch off")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--every", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    config = Config(
        channels=options.channels,
        samples=options.samples,
        seed=options.seed,
        weights=replace(Weights(), **dict.fromkeys(options.without, 0.0)),
    )
    run = Run(options.run, config, Data(find(options.shards, complete=list(TAPS)[-1]), options.labels))
    (options.run / "config.json").write_text(json.dumps(asdict(config), indent=2), encoding="utf-8")
    run.train(options.every)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
