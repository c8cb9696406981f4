# SPDX-License-Identifier: GPL-3.0-or-later
"""Train DetNet: one command that resumes, logs its curves and keeps the best.

    python -m training.detnet.train --shards DIR --run DIR [--stage heads|own] [--samples N] [--from model.pt]

`heads` trains on cached taps of the frozen trunk; `own` also tunes a copy of the trunk's first blocks
after features_14, beside the shared ones. Both start from `--from` when given. The last rows of every shard are
held out, so that shards may be added while a run goes on: it computes their taps and takes them in
at its next report.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from blender_handmocap.engine.rotations import aligning_rotation

from .losses import Weights, loss
from .network import CROP, DetNet, Heads
from .shards import Shards, find, held_out
from .taps import HAND_NETWORK, compute_missing, session
from .trunk import OWN_BLOCKS, TAPS, Trunk

log = logging.getLogger(__name__)

Stage = Literal["heads", "own"]
_HEADS_RATE: Final = {"heads": 2e-3, "own": 1e-3}
_OWN_RATE: Final = 3e-4
_SIZE_WEIGHT: Final = {"heads": 0.0, "own": 1.0}
_WARM_UP: Final = 2000
_CLIP: Final = 5.0


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run becomes."""

    stage: Stage = "heads"
    channels: int = 64
    batch: int = 32
    samples: int = 400_000
    """crops seen in all; the learning rate falls to zero over them"""
    weight_decay: float = 1e-3
    seed: int = 0
    weights: Weights = field(default_factory=Weights)


def build(config: Config, start: Path | None, shards: Shards) -> DetNet:
    """A network ready to train: fresh heads with the taps' statistics, or the weights of `start`."""
    heads = Heads(config.channels, own=config.stage == "own")
    heads.set_statistics(shards.statistics())
    if heads.own is not None:
        trunk = Trunk().load_mediapipe(HAND_NETWORK)
        heads.own.load_state_dict(nn.Sequential(*trunk.blocks[OWN_BLOCKS]).state_dict())
    network = DetNet(heads)
    if start is not None:
        network.load_state_dict(torch.load(start, map_location="cpu", weights_only=True)["network"], strict=False)
    return network.to(memory_format=torch.channels_last)


@torch.no_grad()
def validate(network: DetNet, shards: Shards, index: NDArray[np.int64]) -> dict[str, float]:
    """Errors on held-out crops: pixels of the crop, and palm lengths after a similarity alignment."""
    network.eval()
    pixels, aligned, hidden = [], [], []
    for start in range(0, len(index), 64):
        rows = index[start : start + 64]
        out, truth = network.heads(**shards.features(rows, list(TAPS))), shards.targets(rows)
        solid = (truth.present * truth.has_3d) > 0
        pixels.append((out["position"] - truth.position).norm(dim=-1)[solid].numpy() * CROP)
        aligned.append(similarity_errors(out["location"][solid].numpy(), truth.location[solid].numpy()))
        hidden.append(truth.visible[solid].numpy() < 0.5)
    network.train()
    error, unseen = np.concatenate(aligned), np.concatenate(hidden)
    return {
        "pixels": float(np.concatenate(pixels).mean()),
        "aligned": float(error.mean()),
        "aligned_hidden": float(error[unseen].mean()) if unseen.any() else math.nan,
    }


def similarity_errors(points: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.float64]:
    """(N, 21) distances after the best rotation, scale and shift of each hand, in the truth's unit."""
    a = np.asarray(points, np.float64) - points.mean(1, keepdims=True)
    b = np.asarray(truth, np.float64) - truth.mean(1, keepdims=True)
    turned = a @ np.swapaxes(aligning_rotation(a, b), 1, 2)
    scale = (turned * b).sum((1, 2)) / np.maximum((turned**2).sum((1, 2)), 1e-12)
    return np.linalg.norm(turned * scale[:, None, None] - b, axis=-1)


