# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a trained pair network as ONNX: dynamic batch, weights stored as fp16.

python -m training.pair.export --run DIR --out blender_handmocap/models/pair.onnx
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch

from blender_handmocap.engine.see.pair import FEATURE_COUNT
from training import onnx_file
from training.runs import weights_of

from .network import Between, Shipped

OUTPUTS: Final = ("shift", "error", "contact")


def load(run: Path, name: str = "best.pt") -> Shipped:
    """The network a run kept, ready to infer."""
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    network = Between(config["width"])
    network.load_state_dict(weights_of([run / name]))
    return Shipped(network).eval()


def export(network: Shipped, path: Path) -> None:
    """Write the ONNX file; the largest difference to torch is the fp16 rounding of the weights."""
    onnx_file.write(network, {"features": torch.zeros(2, FEATURE_COUNT)}, OUTPUTS, path)


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
