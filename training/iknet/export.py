# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a trained IKNet as ONNX: dynamic batch, weights stored as fp16.

python -m training.iknet.export --run DIR --out blender_handmocap/models/iknet.onnx [--name checkpoint.pt]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from blender_handmocap.engine.see.iknet import FEATURE_COUNT
from training import onnx_file
from training.runs import weights_of

from .network import Folded, IKNet


def load(run: Path, name: str = "best.pt") -> IKNet:
    """The network a run kept, ready to infer."""
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    network = IKNet(config["width"])
    network.load_state_dict(weights_of([run / name]))
    return network.eval()


def export(network: IKNet, path: Path) -> None:
    """Write the ONNX file; the largest difference to torch is the fp16 rounding of the weights."""
    folded = Folded(network.eval())
    onnx_file.write(folded, {"features": torch.zeros(2, FEATURE_COUNT)}, ("rotation",), path, small=network.width)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="best.pt", help="which of the run's files")
    options = parser.parse_args(arguments)
    export(load(options.run, options.name), options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