class Run:
    """A training run in a folder: checkpoint.pt to go on from, best.pt to keep, curve.jsonl to look at."""

    def __init__(self, folder: Path, config: Config, shards: Shards, start: Path | None) -> None:
        self.folder, self.config, self.shards = folder, config, shards
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(config.seed)
        self.network = build(config, start, shards)
        rate = _HEADS_RATE[config.stage]
        own = [] if self.network.heads.own is None else list(self.network.heads.own.parameters())
        known = {id(parameter) for parameter in own}
        rest = [parameter for parameter in self.network.heads.parameters() if id(parameter) not in known]
        groups = [{"params": rest, "base": rate}, *([{"params": own, "base": _OWN_RATE}] if own else [])]
        self.optimiser = torch.optim.AdamW(groups, lr=rate, weight_decay=config.weight_decay)
        self.seen, self.best = 0, math.inf
        self.take(shards)
        if (folder / "checkpoint.pt").exists():
            self._resume()

    def take(self, shards: Shards) -> None:
        """Go on with these shards, of which earlier ones keep their held-out rows."""
        counts = np.diff(shards.starts)
        kept = [begin + held_out(int(rows)) for begin, rows in zip(shards.starts[:-1], counts, strict=True)]
        self.shards, self.validation = shards, np.concatenate(kept)
        self.training = np.setdiff1d(np.arange(len(shards)), self.validation)

    def _resume(self) -> None:
        state = torch.load(self.folder / "checkpoint.pt", map_location="cpu", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.seen, self.best = state["seen"], state["best"]
        log.info("going on after %d crops", self.seen)

    def _save(self, name: str, *, whole: bool) -> None:
        state: dict[str, Any] = {"network": self.network.state_dict(), "seen": self.seen, "best": self.best}
        if whole:
            state["optimiser"] = self.optimiser.state_dict()
        temporary = self.folder / f"{name}.tmp"
        torch.save(state, temporary)
        temporary.replace(self.folder / name)

    def _set_rate(self) -> None:
        share = self.seen / self.config.samples
        factor = min(1.0, self.seen / _WARM_UP + 0.05) * (0.5 + 0.5 * math.cos(math.pi * min(1.0, share)))
        for group in self.optimiser.param_groups:
            group["lr"] = group["base"] * factor

    def train(self, every: int, renewed: Callable[[], Shards] | None = None) -> None:
        """Until `samples` crops were seen; validates, saves and asks for the shards there are after each `every`."""
        config = self.config
        began, at_start, smooth, terms = time.monotonic(), self.seen, math.nan, {}
        while self.seen < config.samples:
            # The order depends on how far the run is alone, so that a resumed run sees what a whole one does.
            random = np.random.default_rng([config.seed, self.seen])
            due = min((self.seen // every + 1) * every, config.samples)
            while self.seen < due:
                order = random.permutation(self.training)
                for begin in range(0, len(order) - config.batch + 1, config.batch):
                    self._set_rate()
                    rows = np.sort(order[begin : begin + config.batch])
                    out = self.network.heads(**self.shards.features(rows, list(TAPS)))
                    total, terms = loss(out, self.shards.targets(rows), config.weights)
                    self.optimiser.zero_grad(set_to_none=True)
                    total.backward()
                    nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
                    self.optimiser.step()
                    value = float(total.detach())
                    smooth = value if math.isnan(smooth) else 0.98 * smooth + 0.02 * value
                    self.seen += config.batch
                    if self.seen >= due:
                        break
            self._report(smooth, terms, (self.seen - at_start) / (time.monotonic() - began))
            if renewed is not None:
                self.take(renewed())

    def _report(self, smooth: float, terms: dict[str, float], pace: float) -> None:
        errors = validate(self.network, self.shards, self.validation)
        record = {
            "seen": self.seen,
            "rows": len(self.training),
            "loss": smooth,
            "pace": round(pace, 1),
            **errors,
            "terms": terms,
        }
        with (self.folder / "curve.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        log.info(
            "%d crops, %.0f/s, loss %.3f, %.2f px, %.4f palms aligned",
            self.seen, pace, smooth, errors["pixels"], errors["aligned"],
        )  # fmt: skip
        if errors["aligned"] < self.best:
            self.best = errors["aligned"]
            self._save("best.pt", whole=False)
        self._save("checkpoint.pt", whole=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--stage", choices=get_args(Stage), default="heads")
    parser.add_argument("--samples", type=int, default=Config.samples)
    parser.add_argument("--channels", type=int, default=Config.channels)
    parser.add_argument("--batch", type=int, default=Config.batch)
    parser.add_argument("--from", dest="start", type=Path)
    parser.add_argument("--without", nargs="*", default=[], help="loss terms to switch off")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--every", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    config = Config(
        stage=options.stage,
        channels=options.channels,
        batch=options.batch,
        samples=options.samples,
        seed=options.seed,
        weights=replace(Weights(size=_SIZE_WEIGHT[options.stage]), **dict.fromkeys(options.without, 0.0)),
    )
    network = session(options.threads)

    def renewed() -> Shards:
        compute_missing(options.shards, network)
        return Shards.open(find(options.shards, complete=list(TAPS)[-1]), list(TAPS))

    run = Run(options.run, config, renewed(), options.start)
    (options.run / "config.json").write_text(json.dumps(asdict(config), indent=2), encoding="utf-8")
    run.train(options.every, renewed)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
