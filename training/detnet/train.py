# SPDX-License-Identifier: GPL-3.0-or-later
"""Train DetNet: one command that resumes, logs its curves and keeps the best.

    python -m training.detnet.train --shards DIR --run DIR [--stage heads|own|whole] [--samples N] [--from model.pt]

`heads` trains on cached taps of the frozen trunk; `own` also tunes a copy of the trunk's first blocks
after features_14, beside the shared ones; `whole` tunes a trunk of its own from the picture on, MediaPipe's
or (`--trunk resnet50`) the published one, and asks for a GPU. All start from `--from` when given: runs
(of several their mean), or the file that ships, which is of stage `own`. The last rows of every shard are held
out, so that shards may be added while a run goes on: it computes their taps and takes them in at its next report.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from blender_handmocap.engine.rotations import aligning_rotation
from training import shipped
from training.runs import Keeper, add_without, command_line, configured, cosine, rated, weighed

from .export import export
from .losses import Targets, Weights, loss
from .network import CROP, DetNet, Heads, Whole
from .resnet import ResNet
from .shards import Shards, find, held_out
from .taps import HAND_NETWORK, compute_missing, session
from .trunk import OWN_BLOCKS, TAPS, Trunk

log = logging.getLogger(__name__)

Stage = Literal["heads", "own", "whole"]
TrunkName = Literal["mediapipe", "resnet50"]
_HEADS_RATE: Final = {"heads": 2e-3, "own": 1e-3, "whole": 1e-3}
_OWN_RATE: Final = 3e-4
_TRUNK_RATE: Final = {"mediapipe": 1e-4, "resnet50": 1e-3}
"""a trunk that knows hands is only drawn nearer; the published one starts from nothing"""
_SIZE_WEIGHT: Final = {"heads": 0.0, "own": 1.0, "whole": 0.0}
_MEASURED: Final = 64
"""pictures that a whole network's statistics are taken over"""
_FROM_HELP: Final = "best.pt of a run, or the file that ships (stage own), to go on from; of several runs: their mean"
_WARM_UP: Final = 2000
_CLIP: Final = 5.0
_ASKED: Final = ("samples", "channels", "batch", "rate", "seed")
"""settings that are options of the command"""


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run becomes."""

    stage: Stage = "heads"
    trunk: TrunkName = "mediapipe"
    """of stage `whole`; the others share MediaPipe's"""
    channels: int = 64
    batch: int = 32
    samples: int = 400_000
    """crops seen in all; the learning rate falls to zero over them"""
    rate: float = 1.0
    """share of the stage's highest learning rates; less for a network that has little left to learn"""
    weight_decay: float = 1e-3
    seed: int = 0
    weights: Weights = field(default_factory=Weights)
    often: dict[str, int] = field(default_factory=dict)
    """how many times rows of shards whose name begins so are seen for once of the others"""


def trunk_of(name: TrunkName) -> Trunk | ResNet:
    """A trunk to be trained."""
    return ResNet() if name == "resnet50" else Trunk().load_mediapipe(HAND_NETWORK)


def arrays_of(stage: Stage) -> list[str]:
    """What a stage reads of each shard."""
    return ["image"] if stage == "whole" else list(TAPS)


def build(config: Config, start: Sequence[Path], shards: Shards) -> DetNet | Whole:
    """A network ready to train: fresh heads with the taps' statistics, the mean weights of `start`, or what ships."""
    network = whole(config, shards) if config.stage == "whole" else shared(config, shards)
    if shipped.begin(network, start, lambda path: shipped.read(network, export, path)):
        rows = np.unique(np.linspace(0, len(shards) - 1, _MEASURED).astype(np.int64))
        shipped.settle(network, [lambda: shown(network, shards, rows)])
    return network.to(memory_format=torch.channels_last)


def shared(config: Config, shards: Shards) -> DetNet:
    """Heads on MediaPipe's trunk, of which at most the first blocks after features_14 have a copy to be tuned."""
    heads = Heads(config.channels, own=config.stage == "own")
    heads.set_statistics(shards.statistics())
    if heads.own is not None:
        trunk = Trunk().load_mediapipe(HAND_NETWORK)
        heads.own.load_state_dict(nn.Sequential(*trunk.blocks[OWN_BLOCKS]).state_dict())
    return DetNet(heads)


@torch.no_grad()
def whole(config: Config, shards: Shards) -> Whole:
    """Heads on a trunk of their own."""
    trunk = trunk_of(config.trunk)
    network = Whole(trunk, Heads(config.channels, widths=trunk.widths))
    rows = np.unique(np.linspace(0, len(shards) - 1, _MEASURED).astype(np.int64))
    taps = dict(zip(trunk.widths, network.taps(shards.pictures(rows)), strict=True))
    network.heads.set_statistics({n: (t.mean((0, 2, 3)), t.std((0, 2, 3)) + 1e-3) for n, t in taps.items()})
    return network


def shown(network: DetNet | Whole, shards: Shards, rows: NDArray[np.int64]) -> tuple[dict[str, Tensor], Targets]:
    """What the network says of rows, and what is true of them, where the network lies."""
    device = network.heads.cells.device
    truth = shards.targets(rows).to(device)
    if isinstance(network, Whole):
        return network.heads(*network.taps(shards.pictures(rows).to(device))), truth
    taps = shards.features(rows, list(TAPS))
    return network.heads(**{name: tap.to(device) for name, tap in taps.items()}), truth


