# SPDX-License-Identifier: GPL-3.0-or-later
"""Train IKNet: one command that resumes, logs its curve and keeps the best.

python -m training.iknet.train --run DIR [--samples N] [--seen FILE ...] [--weigh xyz=0.1]

`--seen` adds what a detector saw of hands with known truth (`batches.Observed`), out of fold.
"""

from __future__ import annotations

import argparse
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from blender_handmocap.engine.fit.hinges import pack
from blender_handmocap.engine.hand.free import free_hinges
from training.footage import poses
from training.runs import Keeper, command_line, configured, cosine

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
_ASKED: Final = ("samples", "width", "seen_share", "seed")
"""settings that are options of the command"""


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
    seen_share: float = 0.5
    """of the hands, where any were seen by a detector"""


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
    """A training run in a folder."""

    def __init__(self, folder: Path, config: Config, seen: Sequence[Observed] = ()) -> None:
        self.config = config
        torch.manual_seed(config.seed)
        self.network = IKNet(config.width)
        groups = [
            {"params": list(self.network.stack.parameters()), "lr": _RATE},
            {"params": list(self.network.last.parameters()), "lr": _LAST_RATE},
        ]
        self.keeper = Keeper(folder, config, self.network, torch.optim.AdamW(groups, weight_decay=config.weight_decay))
        self.generator = Generator(pool_of(folder, config.seed), seen, seen_share=config.seen_share)
        self.held_out = HeldOut.make(folder / "held_out.npz")
        if not self.keeper.resume():
            first = self.generator.batch(np.random.default_rng([config.seed, 2]), _STATISTICS)
            self.network.prepare(first.features, first.truth.rotation)

    def train(self, every: int) -> None:
        """Until `samples` hands were used; validates and saves after each `every` hands."""
        config, keeper = self.config, self.keeper
        # What is made depends on how far the run is, so that a resumed run does not see its first hands again.
        store = Store(self.generator, config, np.random.default_rng([config.seed, 3, keeper.used]))
        step = 0
        while keeper.used < config.samples:
            batch = store.draw(step)
            total, terms = loss(self.network(batch.features), batch.truth, config.weights)
            share = cosine(keeper.used, config.samples, warm_up=_WARM_UP)
            keeper.step(total, config.batch, share=share, clip=_CLIP)
            step += 1
            if keeper.used // every != (keeper.used - config.batch) // every or keeper.used >= config.samples:
                self._report(terms)

    def _report(self, terms: dict[str, float]) -> None:
        keeper = self.keeper
        errors = validate(self.network, self.held_out)
        keeper.report(sum(errors.values()) / len(errors), {"degrees": errors, "terms": terms})
        shown = ", ".join(f"{noise} mm {error:.2f}" for noise, error in errors.items())
        log.info("%d hands, %.0f/s, loss %.4f, degrees at %s", keeper.used, keeper.pace, keeper.loss, shown)


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


def weight(text: str) -> tuple[str, float]:
    """A term of the loss and how much it counts from `xyz=0.1`; 0 switches it off."""
    name, _, value = text.partition("=")
    try:
        counts = float(value)
    except ValueError:
        counts = math.nan
    if name not in vars(Weights()) or not 0.0 <= counts < math.inf:
        raise argparse.ArgumentTypeError(
            f"{text} is not one of {', '.join(f'{term}=WEIGHT' for term in vars(Weights()))}"
        )
    return name, counts


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = command_line(__doc__, Config(), _ASKED, every=200_000)
    parser.add_argument("--seen", type=Path, nargs="*", default=[], help="hands as a detector saw them")
    parser.add_argument("--weigh", type=weight, nargs="*", default=[], help="loss terms to weigh otherwise: xyz=0.1")
    options = parser.parse_args(arguments)
    config = configured(options, Config(), _ASKED, weights=replace(Weights(), **dict(options.weigh)))
    Run(options.run, config, [Observed.read(path) for path in options.seen]).train(options.every)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
