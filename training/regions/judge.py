# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the judge: whether a crop holds a hand and of which side, from the taps of the hand network's trunk.

    python -m training.regions.train judge --crops DIR --out blender_handmocap/models/judge.onnx [--epochs N]

Reads what `crops` wrote. Every tenth row is held out: the table printed at the end, and the temperature that makes the
outputs probabilities, come from these. A run is minutes and starts anew each time.
"""

from __future__ import annotations

import argparse
import copy
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training import onnx_file
from training.detnet.trunk import TAPS as TRUNK_TAPS

from .crops import TAPS

log = logging.getLogger(__name__)

OUTPUTS: Final = ("hand", "right")
_CHANNELS: Final = 32
_BATCH: Final = 64
_RATE: Final = 2e-3
_REAL_WEIGHT: Final = 2.0
_HELD_OUT: Final = 10
"""every so many-th row"""


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class Judge(nn.Module):
    """Two taps in, the logits of a hand being there and of its being a right one out."""

    def __init__(self, channels: int = _CHANNELS) -> None:
        super().__init__()
        for name in TAPS:
            self.register_buffer(f"mean_{name}", torch.zeros(TRUNK_TAPS[name], 1, 1))
            self.register_buffer(f"std_{name}", torch.ones(TRUNK_TAPS[name], 1, 1))
        self.fine = nn.Sequential(_conv(TRUNK_TAPS["features_14"], channels, 1), _conv(channels, channels, 3, 2))
        self.coarse = _conv(TRUNK_TAPS["features_7"], channels, 1)
        self.both = nn.Sequential(_conv(2 * channels, channels), nn.Dropout(0.2))
        self.last = nn.Sequential(nn.Linear(channels * 49, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, len(OUTPUTS)))
        self.register_buffer("temperature", torch.ones(len(OUTPUTS)))

    def forward(self, features_14: Tensor, features_7: Tensor) -> Tensor:
        """-> (N, 2) logits, divided by the temperature"""
        fine = self.fine((features_14 - self.mean_features_14) / self.std_features_14)
        coarse = self.coarse((features_7 - self.mean_features_7) / self.std_features_7)
        return self.last(self.both(torch.cat([fine, coarse], 1)).flatten(1)) / self.temperature


class _Exported(nn.Module):
    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self.judge = judge

    def forward(self, features_14: Tensor, features_7: Tensor) -> tuple[Tensor, Tensor]:
        chance = torch.sigmoid(self.judge(features_14, features_7))
        return chance[:, 0], chance[:, 1]


class Crops:
    """What `crops` wrote; taps stay on disk."""

    def __init__(self, folder: Path) -> None:
        self.taps = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in TAPS]
        self.labels = np.load(folder / "labels.npy").astype(np.float32)
        held = np.arange(len(self.labels)) % _HELD_OUT == 0
        self.held_out, self.training = np.flatnonzero(held), np.flatnonzero(~held)

    def rows(self, index: NDArray[np.int64]) -> tuple[list[Tensor], Tensor]:
        """Taps and labels of some rows."""
        taps = [torch.from_numpy(tap[index]).float().contiguous(memory_format=torch.channels_last) for tap in self.taps]
        return taps, torch.from_numpy(self.labels[index])


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    hand, right, real = labels.T
    weight = 1.0 + (_REAL_WEIGHT - 1.0) * real
    told = functional.binary_cross_entropy_with_logits(logits, torch.stack([hand, right], 1), reduction="none")
    return (told[:, 0] * weight).mean() + (told[:, 1] * hand * weight).mean()


def train(crops: Crops, epochs: int, seed: int = 0) -> Judge:
    """A trained judge; its weights are the running mean of the last ones."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    judge = Judge().to(memory_format=torch.channels_last)
    sample, _ = crops.rows(np.sort(random.choice(crops.training, min(600, len(crops.training)), replace=False)))
    for name, tap in zip(TAPS, sample, strict=True):
        getattr(judge, f"mean_{name}").copy_(tap.mean((0, 2, 3))[:, None, None])
        getattr(judge, f"std_{name}").copy_(tap.std((0, 2, 3))[:, None, None] + 1e-3)
    steps = epochs * (len(crops.training) // _BATCH)
    optimiser = torch.optim.AdamW(judge.parameters(), lr=_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps, pct_start=0.1)
    mean = copy.deepcopy(judge)
    for epoch in range(epochs):
        judge.train()
        order = random.permutation(crops.training)
        total = 0.0
        for start in range(0, len(order) - _BATCH + 1, _BATCH):
            taps, labels = crops.rows(np.sort(order[start : start + _BATCH]))
            loss = _loss(judge(*taps), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
            with torch.no_grad():
                for kept, new in zip(mean.state_dict().values(), judge.state_dict().values(), strict=True):
                    kept.lerp_(new, 0.01) if kept.is_floating_point() else kept.copy_(new)
        log.info("epoch %d: loss %.3f", epoch, total / max(len(order) // _BATCH, 1))
    return mean.eval()


@torch.no_grad()
def answers(judge: Judge, crops: Crops, index: NDArray[np.int64]) -> NDArray[np.float32]:
    """(N, 2) logits."""
    parts = [judge(*crops.rows(index[start : start + 256])[0]).numpy() for start in range(0, len(index), 256)]
    return np.concatenate(parts)


def calibrate(judge: Judge, crops: Crops) -> None:
    """Set the temperature of each output to where the held-out rows are likeliest."""
    logits, labels = answers(judge, crops, crops.held_out), crops.labels[crops.held_out]
    for column in range(len(OUTPUTS)):
        used = labels[:, 0] > 0 if OUTPUTS[column] == "right" else np.ones(len(labels), bool)
        candidates = np.exp(np.linspace(-0.7, 1.6, 60))
        signs = np.where(labels[used, column] > 0, 1.0, -1.0)
        costs = [np.logaddexp(0.0, -signs * logits[used, column] / t).mean() for t in candidates]
        judge.temperature[column] = float(candidates[int(np.argmin(costs))])


def report(judge: Judge, crops: Crops) -> str:
    """What the held-out rows say."""
    index = crops.held_out
    logits, (hand, right, real) = answers(judge, crops, index), crops.labels[index].T > 0
    lines = []
    for name, domain in (("drawn", ~real), ("real", real)):
        shown, empty = hand & domain, ~hand & domain
        sides = (logits[:, 1] > 0) == right
        sure = np.abs(logits[:, 1]) > 2.0
        lines.append(
            f"{name}: {shown.sum()} hands, found {100 * (logits[shown, 0] > 0).mean():.1f} %, side right "
            f"{100 * sides[shown].mean():.1f} %, of the {100 * sure[shown].mean():.0f} % sure ones "
            f"{100 * sides[shown & sure].mean():.1f} %; {empty.sum()} of none, taken for one "
            f"{100 * (logits[empty, 0] > 0).mean():.1f} %"
        )
    return "\n".join(lines)


def export(judge: Judge, out: Path) -> None:
    """Write the ONNX file."""
    sizes = zip(TAPS, (14, 7), strict=True)
    inputs = {name: torch.zeros(1, TRUNK_TAPS[name], size, size) for name, size in sizes}
    onnx_file.write(_Exported(judge), inputs, OUTPUTS, out)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=4)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    crops = Crops(options.crops)
    judge = train(crops, options.epochs)
    calibrate(judge, crops)
    export(judge, options.out)
    sys.stdout.write(f"temperatures {judge.temperature.tolist()}\n{report(judge, crops)}\n")
    return 0
