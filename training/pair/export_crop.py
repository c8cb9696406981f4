# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the trunk and the heads that read both hands from one crop as ONNX, with constants fitted on held-out crops.

python -m training.pair.export_crop --run DIR --shards DIR --out blender_handmocap/models

The constants say how far the network's errors are to be believed and how sure a hand's points are; where a take's
points lie comes from DetNet's file, which has the same points.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.detnet import DetNet
from blender_handmocap.engine.see.pair_calibration import PAIR_CROP_MODEL, Calibration
from blender_handmocap.engine.see.pair_crop import PAIR_TRUNK_MODEL, PRESENT
from training.detnet.shards import find
from training.detnet.trunk import TAPS, Upper
from training.runs import weights_of

from .files import write_heads, write_trunk
from .followed import Following
from .heads import HANDS, PairCropNet, PairHeads
from .learn import Data, seen_taps, told, told_again

_CLOSE: Final = 0.1
"""mean error of a hand's points, in shares of its box, up to which it counts as well placed"""
_STEPS: Final = 60


def load(runs: Sequence[Path], name: str = "best.pt") -> PairCropNet:
    """The network a run kept, or the mean of those that several kept, ready to infer."""
    config = json.loads((runs[0] / "config.json").read_text(encoding="utf-8"))
    heads = PairHeads(config["width"], config["layers"], upper=Upper() if config.get("stage") == "upper" else None)
    heads.load_state_dict(weights_of([run / name for run in runs]))
    return PairCropNet(heads).eval()


@torch.no_grad()
def calibrated(network: PairCropNet, data: Data) -> Calibration:
    """Constants from second looks at held-out crops: those are what is used."""
    definition = DetNet.load(Runtime.choose("cpu", 1)).blend.definition
    random = np.random.default_rng(1)
    ratio: dict[str, list[NDArray[np.float64]]] = {"error": [], "form_error": [], "sigma": []}
    signs: list[NDArray[np.float64]] = []
    close: list[NDArray[np.bool_]] = []
    plain = Calibration.plain()
    for start in range(0, len(data.validation), 64):
        rows = data.validation[start : start + 64]
        first, truth = told(data, rows, definition, random, Following())
        taps = seen_taps(network.heads, data, rows)
        answer = network.heads(*taps.values(), *first)
        out = network.heads(*taps.values(), *told_again(answer, first, truth, definition))
        inside, known = truth.inside > 0, truth.known > 0
        distance = (out["position"] - truth.position).norm(dim=-1)
        ratio["error"].append((distance / torch.exp(out["log_error_2d"]))[inside].double().numpy())
        off = (out["location"] - truth.location).norm(dim=-1)
        ratio["form_error"].append((off / torch.exp(out["log_error_3d"]))[known].flatten().double().numpy())
        away = (out["vector"] - truth.vector).abs() / torch.exp(out["log_sigma"])
        ratio["sigma"].append(away[truth.placed > 0].flatten().double().numpy())
        box = (truth.position.amax(2) - truth.position.amin(2)).amax(-1).clamp(min=1e-3)
        error = (distance * inside).sum(-1) / inside.sum(-1).clamp(min=1) / box
        states = torch.sigmoid(torch.stack([out["present"], out["pair"][:, None].expand(-1, HANDS)], -1))
        said = plain.signs(
            out["position"].double().numpy(),
            torch.exp(out["log_error_2d"]).double().numpy(),
            states[..., 0].double().numpy(),
            states[..., 1].double().numpy(),
        )
        # Only what is taken for a pair is ever used.
        used = (states.amin((1, 2)) >= PRESENT)[:, None].expand(-1, HANDS).numpy()
        signs.append(said[used])
        close.append(((error < _CLOSE) & known).numpy()[used])
    factors = {name: float(np.concatenate(values).mean()) for name, values in ratio.items()}
    return Calibration(
        definition=definition,
        confidence=_logistic(np.concatenate(signs), np.concatenate(close)),
        **factors,
    )


def _logistic(signs: NDArray[np.float64], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(S + 1,) constant and slopes that explain `truth` (N,) by `signs` (N, S), by Newton's method."""
    x = np.concatenate([np.ones((len(signs), 1)), signs], axis=1)
    weights = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        chance = 1.0 / (1.0 + np.exp(-np.clip(x @ weights, -30.0, 30.0)))
        slope = x.T @ (truth - chance) - 0.1 * weights
        curve = (x * (chance * (1.0 - chance))[:, None]).T @ x + 0.1 * np.eye(x.shape[1])
        weights = weights + np.linalg.solve(curve, slope)
    return weights


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, nargs="+", required=True, help="of several: the mean of their weights")
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for both files")
    parser.add_argument("--name", default="best.pt", help="which of the runs' files")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    network = load(options.run, options.name)
    constants = calibrated(network, Data(find(options.shards, complete=list(TAPS)[-1])))
    write_trunk(network.heads.upper, options.out / f"{PAIR_TRUNK_MODEL}.onnx")
    write_heads(network, options.out / f"{PAIR_CROP_MODEL}.onnx", constants)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
