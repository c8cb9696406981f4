# SPDX-License-Identifier: GPL-3.0-or-later
"""Shards of crops around both hands as the maps of them are trained: `training.pair.shards --maps` makes them.

Prepared once, each shard holds besides

    features_56.npy  (N, 24, 56, 56) f2   the trunk's finest tap
    code.npy         (N, 3, 56, 56) f2    code of the surface each cell shows; NaN where it is no part of a hand
    told.npy         (N, 2, 21, 2) f4     points of both hands as the network of both hands says them, crop shares
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.detnet.taps import compute, session
from training.pair.learn import Data as PairData
from training.pair.losses import Targets

from .network import COARSE, FINE, RADIUS, TAPS, heatmaps
from .surface import surface_code
from .told import Teller

log = logging.getLogger(__name__)

FARTHEST: Final = 2.0
"""palm lengths between the wrists that are told at most"""


def prepare(folders: Sequence[Path]) -> None:
    """Write what shards lack of the above."""
    for folder in folders:
        if not (folder / f"{FINE}.npy").exists():
            compute(folder, session(1), (FINE,))
        if not (folder / "code.npy").exists():
            np.save(folder / "code.npy", _codes(np.load(folder / "surface.npy"), np.load(folder / "sides.npy")))
        if not (folder / "told.npy").exists():
            np.save(folder / "told.npy", Teller().points(folder, int(folder.name.rsplit("-", 1)[-1])))
            log.info("%s is prepared", folder.name)


def _codes(surface: NDArray[np.float32], sides: NDArray[np.uint8]) -> NDArray[np.float16]:
    out = np.full((*sides.shape, 3), np.nan, np.float16)
    hand = sides > 0
    code, there = surface_code().at(surface[hand])
    out[hand] = np.where(there[:, None], code, np.nan)
    return np.ascontiguousarray(out.transpose(0, 3, 1, 2))


@dataclass(frozen=True)
class Maps:
    """What is true of the cells of a batch of crops."""

    classes: Tensor
    """(N, 56, 56) 0 no hand, 1 left, 2 right; the forearm is no hand"""
    code: Tensor
    """(N, 3, 56, 56)"""
    within: Tensor
    """(N, 56, 56) depth behind the hand's own wrist, palm lengths"""
    between: Tensor
    """(N, 56, 56) depth of the hand's own wrist behind the other one's, palm lengths; 0 where there is one hand"""
    placed: Tensor
    """(N, 56, 56) 1 where `within` is known"""
    related: Tensor
    """... and where `between` is"""
    heat: Tensor
    """(N, 2, 21, 28, 28)"""
    heat_known: Tensor
    """(N,) 0 where nothing is said of the points"""


class MapData:
    """Many shards as one indexable whole; all that is large stays on disk."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.base = PairData(folders)
        names = (FINE, "code", "depth", "image", "told")
        self._maps = [{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names} for folder in folders]

    def _rows(self, name: str, index: NDArray[np.int64]) -> NDArray[np.generic]:
        shard = np.searchsorted(self.base.starts, index, side="right") - 1
        return np.concatenate([self._maps[s][name][index[shard == s] - self.base.starts[s]] for s in np.unique(shard)])

    def images(self, index: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The crops (n, 224, 224, 3) of rows, in rising order."""
        return np.asarray(self._rows("image", index), np.uint8)

    def features(self, index: NDArray[np.int64]) -> dict[str, Tensor]:
        """All taps of rows, in rising order."""
        fine = torch.from_numpy(np.asarray(self._rows(FINE, index))).float()
        taps = {FINE: fine, **self.base.features(index)}
        return {name: taps[name].contiguous(memory_format=torch.channels_last) for name in TAPS}

    def told(self, index: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """What is known of both hands before: points (N, 2, 21, 2) crop shares, known (N, 2)."""
        points = torch.from_numpy(np.asarray(self._rows("told", index))).float()
        known = points.isfinite().all((2, 3))
        return torch.where(known[:, :, None, None], points, 0.5), known.float()

    def targets(self, index: NDArray[np.int64]) -> tuple[Targets, Maps]:
        """What is true of rows, as pairs and as maps."""
        truth = self.base.targets(index)
        labels = {name: self.base.labels[name][index] for name in ("sides", "points3d", "palm")}
        code = torch.from_numpy(np.asarray(self._rows("code", index))).float()
        shown = code.isfinite().all(1)
        classes = torch.from_numpy(labels["sides"]).long() * shown
        palm = torch.from_numpy(labels["palm"]).float()[:, None, None]
        wrist = torch.from_numpy(labels["points3d"][:, :, 0, 2]).float()
        other = torch.where(truth.pair[:, None] > 0, wrist[:, [1, 0]], wrist)
        own = (classes.clamp(min=1) - 1).flatten(1)
        mine, theirs = (torch.gather(values, 1, own).view_as(classes) for values in (wrist, other))
        depth = torch.from_numpy(np.asarray(self._rows("depth", index))).float()
        placed = shown * (torch.gather(truth.known, 1, own).view_as(classes) > 0)
        heat = heatmaps(truth.position, COARSE, RADIUS / 2) * truth.inside[..., None, None]
        return truth, Maps(
            classes=classes,
            code=torch.nan_to_num(code),
            within=(depth - mine) / palm * placed,
            between=((mine - theirs) / palm).clamp(-FARTHEST, FARTHEST) * placed,
            placed=placed.float(),
            related=placed.float() * (truth.placed >= truth.pair).float()[:, None, None],
            heat=heat,
            heat_known=1.0 - truth.strangers,
        )

    def statistics(self, rows: int = 400) -> dict[str, tuple[Tensor, Tensor]]:
        """Mean and deviation of every tap."""
        index = np.unique(np.linspace(0, len(self.base) - 1, min(rows, len(self.base))).astype(np.int64))
        return {name: (tap.mean((0, 2, 3)), tap.std((0, 2, 3)) + 1e-3) for name, tap in self.features(index).items()}
