# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn the hand networks in MediaPipe's wheel into the ONNX files the engine runs.

    python training/mediapipe/convert.py --wheel mediapipe-0.10.21-...whl --out blender_handmocap/models

Writes mediapipe_palm.onnx, mediapipe_hand.onnx and mediapipe_LICENSE.txt; the same bytes every time.
Needs numpy, onnx and tflite (the schema, not TensorFlow).
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from training.mediapipe.tflite_graph import Translator

PINNED_VERSION: Final = "0.10.21"
"""Later wheels hold no networks."""
LICENSE_FILE: Final = f"mediapipe-{PINNED_VERSION}.dist-info/LICENSE"
LICENSE_NAME: Final = "mediapipe_LICENSE.txt"
PRODUCER: Final = "handmocap"


@dataclass(frozen=True)
class Network:
    """One network of the wheel and what becomes of it."""

    member: str
    """path inside the wheel"""
    sha256: str
    """of that member"""
    file: str
    """name of the ONNX file"""
    outputs: tuple[str, ...]
    taps: Mapping[str, int] = field(default_factory=dict)
    """feature maps that later heads read in the same pass: output name to TFLite tensor"""


NETWORKS: Final = (
    Network(
        member="mediapipe/modules/palm_detection/palm_detection_full.tflite",
        sha256="1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
        file="mediapipe_palm.onnx",
        outputs=("boxes", "scores"),
        taps={"trunk_24": 202, "features_12": 257, "features_24": 273},
    ),
    Network(
        member="mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
        sha256="11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
        file="mediapipe_hand.onnx",
        outputs=("landmarks", "presence", "handedness", "world"),
        taps={"features_56": 113, "features_28": 120, "features_14": 142, "features_7": 157},
    ),
)


class WheelError(Exception):
    """The wheel is not the pinned one, in one sentence."""


def read_members(wheel: Path, members: Sequence[str]) -> dict[str, bytes]:
    """Files of a wheel, or of the folder it was unpacked or installed into."""
    try:
        if wheel.is_dir():
            return {member: (wheel / member).read_bytes() for member in members}
        with zipfile.ZipFile(wheel) as archive:
            return {member: archive.read(member) for member in members}
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise WheelError(
            f"{wheel} is not the mediapipe {PINNED_VERSION} wheel ({error}); fetch that version again."
        ) from error


def convert(network: Network, source: bytes) -> bytes:
    """The ONNX file of one network."""
    found = hashlib.sha256(source).hexdigest()
    if found != network.sha256:
        raise WheelError(
            f"{network.member} has sha256 {found}, not {network.sha256}; use the mediapipe {PINNED_VERSION} wheel."
        )
    properties = {
        "source_sha256": network.sha256,
        "source": f"mediapipe {PINNED_VERSION}: {network.member}",
        "license": "Apache-2.0",
    }
    model = Translator(source, network.outputs, network.taps).translate(producer=PRODUCER, properties=properties)
    return bytes(model.SerializeToString(deterministic=True))


def convert_all(wheel: Path, out: Path) -> list[Path]:
    """Write every network and the licence into `out`; the files written."""
    contents = read_members(wheel, [*(network.member for network in NETWORKS), LICENSE_FILE])
    converted = {network.file: convert(network, contents[network.member]) for network in NETWORKS}
    converted[LICENSE_NAME] = contents[LICENSE_FILE]
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name, data in converted.items():
        path = out / name
        temporary = path.with_name(f"{name}.tmp")
        temporary.write_bytes(data)
        temporary.replace(path)
        written.append(path)
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 on success, 2 when the wheel is not the right one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, required=True, help=f"mediapipe {PINNED_VERSION}: wheel or folder")
    parser.add_argument("--out", type=Path, required=True, help="folder for the converted files")
    chosen = parser.parse_args(arguments)
    try:
        written = convert_all(chosen.wheel, chosen.out)
    except WheelError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for path in written:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        sys.stdout.write(f"{sha256}  {path.stat().st_size:>8}  {path.name}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
