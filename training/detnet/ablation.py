# SPDX-License-Identifier: GPL-3.0-or-later
"""What each part of DetNet's training is worth: short runs of equal compute, each with one thing changed.

    python -m training.detnet.ablation --shards DIR --runs DIR [--samples N] [--channels C] [--only NAME ...]

Every run sees as many crops on cached taps of the frozen trunk, in the same order, and is judged on the same
held-out drawn rows; all start fresh but the two that go on from the first one's end. Rows that are done are kept in
RUNS/rows.jsonl; a stopped table goes on with the same command. The first two rows differ by their seed alone: what is
less than that apart is not told apart. The two about recorded poses need equally many drawn rows with and without:

    python -m training.footage.dataset --out DIR --seed 1 --shards 1 --rows 500 [--no-recordings]
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from training.runs import Rows

from .losses import Weights
from .network import DetNet, Whole
from .shards import Shards, find
from .train import Config, Run, Stage, validate
from .trunk import TAPS

PALM: Final = 90.0
"""millimetres that a palm counts as"""


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    title: str
    without: tuple[str, ...] = ()
    """losses that are switched off"""
    shards: tuple[str, ...] = ("train", "real")
    """beginnings of the names of shards that are trained on"""
    second: bool = True
    """with crops that show another hand, too"""
    seed: int = 0
    stage: Stage = "heads"
    start: str = ""
    """the case whose end this one starts from; none: fresh"""


_EXTRA: Final = "001-00000"
"""seed and number of the shard that is drawn both with and without recorded poses"""

CASES: Final = {
    "all": Case("everything"),
    "seed": Case("everything, another seed", seed=1),
    "no-heat": Case("without the heatmap loss", ("heat",)),
    "no-position": Case("without the loss of the 2D reading", ("position",)),
    "no-location": Case("without the loss of the 3D reading", ("location",)),
    "no-location-map": Case("without the location maps' loss", ("location_map",)),
    "no-delta": Case("without the delta maps' loss", ("delta",)),
    "no-bone": Case("without the bones' loss", ("bone",)),
    "no-real": Case("without real crops", shards=("train",)),
    "redrawn": Case("and real hands drawn again", shards=("train", "real", "redrawn")),
    "composites": Case("and composites of real hands", shards=("train", "real", "composites")),
    "no-second": Case("without crops of two hands", second=False),
    "few": Case("500 drawn rows alone", shards=(f"train-{_EXTRA}",)),
    "unrecorded": Case("500 others, without recorded poses", shards=(f"unrecorded-{_EXTRA}",)),
    "longer": Case("everything, then as many crops again, heads alone", start="all"),
    "tuned": Case("everything, then as many crops again, with tuned blocks", stage="own", start="all"),
}


def rows_of(case: Case, shards: Shards) -> NDArray[np.bool_]:
    """(N,) the rows that a case may train on."""
    counts = np.diff(shards.starts)
    chosen = np.repeat([folder.name.startswith(case.shards) for folder in shards.folders], counts)
    return np.asarray(chosen if case.second else chosen & ~second_of(shards))


def second_of(shards: Shards) -> NDArray[np.bool_]:
    """(N,) rows that show another hand, too; unknown counts as none."""
    parts = []
    for folder, count in zip(shards.folders, np.diff(shards.starts), strict=True):
        path = folder / "second.npy"
        parts.append(np.load(path) > 0 if path.exists() else np.zeros(count, bool))
    return np.concatenate(parts)


def judged(network: DetNet | Whole, shards: Shards, index: NDArray[np.int64]) -> dict[str, float]:
    """Errors on held-out rows: crop pixels; millimetres aligned of all points, hidden ones, one hand and two."""
    two = second_of(shards)[index]
    parts = {"one hand": index[~two], "two hands": index[two]}
    told = {name: validate(network, shards, rows) for name, rows in parts.items() if len(rows)}
    shares = {name: len(parts[name]) / len(index) for name in told}

    def mean(key: str) -> float:
        return sum(shares[name] * told[name][key] for name in told)

    found = {"pixels": mean("pixels"), "PA": PALM * mean("aligned"), "hidden": PALM * mean("aligned_hidden")}
    return found | {name: PALM * told[name]["aligned"] if name in told else math.nan for name in parts}


def judges_of(run: Run) -> NDArray[np.int64]:
    """Held-out rows with exact truth, the same for every case."""
    drawn = np.array([folder.name.startswith("train") for folder in run.shards.folders])
    counts = np.diff(run.shards.starts)
    return run.validation[np.repeat(drawn | ~drawn.any(), counts)[run.validation]]


def trained(folder: Path, case: Case, config: Config, shards: Shards) -> dict[str, Any]:
    """Train one case and judge its end."""
    weights = replace(Weights(), **dict.fromkeys(case.without, 0.0))
    config = replace(config, seed=case.seed, stage=case.stage, weights=weights)
    run = Run(folder, config, shards, [folder.with_name(case.start) / "checkpoint.pt"] if case.start else [])
    run.training = run.training[rows_of(case, shards)[run.training]]
    run.train(config.samples)
    return {"rows": len(run.training), **judged(run.network, shards, judges_of(run))}


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| trained | rows | 2D, pixels | PA mm | hidden points | one hand | two hands |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, case in CASES.items():
        if name in rows:
            row = rows[name]
            values = [f"{row[key]:.1f}" for key in ("pixels", "PA", "hidden", "one hand", "two hands")]
            lines.append(f"| {case.title} | {row['rows']} | " + " | ".join(values) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--only", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    kept = Rows(options.runs)
    shards = Shards.open(find(options.shards, complete=list(TAPS)[-1]), list(TAPS))
    config = Config(channels=options.channels, samples=options.samples)
    for name in options.only:
        if name not in kept.rows:
            kept.add(name, trained(options.runs / name, CASES[name], config, shards))
    sys.stdout.write(table(kept.rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
