# SPDX-License-Identifier: GPL-3.0-or-later
"""Shards: folders of arrays that training reads; one row a crop, the target always shown as a right hand.

image.npy      (N, 224, 224, 3) u1  RGB crop, cut as the tracker cuts
points2d.npy   (N, 21, 2) f4        crop pixels, integer = pixel centre
points3d.npy   (N, 21, 3) f4        metres, axes of the crop's own camera (x right, y down, z along the crop's ray)
visible.npy    (N, 21) u1           1 where the point is seen
use_2d.npy     (N, 21) u1           0 where the label is not to be trusted
flags.npy      (N, 3) u1            has 3D truth; shows a hand; of the side the crop was cut for
features_*.npy                      the trunk's taps, f2, made by `taps` and disposable
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .losses import Targets, unit_locations
from .network import CROP
from .trunk import TAPS

LABELS: Final = ("points2d", "points3d", "visible", "use_2d", "flags")


@dataclass(frozen=True)
class Shards:
    """Many shards as one indexable whole; images and taps stay on disk."""

    folders: tuple[Path, ...]
    starts: NDArray[np.int64]
    """(S + 1,) first row of each shard, and the total"""
    labels: dict[str, NDArray[np.generic]]
    maps: tuple[dict[str, NDArray[np.generic]], ...]

    @classmethod
    def open(cls, folders: Sequence[Path], arrays: Sequence[str]) -> Shards:
        """`arrays`: which of image, features_28 ... to map from each folder."""
        parts = [{name: np.load(folder / f"{name}.npy") for name in LABELS} for folder in folders]
        starts = np.concatenate([[0], np.cumsum([len(part["flags"]) for part in parts])])
        labels = {name: np.concatenate([part[name] for part in parts]) for name in LABELS}
        maps = tuple({name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in arrays} for folder in folders)
        return cls(folders=tuple(folders), starts=starts, labels=labels, maps=maps)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def rows(self, name: str, index: NDArray[np.int64]) -> NDArray[np.generic]:
        """Rows of a mapped array, in the order of `index`, which must be sorted."""
        shard = np.searchsorted(self.starts, index, side="right") - 1
        return np.concatenate([self.maps[s][name][index[shard == s] - self.starts[s]] for s in np.unique(shard)])

    def features(self, index: NDArray[np.int64], names: Sequence[str]) -> dict[str, Tensor]:
        """The named taps as float tensors."""
        return {
            name: torch.from_numpy(self.rows(name, index)).float().contiguous(memory_format=torch.channels_last)
            for name in names
        }

    def pictures(self, index: NDArray[np.int64]) -> Tensor:
        """RGB bytes (N, 224, 224, 3)."""
        return torch.from_numpy(np.ascontiguousarray(self.rows("image", index)))

    def targets(self, index: NDArray[np.int64]) -> Targets:
        """What is true of these rows."""
        label = {name: torch.from_numpy(np.asarray(values[index])).float() for name, values in self.labels.items()}
        flags = label["flags"]
        return Targets(
            position=(label["points2d"] + 0.5) / CROP,
            location=unit_locations(label["points3d"]),
            visible=label["visible"],
            has_3d=flags[:, 0],
            use_2d=label["use_2d"],
            present=flags[:, 1],
            right_side=flags[:, 2],
        )

    def statistics(self, rows: int = 600) -> dict[str, tuple[Tensor, Tensor]]:
        """Mean and deviation of every tap over the first rows."""
        index = np.linspace(0, len(self) - 1, min(rows, len(self))).astype(np.int64)
        out = {}
        for name in TAPS:
            values = torch.from_numpy(np.asarray(self.rows(name, np.unique(index)))).float()
            out[name] = (values.mean((0, 2, 3)), values.std((0, 2, 3)) + 1e-3)
        return out


HELD_OUT: Final = 0.04
"""the share of each shard's rows, its last ones, that no run trains on"""


def held_out(rows: int) -> NDArray[np.int64]:
    """Which rows of a shard of so many no run trains on."""
    return np.arange(rows - max(1, round(HELD_OUT * rows)), rows)


def find(root: Path, *, complete: str = "flags") -> list[Path]:
    """Folders under `root` that hold a whole shard, in name order."""
    return sorted(path.parent for path in root.glob(f"*/{complete}.npy") if path.parent.suffix != ".partial")
