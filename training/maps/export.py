# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the maps' heads as ONNX, with constants fitted on held-out crops.

python -m training.maps.export --run DIR --shards DIR --out blender_handmocap/models/maps.onnx

The constants say which points of the skin are matched and how far a match or a heatmap's peak is from the truth.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from blender_handmocap.engine.see.maps import NEAREST_CODE, MapsCalibration
from blender_handmocap.engine.take import MATCHES
from training.detnet.shards import find
from training.detnet.trunk import TAPS as TRUNK_TAPS
from training.runs import weights_of

from .data import MapData
from .files import write
from .learn import peaks
from .network import GRID, MapHeads, MapsNet
from .surface import surface_code

_HEIGHTS: Final = 6
_BATCH: Final = 30


def load(run: Path, name: str = "best.pt") -> MapsNet:
    """The network a run kept, ready to infer."""
    heads = MapHeads()
    heads.load_state_dict(weights_of([run / name]))
    return MapsNet(heads).eval()


def matched_errors(
    code: NDArray[np.float64], true_code: NDArray[np.float64], shown: NDArray[np.bool_], vertex: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of one hand's cells: how near the best code is to each vertex's, and how far (sides of the crop) that cell lies
    from the cell that truly shows the vertex; vertices that nothing shows are left out.

    code, true_code (3, 56, 56), shown (56, 56), vertex (V, 3).
    """
    row, column = np.nonzero(shown)
    cells = np.stack([column, row], axis=1) / GRID
    apart = [np.linalg.norm(vertex[:, None] - values[:, row, column].T[None], axis=-1) for values in (code, true_code)]
    said, true = (values.argmin(1) for values in apart)
    # What the picture truly shows of a vertex is within half a cell of it.
    there = (apart[1].min(1) < NEAREST_CODE / 2) & (apart[0].min(1) < NEAREST_CODE)
    return apart[0].min(1)[there], np.linalg.norm(cells[said] - cells[true], axis=1)[there]


@torch.no_grad()
def calibrated(network: MapsNet, data: MapData) -> MapsCalibration:
    """Constants from held-out crops."""
    code = surface_code()
    vertices = code.spread(MATCHES)
    matches: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    heights, errors = [], []
    for start in range(0, len(data.base.validation), _BATCH):
        rows = data.base.validation[start : start + _BATCH]
        truth, maps = data.targets(rows)
        out = network.heads(data.features(rows), *data.told(rows))
        places, height = peaks(out["heat"])
        inside = truth.inside > 0
        heights.append(height[inside].double().numpy())
        errors.append((places - truth.position).norm(dim=-1)[inside].double().numpy())
        for k in range(len(rows)):
            for side in (1, 2):
                shown = (maps.classes[k] == side).numpy()
                if shown.sum() > GRID:
                    said, true = out["code"][k].double().numpy(), maps.code[k].double().numpy()
                    matches.append(matched_errors(said, true, shown, code.code[vertices]))
    apart, away = (np.concatenate([pair[k] for pair in matches]) for k in range(2))
    growth, least = np.polyfit(apart, np.minimum(away, 0.25), 1)
    height, error = np.concatenate(heights), np.concatenate(errors)
    edges = np.quantile(height, np.linspace(0.0, 1.0, _HEIGHTS + 1))
    bins = np.clip(np.searchsorted(edges, height) - 1, 0, _HEIGHTS - 1)
    return MapsCalibration(
        vertices=vertices.astype(np.int32),
        code=code.code[vertices],
        match_error=np.array([max(float(least), 0.5 / GRID), max(float(growth), 0.0)]),
        heat=np.array([height[bins == k].mean() for k in range(_HEIGHTS)]),
        heat_error=np.array([error[bins == k].mean() for k in range(_HEIGHTS)]),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    network = load(options.run)
    write(network, options.out, calibrated(network, MapData(find(options.shards, complete=list(TRUNK_TAPS)[-1]))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
