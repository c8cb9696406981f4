# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a trained DetNet as ONNX: dynamic batch, taps in, readings out, weights stored as fp16.

python -m training.detnet.export --run DIR --out blender_handmocap/models/detnet.onnx
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch

from training import onnx_file

from .network import DetNet, Heads
from .trunk import TAPS

OUTPUTS: Final = ("points", "location", "error_2d", "error_3d", "visibility", "hand")
_SHAPES: Final = {"features_28": (40, 28, 28), "features_14": (112, 14, 14), "features_7": (192, 7, 7)}


def load(run: Path, name: str = "best.pt") -> DetNet:
    """The network a run kept, ready to infer."""
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    network = DetNet(Heads(config["channels"], own=config["stage"] == "own"))
    network.load_state_dict(torch.load(run / name, map_location="cpu", weights_only=True)["network"])
    return network.eval()


def export(network: DetNet, path: Path) -> None:
    """Write the ONNX file; the largest difference to torch is the fp16 rounding of the weights."""
    onnx_file.write(network, {name: torch.zeros(2, *_SHAPES[name]) for name in TAPS}, OUTPUTS, path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    export(load(options.run), options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
