# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a trained pair network as ONNX: dynamic batch, weights stored as fp16.

python -m training.pair.export --run DIR --out blender_handmocap/models/pair.onnx
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import onnx
import torch

from blender_handmocap.engine.see.pair import FEATURE_COUNT
from training.detnet.export import store_as_half

from .network import Between, Shipped

OUTPUTS: Final = ("shift", "error", "contact")


def load(run: Path, name: str = "best.pt") -> Shipped:
    """The network a run kept, ready to infer."""
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    network = Between(config["width"])
    network.load_state_dict(torch.load(run / name, map_location="cpu", weights_only=True)["network"])
    return Shipped(network).eval()


def export(network: Shipped, path: Path) -> None:
    """Write the ONNX file; the largest difference to torch is the fp16 rounding of the weights."""
    with warnings.catch_warnings():
        # The newer exporter needs onnxscript and gains nothing for a plain stack of layers.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(2, FEATURE_COUNT),),
            str(path),
            input_names=["features"],
            output_names=list(OUTPUTS),
            dynamic_axes={name: {0: "batch"} for name in ("features", *OUTPUTS)},
            opset_version=17,
            dynamo=False,
        )
    model = onnx.load(str(path))
    store_as_half(model)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


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