@torch.no_grad()
def validate(network: DetNet | Whole, shards: Shards, index: NDArray[np.int64]) -> dict[str, float]:
    """Errors on held-out crops: pixels of the crop, and palm lengths after a similarity alignment."""
    network.eval()
    pixels, aligned, hidden = [], [], []
    for start in range(0, len(index), 64):
        rows = index[start : start + 64]
        out, truth = shown(network, shards, rows)
        solid = (truth.present * truth.has_3d) > 0
        pixels.append((out["position"] - truth.position).norm(dim=-1)[solid].cpu().numpy() * CROP)
        aligned.append(similarity_errors(out["location"][solid].cpu().numpy(), truth.location[solid].cpu().numpy()))
        hidden.append(truth.visible[solid].cpu().numpy() < 0.5)
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
    """A training run in a folder."""

    def __init__(
        self, folder: Path, config: Config, shards: Shards, start: Sequence[Path] = (), device: str = "cpu"
    ) -> None:
        self.config = config
        torch.manual_seed(config.seed)
        self.network = build(config, start, shards).to(device)
        tuned: list[nn.Parameter] = []
        tuned_rate = 0.0
        if isinstance(self.network, Whole):
            tuned, tuned_rate = list(self.network.trunk.parameters()), _TRUNK_RATE[config.trunk]
        elif self.network.heads.own is not None:
            tuned, tuned_rate = list(self.network.heads.own.parameters()), _OWN_RATE
        rate = config.rate * _HEADS_RATE[config.stage]
        groups = rated(self.network.heads.parameters(), rate, tuned, config.rate * tuned_rate)
        self.keeper = Keeper(folder, config, self.network, torch.optim.AdamW(groups, weight_decay=config.weight_decay))
        self.take(shards)
        self.keeper.resume()

    def take(self, shards: Shards) -> None:
        """Go on with these shards, of which earlier ones keep their held-out rows."""
        counts = np.diff(shards.starts)
        kept = [begin + held_out(int(rows)) for begin, rows in zip(shards.starts[:-1], counts, strict=True)]
        self.shards, self.validation = shards, np.concatenate(kept)
        times = np.ones(len(counts), np.int64)
        for beginning, count in self.config.often.items():
            times[[folder.name.startswith(beginning) for folder in shards.folders]] = count
        rows = np.setdiff1d(np.arange(len(shards)), self.validation)
        self.training = np.repeat(rows, np.repeat(times, counts)[rows])

    def train(self, every: int, renewed: Callable[[], Shards] | None = None) -> None:
        """Until `samples` crops were seen; validates, saves and asks for the shards there are after each `every`."""
        config, keeper = self.config, self.keeper
        terms: dict[str, float] = {}
        while keeper.used < config.samples:
            # The order depends on how far the run is alone, so that a resumed run sees what a whole one does.
            random = np.random.default_rng([config.seed, keeper.used])
            due = min((keeper.used // every + 1) * every, config.samples)
            while keeper.used < due:
                order = random.permutation(self.training)
                for begin in range(0, len(order) - config.batch + 1, config.batch):
                    rows = np.sort(order[begin : begin + config.batch])
                    total, terms = loss(*shown(self.network, self.shards, rows), config.weights)
                    share = cosine(keeper.used, config.samples, warm_up=_WARM_UP)
                    keeper.step(total, config.batch, share=share, clip=_CLIP)
                    if keeper.used >= due:
                        break
            self._report(terms)
            if renewed is not None:
                self.take(renewed())

    def _report(self, terms: dict[str, float]) -> None:
        keeper = self.keeper
        errors = validate(self.network, self.shards, self.validation)
        keeper.report(errors["aligned"], {"rows": len(self.training), **errors, "terms": terms})
        log.info(
            "%d crops, %.0f/s, loss %.3f, %.2f px, %.4f palms aligned",
            keeper.used, keeper.pace, keeper.loss, errors["pixels"], errors["aligned"],
        )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = command_line(__doc__, Config(), _ASKED, every=20_000)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--stage", choices=get_args(Stage), default="heads")
    parser.add_argument("--trunk", choices=get_args(TrunkName), default=Config.trunk, help="of stage whole")
    parser.add_argument("--device", default="cpu", help="cuda, where there is one")
    parser.add_argument("--from", dest="start", type=Path, nargs="+", default=[], help=_FROM_HELP)
    parser.add_argument(
        "--often", nargs="*", default=[], metavar="NAME=TIMES", help="shards seen several times as often"
    )
    add_without(parser, Weights())
    options = parser.parse_args(arguments)
    weights = weighed(options, Weights(size=_SIZE_WEIGHT[options.stage]))
    often = {name: int(times) for name, times in (one.split("=") for one in options.often)}
    config = configured(
        options, Config(), _ASKED, stage=options.stage, trunk=options.trunk, weights=weights, often=often
    )
    network = session(options.threads)
    arrays = arrays_of(options.stage)

    def renewed() -> Shards:
        if "image" not in arrays:
            compute_missing(options.shards, network)
        return Shards.open(find(options.shards, complete=arrays[-1]), arrays)

    Run(options.run, config, renewed(), options.start, options.device).train(options.every, renewed)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
