# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a trained DetNet as ONNX: dynamic batch, taps in, readings out, weights stored as fp16.

python -m training.detnet.export --run DIR --out blender_handmocap/models/detnet.onnx
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from .network import DetNet, Heads
from .trunk import TAPS

OUTPUTS: Final = ("points", "location", "error_2d", "error_3d", "visibility", "hand")
_SHAPES: Final = {"features_28": (40, 28, 28), "features_14": (112, 14, 14), "features_7": (192, 7, 7)}
_SMALL: Final = 64


def load(run: Path, name: str = "best.pt") -> DetNet:
    """The network a run kept, ready to infer."""
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    network = DetNet(Heads(config["channels"], own=config["stage"] == "own"))
    network.load_state_dict(torch.load(run / name, map_location="cpu", weights_only=True)["network"])
    return network.eval()


def export(network: DetNet, path: Path) -> None:
    """Write the ONNX file; the largest difference to torch is the fp16 rounding of the weights."""
    names = list(TAPS)
    taps = tuple(torch.zeros(2, *_SHAPES[name]) for name in names)
    with torch.no_grad():
        for parameter in (*network.parameters(), *network.buffers()):
            # Round first, so that torch and the file hold the same numbers.
            if parameter.dtype == torch.float32 and parameter.numel() > _SMALL:
                parameter.copy_(parameter.half().float())
    with warnings.catch_warnings():
        # The newer exporter needs onnxscript and gains nothing for a plain stack of convolutions.
        warnings.simplefilter("ignore")
        _trace(network, taps, names, path)
    model = onnx.load(str(path))
    store_as_half(model)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _trace(network: DetNet, taps: tuple[torch.Tensor, ...], names: Sequence[str], path: Path) -> None:
    torch.onnx.export(
        network,
        taps,
        str(path),
        input_names=names,
        output_names=list(OUTPUTS),
        dynamic_axes={name: {0: "batch"} for name in (*names, *OUTPUTS)},
        opset_version=17,
        dynamo=False,
    )


def store_as_half(model: onnx.ModelProto) -> None:
    """Keep large weights as fp16 with a Cast before them, which the runtime folds when it loads."""
    kept, casts = [], []
    for item in model.graph.initializer:
        array = numpy_helper.to_array(item)
        if array.dtype == np.float32 and array.size > _SMALL:
            half = f"{item.name}_half"
            kept.append(numpy_helper.from_array(array.astype(np.float16), half))
            casts.append(helper.make_node("Cast", [half], [item.name], to=TensorProto.FLOAT))
        else:
            kept.append(item)
    nodes = [*casts, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)


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
