# SPDX-License-Identifier: GPL-3.0-or-later
"""Write trained pair heads as ONNX: dynamic batch, taps in, readings out, weights stored as fp16.

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

from training.detnet.export import store_as_half
from training.detnet.trunk import TAPS

from .network import PairHeads, PairNet

OUTPUTS: Final = ("points", "error", "depth", "vector", "sigma", "state", "contact")
SHAPES: Final = {"features_28": (40, 28, 28), "features_14": (112, 14, 14), "features_7": (192, 7, 7)}


def load(run: Path, name: str = "best.pt") -> PairNet:
    """The network a run kept, ready to infer."""
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    heads = PairHeads(config["channels"])
    heads.load_state_dict(torch.load(run / name, map_location="cpu", weights_only=True)["heads"])
    return PairNet(heads).eval()


def export(network: PairNet, path: Path) -> None:
    """Write the ONNX file; the largest difference to torch is the fp16 rounding of the weights."""
    with warnings.catch_warnings():
        # The newer exporter needs onnxscript and gains nothing for a plain stack of convolutions.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            tuple(torch.zeros(2, *SHAPES[name]) for name in TAPS),
            str(path),
            input_names=list(TAPS),
            output_names=list(OUTPUTS),
            dynamic_axes={name: {0: "batch"} for name in (*TAPS, *OUTPUTS)},
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
