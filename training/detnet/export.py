# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a trained DetNet as ONNX: dynamic batch, taps in, readings out, weights stored as fp16.

A run of stage `whole` takes pictures (N, 224, 224, 3) of bytes in the place of taps; the engine does not use such.

python -m training.detnet.export --run DIR [DIR ...] --out blender_handmocap/models/detnet.onnx

Of several runs that went on from one another the mean of their weights is written: where it was tried, it
errs no more than either.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch

from training import onnx_file
from training.runs import weights_of

from .network import CROP, DetNet, Heads, Whole
from .resnet import ResNet
from .trunk import TAP_SHAPES, Trunk

OUTPUTS: Final = ("points", "location", "error_2d", "error_3d", "visibility", "hand")


def load(run: Path, name: str = "best.pt", others: Sequence[Path] = ()) -> DetNet | Whole:
    """The network a run kept, ready to infer; with the mean of its weights and those of `others`, if there are any."""
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    network: DetNet | Whole
    if config["stage"] == "whole":
        trunk = ResNet() if config["trunk"] == "resnet50" else Trunk()
        network = Whole(trunk, Heads(config["channels"], widths=trunk.widths))
    else:
        network = DetNet(Heads(config["channels"], own=config["stage"] == "own"))
    network.load_state_dict(weights_of([one / name for one in (run, *others)]))
    return network.eval()


def export(network: DetNet | Whole, path: Path) -> None:
    """Write the ONNX file; the largest difference to torch is the fp16 rounding of the weights."""
    if isinstance(network, Whole):
        inputs = {"image": torch.zeros(2, CROP, CROP, 3, dtype=torch.uint8)}
    else:
        inputs = {name: torch.zeros(2, *shape) for name, shape in TAP_SHAPES.items()}
    onnx_file.write(network, inputs, OUTPUTS, path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="best.pt", help="which of the runs' files")
    options = parser.parse_args(arguments)
    first, *others = options.run
    export(load(first, options.name, others), options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
