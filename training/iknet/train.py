# SPDX-License-Identifier: GPL-3.0-or-later
"""Train IKNet: one command that resumes, logs its curve and keeps the best.

python -m training.iknet.train --run DIR [--samples N] [--seen FILE ...]

`--seen` adds what a detector saw of hands with known truth (`batches.Observed`), out of fold.
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
from torch import nn

from blender_handmocap.engine.fit.hinges import pack
from blender_handmocap.engine.hand.free import free_hinges
from training.footage import poses

from .batches import Batch, Generator, Observed
from .held_out import NOISES, HeldOut, local_errors
from .losses import Targets, Weights, loss
from .network import IKNet

log = logging.getLogger(__name__)

_RATE: Final = 1.5e-3
_LAST_RATE: Final = 3e-4
"""the last layer sums hundreds of inputs: steps that suit the others shake it"""
_WARM_UP: Final = 20_000
_CLIP: Final = 1.0
_POOL: Final = 60_000
_STATISTICS: Final = 8192


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run becomes."""

    width: int = 384
    batch: int = 512
    samples: int = 4_000_000
    """hands trained on in all; the learning rate falls to zero over them"""
    store: int = 65_536
    """made hands that are kept at hand"""
    uses: int = 4
    """steps that a made hand takes part in, on average"""
    weight_decay: float = 1e-4
    seed: int = 0
    weights: Weights = field(default_factory=Weights)


class Store:
    """Made hands to draw from: making one costs more than a training step with it."""

    def __init__(self, generator: Generator, config: Config, random: np.random.Generator) -> None:
        self._generator, self._config, self._random = generator, config, random
        first = generator.batch(random, config.batch)
        shapes = (first.features, first.truth.rotation, first.truth.joints, first.truth.points)
        self._arrays = [torch.empty(config.store, *part.shape[1:]) for part in shapes]
        self._filled = self._next = 0
        self._add(first)

    def _add(self, batch: Batch) -> None:
        parts = (batch.features, batch.truth.rotation, batch.truth.joints, batch.truth.points)
        for whole, part in zip(self._arrays, parts, strict=True):
            whole[self._next : self._next + len(part)] = part
        self._next += len(parts[0])
        self._filled = max(self._filled, self._next)
        if self._next + len(parts[0]) > self._config.store:
            self._next = 0

    def draw(self, step: int) -> Batch:
        """A batch of stored hands; new ones come in as the old are used up."""
        if step % self._config.uses == 0:
            self._add(self._generator.batch(self._random, self._config.batch))
        rows = torch.from_numpy(self._random.integers(self._filled, size=self._config.batch))
        features, *truth = (part[rows] for part in self._arrays)
        return Batch(features, Targets(*truth))


def pool_of(run: Path, seed: int) -> NDArray[np.float32]:
    """Packed poses of the training side of the split, made once a run."""
    path = run / "pool.npy"
    if not path.exists():
        angles = poses.sample(np.random.default_rng([seed, 1]), _POOL)
        np.save(path, pack(angles, free_hinges("right")).astype(np.float32))
    return np.asarray(np.load(path), np.float32)


class Run:
    """A training run in a folder: checkpoint.pt to go on from, best.pt to keep, curve.jsonl to look at."""

    def __init__(self, folder: Path, config: Config, seen: Sequence[Observed] = ()) -> None:
        self.folder, self.config = folder, config
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(config.seed)
        self.network = IKNet(config.width)
        groups = [
            {"params": list(self.network.stack.parameters()), "base": _RATE},
            {"params": list(self.network.last.parameters()), "base": _LAST_RATE},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=_RATE, weight_decay=config.weight_decay)
        self.generator = Generator(pool_of(folder, config.seed), seen)
        self.held_out = HeldOut.make(folder / "held_out.npz")
        self.used, self.best = 0, math.inf
        if (folder / "checkpoint.pt").exists():
            self._resume()
        else:
            first = self.generator.batch(np.random.default_rng([config.seed, 2]), _STATISTICS)
            self.network.prepare(first.features, first.truth.rotation)

    def _resume(self) -> None:
        state = torch.load(self.folder / "checkpoint.pt", map_location="cpu", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.used, self.best = state["used"], state["best"]
        log.info("going on after %d hands", self.used)

    def _save(self, name: str, *, whole: bool) -> None:
        state: dict[str, Any] = {"network": self.network.state_dict(), "used": self.used, "best": self.best}
        if whole:
            state["optimiser"] = self.optimiser.state_dict()
        temporary = self.folder / f"{name}.tmp"
        torch.save(state, temporary)
        temporary.replace(self.folder / name)

    def _set_rate(self) -> None:
        share = min(1.0, self.used / self.config.samples)
        factor = min(1.0, self.used / _WARM_UP + 0.05) * (0.5 + 0.5 * math.cos(math.pi * share))
        for group in self.optimiser.param_groups:
            group["lr"] = group["base"] * factor

    def train(self, every: int) -> None:
        """Until `samples` hands were used; validates and saves after each `every` hands."""
        config = self.config
        # What is made depends on how far the run is, so that a resumed run does not see its first hands again.
        store = Store(self.generator, config, np.random.default_rng([config.seed, 3, self.used]))
        began, at_start, smooth, step = time.monotonic(), self.used, math.nan, 0
        while self.used < config.samples:
            self._set_rate()
            batch = store.draw(step)
            total, terms = loss(self.network(batch.features), batch.truth, config.weights)
            self.optimiser.zero_grad(set_to_none=True)
            total.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
            self.optimiser.step()
            value = float(total.detach())
            smooth = value if math.isnan(smooth) else 0.98 * smooth + 0.02 * value
            self.used += config.batch
            step += 1
            if self.used // every != (self.used - config.batch) // every or self.used >= config.samples:
                self._report(smooth, terms, (self.used - at_start) / (time.monotonic() - began))

    def _report(self, smooth: float, terms: dict[str, float], pace: float) -> None:
        errors = validate(self.network, self.held_out)
        record = {"used": self.used, "loss": smooth, "pace": round(pace, 1), "degrees": errors, "terms": terms}
        with (self.folder / "curve.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        shown = ", ".join(f"{noise} mm {error:.2f}" for noise, error in errors.items())
        log.info("%d hands, %.0f/s, loss %.4f, degrees at %s", self.used, pace, smooth, shown)
        mean = sum(errors.values()) / len(errors)
        if mean < self.best:
            self.best = mean
            self._save("best.pt", whole=False)
        self._save("checkpoint.pt", whole=True)


@torch.no_grad()
def validate(network: IKNet, held_out: HeldOut) -> dict[str, float]:
    """Mean error of the 15 finger joints in degrees at each level of noise."""
    network.eval()
    errors = {}
    for millimetres in NOISES:
        given = held_out.aligned(millimetres)
        answer = network(torch.from_numpy(given.features)).numpy()
        errors[f"{millimetres}"] = float(local_errors(answer, given.palm, held_out.rotation)[:, 1:].mean())
    network.train()
    return errors


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=Config.samples)
    parser.add_argument("--width", type=int, default=Config.width)
    parser.add_argument("--seen", type=Path, nargs="*", default=[])
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
    run = Run(options.run, config, [Observed.read(path) for path in options.seen])
    (options.run / "config.json").write_text(json.dumps(asdict(config), indent=2), encoding="utf-8")
    run.train(options.every)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
