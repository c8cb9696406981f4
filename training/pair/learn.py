# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the heads that read both hands from one crop, on the taps of shards: resumes, takes in new shards.

python -m training.pair.learn --shards DIR --run DIR [--samples N] [--stage heads|upper] [--from best.pt ...]

The last pictures of every shard are never trained on; the run is chosen on them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blender_handmocap.engine.models import model_file
from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.detnet import DetNet
from blender_handmocap.engine.see.landmarks import HAND_MODEL
from blender_handmocap.engine.see.pair_given import SeenPair, given
from training import shipped
from training.detnet.shards import find
from training.detnet.trunk import TAPS, Trunk
from training.runs import Keeper, add_without, command_line, configured, cosine, rated, weighed

from . import files
from .eyes import EyesSaid, read_eyes
from .followed import Following, followed
from .heads import CROP, PairHeads
from .losses import Targets, Weights, loss, targets
from .shards import LABELS, LAID, read_labels

log = logging.getLogger(__name__)

_WARM_UP: Final = 5000
_CLIP: Final = 2.0
_HELD_OUT: Final = 30
"""rows at the end of every shard that no run trains on: whole pictures"""
_UPPER_RATE: Final = 0.3
"""of the rate that the heads are trained at: a trunk that knows hands is only drawn nearer"""
_SETTLED: Final = 20
"""batches that tell what batch norms see, where a run goes on from files that ship"""
_FROM_HELP: Final = "best.pt of a run, or the pair_crop.onnx that ships, to go on from; of several runs: their mean"
Stage = Literal["heads", "upper"]
_ASKED: Final = ("samples", "width", "layers", "batch", "rate", "seed")
"""settings that are options of the command"""


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run becomes."""

    width: int = 128
    layers: int = 4
    batch: int = 48
    samples: int = 300_000
    """crops seen in all; the learning rate falls to zero over them"""
    rate: float = 1e-3
    weight_decay: float = 1e-3
    seed: int = 0
    weights: Weights = field(default_factory=Weights)
    following: Following = field(default_factory=Following)
    stage: Stage = "heads"
    """`upper` also tunes a copy of the trunk's blocks after features_28, but for the filters of single channels, whose
    gradients would cost more than all the rest"""
    halves: bool = False
    """compute in bfloat16: twice as quick on processors that have units for it, slow on others"""
    again: float = 0.5
    """share of the crops that are looked at as the engine looks a second time: from the network's own first answer"""


