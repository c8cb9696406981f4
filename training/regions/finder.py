# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the region finder: one command that computes missing taps, trains or goes on, judges and exports.

    python -m training.regions.train finder --shards DIR --run DIR --out blender_handmocap/models/regions.onnx

The last rows of each shard are held out; recall and precision on them are printed, by the size of hands, and the
thresholds of the card come from them. `--run` keeps the state after every epoch: the same command goes on from there.
"""

from __future__ import annotations

import argparse
import copy
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.crops import PALM_INPUT, crop_of_hand, difference
from blender_handmocap.engine.see.regions import Region, decoded
from training import onnx_file

from .network import Finder, Targets, loss, mirrored, targets_of
from .pictures import ABSENT, HARDLY, THERE, UNKNOWN
from .taps import GRID as TAP_GRID, TAPS, compute_missing, find

log = logging.getLogger(__name__)

Array = NDArray[np.float64]

OUTPUTS: Final = ("centres", "shapes")
HELD_OUT: Final = 0.05
_BATCH: Final = 32
_RATE: Final = 3e-3
_WHOLE: Final = (PALM_INPUT / 2, PALM_INPUT / 2, PALM_INPUT, PALM_INPUT, 0.0)
"""the crop that is the input itself"""
_HIT: Final = 0.25
"""Distance of the centres in sides of the crop, and _HIT_SIZE in logarithms of it, within which a hand is found."""
_HIT_SIZE: Final = 0.5
_SIZES: Final = ((0.0, 0.12), (0.12, 0.25), (0.25, 2.0))
"""Crops' sides over the picture's"""


@dataclass(frozen=True)
class Shards:
    """Labels in memory, taps on disk; every row counts twice, as it is and mirrored."""

    taps: tuple[dict[str, NDArray[np.float16]], ...]
    points: tuple[NDArray[np.float32], ...]
    present: tuple[NDArray[np.uint8], ...]
    real: tuple[bool, ...]

    @classmethod
    def open(cls, root: Path) -> Shards:
        """Everything under `root`."""
        folders = find(root)
        return cls(
            taps=tuple({name: np.load(f / f"{name}.npy", mmap_mode="r") for name in TAPS} for f in folders),
            points=tuple(np.load(f / "points.npy") for f in folders),
            present=tuple(np.load(f / "present.npy") for f in folders),
            real=tuple(f.name.startswith("real") for f in folders),
        )

    def split(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(N, 3) rows (shard, picture, mirrored) to train on and held out."""
        rows = [
            (s, i, m, i >= len(labels) * (1 - HELD_OUT))
            for s, labels in enumerate(self.present)
            for i in range(len(labels))
            for m in range(2)
        ]
        table = np.array(rows, np.int64)
        return table[table[:, 3] == 0, :3], table[table[:, 3] == 1, :3]

    def labels(self, row: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Points (2, 21, 2) and present (2,) of one row."""
        shard, picture, flipped = row
        points, present = self.points[shard][picture], self.present[shard][picture]
        return mirrored(points, present) if flipped else (points, present)

    def batch(self, rows: NDArray[np.int64]) -> tuple[dict[str, Tensor], Targets]:
        """Taps and targets."""
        taps = {
            name: torch.from_numpy(np.stack([self.taps[s][name][i, m] for s, i, m in rows]))
            .float()
            .contiguous(memory_format=torch.channels_last)
            for name in TAPS
        }
        made = [targets_of(*self.labels(row)) for row in rows]
        return taps, Targets(*(torch.from_numpy(np.stack(part)) for part in zip(*made, strict=True)))


def train(shards: Shards, run: Path, epochs: int, seed: int = 0) -> Finder:
    """A trained finder; its weights are the running mean of the last ones."""
    torch.manual_seed(seed)
    rows, _ = shards.split()
    finder = Finder()
    start = np.random.default_rng(seed).permutation(rows)[:300]
    finder.set_statistics(shards.batch(start)[0])
    finder = finder.to(memory_format=torch.channels_last)
    mean = copy.deepcopy(finder)
    steps = epochs * (len(rows) // _BATCH)
    optimiser = torch.optim.AdamW(finder.parameters(), lr=_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps, pct_start=0.1)
    run.mkdir(parents=True, exist_ok=True)
    state, first = run / "state.pt", 0
    if state.exists():
        kept = torch.load(state, weights_only=True)
        first = int(kept["epoch"]) + 1
        for part, name in ((finder, "finder"), (mean, "mean"), (optimiser, "optimiser"), (schedule, "schedule")):
            part.load_state_dict(kept[name])
    for epoch in range(first, epochs):
        finder.train()
        order = np.random.default_rng([seed, epoch]).permutation(rows)
        parts = np.zeros(2)
        for begin in range(0, len(order) - _BATCH + 1, _BATCH):
            taps, truth = shards.batch(order[begin : begin + _BATCH])
            total, found, laid = loss(*finder(**taps), truth)
            optimiser.zero_grad()
            total.backward()
            nn.utils.clip_grad_norm_(finder.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            parts += [found, laid]
            with torch.no_grad():
                for old, new in zip(mean.state_dict().values(), finder.state_dict().values(), strict=True):
                    old.lerp_(new, 0.01) if old.is_floating_point() else old.copy_(new)
        log.info("epoch %d: centres %.3f, crops %.3f", epoch, *(parts / max(len(order) // _BATCH, 1)))
        torch.save(
            {
                "epoch": epoch, "finder": finder.state_dict(), "mean": mean.state_dict(),
                "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict(),
            },
            state,
        )  # fmt: skip
    return mean.eval()


@torch.no_grad()
def found_regions(finder: Finder, shards: Shards, rows: NDArray[np.int64], threshold: float) -> list[list[Region]]:
    """What the finder says of some rows, in pixels of its input."""
    told: list[list[Region]] = []
    for begin in range(0, len(rows), 64):
        taps, _ = shards.batch(rows[begin : begin + 64])
        centres, shapes = finder(**taps)
        told += [
            decoded(c, s, np.array(_WHOLE), threshold)
            for c, s in zip(torch.sigmoid(centres).numpy(), shapes.numpy(), strict=True)
        ]
    return told


def report(finder: Finder, shards: Shards, thresholds: Sequence[float] = (0.15, 0.25, 0.35, 0.5)) -> str:
    """Recall by size, and how many findings are of no hand, on the held-out rows."""
    _, rows = shards.split()
    told = found_regions(finder, shards, rows, min(thresholds))
    lines = []
    for real in (False, True):
        kept = [i for i, row in enumerate(rows) if shards.real[row[0]] == real]
        for threshold in thresholds:
            counts = _counted([shards.labels(rows[i]) for i in kept], [told[i] for i in kept], threshold)
            hits, total, swapped, wrong = counts
            recall = ", ".join(f"{100 * h / max(t, 1):.0f} % of {t}" for h, t in zip(hits, total, strict=True))
            lines.append(
                f"{'real' if real else 'drawn'}, from {threshold}: small, middle, large hands found {recall}; "
                f"of the other side {swapped}, of none {wrong} in {len(kept)} pictures"
            )
    return "\n".join(lines)


def _counted(
    labels: Sequence[tuple[NDArray[np.float32], NDArray[np.uint8]]], told: Sequence[list[Region]], threshold: float
) -> tuple[list[int], list[int], int, int]:
    """Hands found and there by size; findings on a hand of the other side, and on none."""
    hits, total, swapped, wrong = [0] * len(_SIZES), [0] * len(_SIZES), 0, 0
    for (points, present), regions in zip(labels, told, strict=True):
        kept = [region for region in regions if region.score >= threshold]
        crops = {side: crop_of_hand(points[side].astype(np.float64)) for side in range(2) if present[side] != ABSENT}
        crops = {side: crop for side, crop in crops.items() if present[side] in (THERE, HARDLY)}
        for side, crop in crops.items():
            if present[side] != THERE:
                continue
            size = next(k for k, (low, high) in enumerate(_SIZES) if low <= crop[2] / PALM_INPUT / 2 < high or k == 2)
            total[size] += 1
            hits[size] += any(_hits(region, crop) and region.side == SIDES[side] for region in kept)
        for region in kept:
            on = [side for side, crop in crops.items() if _hits(region, crop)]
            if on and SIDES.index(region.side) not in on:
                swapped += 1
            elif not on and not (present == UNKNOWN).any():
                wrong += 1
    return hits, total, swapped, wrong


def _hits(region: Region, crop: Array) -> bool:
    shift, size, _ = difference(region.crop, crop)
    return shift < _HIT and size < _HIT_SIZE


class _Exported(nn.Module):
    def __init__(self, finder: Finder) -> None:
        super().__init__()
        self.finder = finder

    def forward(self, trunk_24: Tensor, features_24: Tensor, features_12: Tensor) -> tuple[Tensor, Tensor]:
        centres, shapes = self.finder(trunk_24, features_24, features_12)
        return torch.sigmoid(centres), shapes


def export(finder: Finder, out: Path) -> None:
    """Write the ONNX file."""
    inputs = {name: torch.zeros(1, width, TAP_GRID[name], TAP_GRID[name]) for name, width in TAPS.items()}
    onnx_file.write(_Exported(finder), inputs, OUTPUTS, out)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=7)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    compute_missing(options.shards, Runtime.choose("cpu", 1))
    shards = Shards.open(options.shards)
    finder = train(shards, options.run, options.epochs)
    export(finder, options.out)
    sys.stdout.write(f"{report(finder, shards)}\n")
    return 0
