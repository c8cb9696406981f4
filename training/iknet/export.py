# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a trained IKNet as ONNX: dynamic batch, weights stored as fp16.

python -m training.iknet.export --run DIR --out blender_handmocap/models/iknet.onnx
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import onnx
import torch

from blender_handmocap.engine.see.iknet import FEATURE_COUNT
from training.detnet.export import store_as_half

from .network import IKNet


def load(run: Path, name: str = "best.pt") -> IKNet:
    """The network a run kept, ready to infer."""
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    network = IKNet(config["width"])
    network.load_state_dict(torch.load(run / name, map_location="cpu", weights_only=True)["network"])
    return network.eval()


def export(network: IKNet, path: Path) -> None:
    """Write the ONNX file; the largest difference to torch is the fp16 rounding of the weights."""
    with warnings.catch_warnings():
        # The newer exporter needs onnxscript and gains nothing for a plain stack of layers.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(2, FEATURE_COUNT),),
            str(path),
            input_names=["features"],
            output_names=["rotation"],
            dynamic_axes={"features": {0: "batch"}, "rotation": {0: "batch"}},
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