class Data:
    """Many shards as one indexable whole; taps stay on disk."""

    def __init__(self, folders: Sequence[Path]) -> None:
        parts = [read_labels(folder) for folder in folders]
        self.starts = np.concatenate([[0], np.cumsum([len(part["palm"]) for part in parts])])
        self.labels: dict[str, NDArray[Any]] = {
            name: np.concatenate([part[name] for part in parts]) for name in (*LABELS, LAID)
        }
        self._folders = folders
        self._maps = {name: [np.load(folder / f"{name}.npy", mmap_mode="r") for folder in folders] for name in TAPS}
        self._images = [np.load(folder / "image.npy", mmap_mode="r") for folder in folders]
        last = [np.arange(max(end - _HELD_OUT, begin), end) for begin, end in zip(self.starts, self.starts[1:])]  # noqa: B905
        self.validation = np.concatenate(last)
        self.training = np.setdiff1d(np.arange(len(self)), self.validation)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def features(self, index: NDArray[np.int64], names: Iterable[str] = TAPS) -> dict[str, Tensor]:
        """The taps of rows, in rising order."""
        return {name: torch.from_numpy(self._rows(self._maps[name], index)).float() for name in names}

    def images(self, index: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(N, 224, 224, 3) the crops of rows, in rising order."""
        return self._rows(self._images, index)

    def _rows(self, files: Sequence[NDArray[Any]], index: NDArray[np.int64]) -> NDArray[Any]:
        """Rows of one array of all shards, one file each."""
        shard = np.searchsorted(self.starts, index, side="right") - 1
        return np.concatenate([files[s][index[shard == s] - self.starts[s]] for s in np.unique(shard)])

    def targets(self, index: NDArray[np.int64]) -> Targets:
        """What is true of rows."""
        return targets({name: values[index] for name, values in self.labels.items()})

    def eyes(self, index: NDArray[np.int64]) -> EyesSaid:
        """What the engine's own eyes said of rows."""
        return self._eyes.rows(index)

    @cached_property
    def _eyes(self) -> EyesSaid:
        """Of all rows; read only by those who ask: the maps do not."""
        return read_eyes(self._folders, np.diff(self.starts).tolist())

    def statistics(self, definition: NDArray[np.float64], following: Following, rows: int = 600) -> Statistics:
        """Mean and deviation of every tap, and of what is known."""
        index = np.unique(np.linspace(0, len(self) - 1, min(rows, len(self))).astype(np.int64))
        taps = self.features(index)
        out = {name: (tap.mean((0, 2, 3)), tap.std((0, 2, 3)) + 1e-3) for name, tap in taps.items()}
        (_, points, pair), _ = told(self, index, definition, np.random.default_rng(0), following)
        for name, values in (("point", points.flatten(0, 2)), ("pair", pair)):
            out[name] = (values.mean(0), values.std(0).clamp(min=0.05))
        return out


Statistics = dict[str, tuple[Tensor, Tensor]]


Told = tuple[Tensor, Tensor, Tensor]
"""what the network is given beside the taps"""


def told(
    data: Data,
    index: NDArray[np.int64],
    definition: NDArray[np.float64],
    random: np.random.Generator,
    following: Following,
) -> tuple[Told, Targets]:
    """What a tracker might know of rows, and the truth in the order of hands in which he knows it."""
    seen, truth = followed(data.targets(index), definition, random, following, data.eyes(index))
    return as_given(seen), truth


def seen_taps(heads: PairHeads, data: Data, rows: NDArray[np.int64]) -> dict[str, Tensor]:
    """What the heads see of rows."""
    return heads.taps(data.features(rows, TAPS if heads.upper is None else ["features_28"]))


def as_given(seen: SeenPair) -> Told:
    """What is known, as the network reads it."""
    known = given(seen)
    return torch.from_numpy(known.seen), torch.from_numpy(known.points), torch.from_numpy(known.pair)


def told_again(out: Mapping[str, Tensor], first: Told, truth: Targets, definition: NDArray[np.float64]) -> Told:
    """What the second look is given: where the first one saw a pair, its answer `out`; elsewhere the same once more."""
    places, form = (definition @ out[name].double().numpy() for name in ("position", "location"))
    answer = SeenPair(
        points=places,
        error=torch.exp(out["log_error_2d"]).double().numpy(),
        form=form - form[:, :, :1],
        form_error=torch.exp(out["log_error_3d"]).double().numpy(),
        known=np.ones(places.shape[:2], bool),
        focal=truth.focal,
    )
    both = (torch.cat([out["present"], out["pair"][:, None]], 1) > 0).all(1)
    return _mixed(both, as_given(answer), first)


def _mixed(chosen: Tensor, one: Told, other: Told) -> Told:
    """Rows of `one` where `chosen` (N,), else of the other."""
    rows = [torch.where(chosen.reshape(-1, *[1] * (a.dim() - 1)), a, b) for a, b in zip(one, other, strict=True)]
    return rows[0], rows[1], rows[2]


@torch.no_grad()
def validate(
    heads: PairHeads, data: Data, index: NDArray[np.int64], definition: NDArray[np.float64], following: Following
) -> dict[str, float]:
    """Errors of the second look at held-out crops; lengths in palm lengths, positions in pixels of the crop."""
    heads.eval()
    random = np.random.default_rng(0)
    said: dict[str, list[Tensor]] = {}
    for start in range(0, len(index), 64):
        rows = index[start : start + 64]
        known, truth = told(data, rows, definition, random, following)
        taps = seen_taps(heads, data, rows)
        first = heads(*taps.values(), *known)
        out = heads(*taps.values(), *told_again(first, known, truth, definition))
        pair = truth.pair > 0
        seen, hidden = (truth.inside * truth.visible) > 0, (truth.inside * (1.0 - truth.visible)) > 0
        pixels = (out["position"] - truth.position).norm(dim=-1) * CROP
        form = (out["location"] - truth.location).norm(dim=-1)
        known_way = truth.placed > 0
        off = (out["vector"] - truth.vector)[known_way]
        told_of = known[2][:, 6:8]
        lost = ((told_of == 0) & (truth.known > 0) & pair[:, None])[..., None] & (truth.inside > 0)
        by_size = known_way & (known[2][:, 8] > 0)
        placed = (known[2][:, 1:4] - truth.vector)[by_size]
        said_touch, touch, sure = out["contact"] > 0, truth.contact > 0, truth.contact_known > 0
        before = (known[0] - truth.position).norm(dim=-1) * CROP
        batch = {
            "pixels": pixels[seen],
            "pixels_hidden": pixels[hidden],
            "pixels_lost": pixels[lost],
            "guessed_lost": ((first["guess"] - truth.position).norm(dim=-1) * CROP)[lost],
            "form": form[truth.known > 0].mean(-1),
            "vector": off.norm(dim=-1),
            "vector_plane": off[:, :2].norm(dim=-1),
            "vector_depth": off[:, 2].abs(),
            "ratio": (off.abs() / torch.exp(out["log_sigma"][known_way])).mean(-1),
            "before": before[seen],
            "placed": placed.norm(dim=-1),
            "placed_depth": placed[:, 2].abs(),
            "vector_known": (out["vector"] - truth.vector)[by_size].norm(dim=-1),
            "nearer": ((out["left_nearer"] > 0) == (truth.nearer > 0))[truth.nearer != 0].float(),
            "present": ((out["present"] > 0) == (truth.present > 0))[truth.strangers == 0].float(),
            "pair": ((out["pair"] > 0) == pair).float(),
            "pair_beside": ((out["pair"] > 0) == pair)[told_of.sum(1) == 1].float(),
            "pair_believed": (out["pair"] < 0)[(told_of.sum(1) == 2) & ~pair].float(),
            "side_kept": (out["as_told"] > 0)[(truth.told * truth.as_told) > 0].float(),
            "side_doubted": (out["as_told"] < 0)[(truth.told * (1.0 - truth.as_told)) > 0].float(),
            "precision": touch[said_touch & sure].float(),
            "recall": said_touch[touch].float(),
        }
        for name, values in batch.items():
            said.setdefault(name, []).append(values.flatten())
    heads.train()
    return {name: float(torch.cat(values).mean()) for name, values in said.items()}


def fresh(config: Config) -> PairHeads:
    """A network as a run begins it: the trunk's blocks are MediaPipe's."""
    upper = Trunk().load_mediapipe(model_file(HAND_MODEL)).upper() if config.stage == "upper" else None
    for block in upper.blocks if upper is not None else ():
        block.depthwise.requires_grad_(False)
    return PairHeads(config.width, config.layers, upper=upper)


def begin(heads: PairHeads, start: Sequence[Path], data: Data, definition: NDArray[np.float64], config: Config) -> None:
    """Take the weights to go on from: those that runs kept, or those of files that ship."""
    if not shipped.begin(heads, start, lambda path: files.read(heads, path)):
        return
    random = np.random.default_rng(config.seed)

    def look() -> None:
        rows = np.sort(random.choice(data.training, min(config.batch, len(data.training)), replace=False))
        known, _ = told(data, rows, definition, random, config.following)
        heads(*seen_taps(heads, data, rows).values(), *known)

    shipped.settle(heads, [look] * _SETTLED)


def _groups(heads: PairHeads, rate: float) -> list[dict[str, Any]]:
    """Parameters for an optimiser, with their rates."""
    tuned = list(heads.upper.parameters()) if heads.upper is not None else []
    return rated(heads.parameters(), rate, tuned, rate * _UPPER_RATE)


def train(run: Path, config: Config, shards: Path, every: int, start: Sequence[Path] = ()) -> None:
    """Until `samples` crops were seen; validates, saves and looks for new shards after each `every`."""
    data = Data(find(shards, complete=list(TAPS)[-1]))
    definition = DetNet.load(Runtime.choose("cpu", 1)).blend.definition
    torch.manual_seed(config.seed)
    heads = fresh(config)
    heads.set_statistics(data.statistics(definition, config.following))
    begin(heads, start, data, definition, config)
    optimiser = torch.optim.AdamW(_groups(heads, config.rate), weight_decay=config.weight_decay)
    keeper = Keeper(run, config, heads, optimiser)
    keeper.resume()
    terms: dict[str, float] = {}
    while keeper.used < config.samples:
        random = np.random.default_rng([config.seed, keeper.used])
        due = min((keeper.used // every + 1) * every, config.samples)
        while keeper.used < due:
            rows = np.sort(random.choice(data.training, config.batch, replace=False))
            known, truth = told(data, rows, definition, random, config.following)
            with torch.autocast("cpu", torch.bfloat16, enabled=config.halves):
                taps = seen_taps(heads, data, rows)
                second = torch.from_numpy(random.random(len(rows)) < config.again)
                if second.any():
                    with torch.no_grad():
                        first = heads(*taps.values(), *known)
                    known = _mixed(second, told_again(first, known, truth, definition), known)
                out = {name: value.float() for name, value in heads(*taps.values(), *known).items()}
            total, terms = loss(out, truth, config.weights)
            share = cosine(keeper.used, config.samples, warm_up=_WARM_UP)
            keeper.step(total, config.batch, share=share, clip=_CLIP)
        errors = validate(heads, data, data.validation, definition, config.following)
        keeper.report(_score(errors), {"rows": len(data.training), **errors, "terms": terms})
        shown = ", ".join(f"{name} {value:.3f}" for name, value in errors.items())
        log.info(
            "%d crops of %d, %.0f/s, loss %.3f, %s", keeper.used, len(data.training), keeper.pace, keeper.loss, shown
        )
        data = Data(find(shards, complete=list(TAPS)[-1]))


def _score(errors: dict[str, float]) -> float:
    """What a run is chosen by: points, forms and the way between the wrists, each about one when badly known."""
    return errors["pixels"] / 10.0 + errors["pixels_hidden"] / 15.0 + errors["form"] + errors["vector"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = command_line(__doc__, Config(), _ASKED, every=10_000)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--stage", choices=get_args(Stage), default="heads", help="what is trained")
    parser.add_argument("--from", dest="start", type=Path, nargs="*", default=[], help=_FROM_HELP)
    parser.add_argument("--halves", action="store_true", help="compute in bfloat16, where that is quick")
    add_without(parser, Weights())
    options = parser.parse_args(arguments)
    config = configured(
        options, Config(), _ASKED, stage=options.stage, halves=options.halves, weights=weighed(options, Weights())
    )
    train(options.run, config, options.shards, options.every, options.start)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
