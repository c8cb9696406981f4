# SPDX-License-Identifier: GPL-3.0-or-later
"""A judge of depth that needs no truth: real hands have the proportions of a hand, whatever they do.

    python -m training.detnet.bones --data DIR --model blender_handmocap/models/detnet.onnx

Depth that is wrong makes bones too short or too long. Over real pictures that may be trained on, how far
the bones of what was seen are from the hand model's proportions tells which blend of MediaPipe's points
and DetNet's is the better one where drawn hands say nothing: on skin, lenses and light as they are.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.hand.names import KEYPOINT_PARENTS
from blender_handmocap.engine.rotations import IDENTITY
from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.crops import square_around
from blender_handmocap.engine.see.detnet import Blend, DetNet
from blender_handmocap.engine.see.fusion import joined_forms, mediapipe_form
from blender_handmocap.engine.see.landmarks import HandNetwork, SeenHand
from blender_handmocap.engine.see.palms import PalmDetector

from .real import pictures

Array = NDArray[np.float64]

SHARES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
PATIENCES: Final = (0.5, 1.0, 2.0, 4.0, 1e6)
_LEAST_PRESENCE: Final = 0.8
_EVERY: Final = {"digits": 12, "clips": 2}
_LOOKS: Final = 3
_PARENTS: Final = np.array(KEYPOINT_PARENTS[1:])


def hands_in(images: Iterable[NDArray[np.uint8]], detnet: DetNet, runtime: Runtime) -> list[SeenHand]:
    """Every hand that both networks are sure of, followed for a few looks as the tracker would."""
    palms, network = PalmDetector(runtime), HandNetwork(runtime, detnet)
    found = []
    for image in images:
        for palm in palms.detect(image, threshold=0.4, part=square_around(image.shape[1], image.shape[0])):
            seen = network.look(image, [palm.crop])[0]
            for _ in range(_LOOKS):
                seen = network.look(image, [seen.next_crop], [seen.right])[0]
            if seen.learned is not None and min(seen.presence, seen.learned.present) >= _LEAST_PRESENCE:
                found.append(seen)
    return found


def bone_logs(points: Array) -> Array:
    """(N, 20) logarithms of bone lengths of points (N, 21, 3), about each hand's own mean."""
    lengths = np.linalg.norm(points[:, 1:] - points[:, _PARENTS], axis=-1)
    logs = np.log(np.maximum(lengths, 1e-6))
    return np.asarray(logs - logs.mean(1, keepdims=True))


def blended_forms(hands: Sequence[SeenHand], blend: Blend) -> Array:
    """(N, 21, 3)"""
    return np.stack(
        [joined_forms(mediapipe_form(hand), hand.learned, blend) for hand in hands if hand.learned is not None]
    )


def misproportion(points: Array, definition: Array) -> float:
    """Root mean square of how far bones are from the hand model's proportions, as a logarithm.

    `definition` (21, 21) turns the model's own points into those that `points` (N, 21, 3) are.
    """
    hand = free_hand("right")
    flat = hand.pose(np.tile(IDENTITY, (1, 16, 1)), np.zeros((1, 3)), hand.rest())
    rest = bone_logs(definition @ flat.keypoints)
    return float(np.sqrt(((bone_logs(points) - rest) ** 2).mean()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args(arguments)
    runtime = Runtime.choose("cpu", 1)
    detnet = DetNet(runtime.network_from(options.model))
    images: dict[str, list[NDArray[np.uint8]]] = {}
    for source, image in pictures(options.data):
        images.setdefault(source, []).append(image)
    # The digits are many and all alike: palms to the camera.
    some = {source: every[:: _EVERY[source]] for source, every in images.items()}
    groups = {source: hands_in(every, detnet, runtime) for source, every in some.items()}
    sys.stdout.write(", ".join(f"{len(hands)} hands of {source}" for source, hands in groups.items()) + "\n")
    told = {}
    for choice in product(SHARES, SHARES, PATIENCES):
        blend = replace(detnet.blend, picture=choice[0], depth=choice[1], patience=choice[2])
        told[choice] = [misproportion(blended_forms(hands, blend), blend.definition) for hands in groups.values()]
    for choice, values in sorted(told.items(), key=lambda item: sum(item[1])):
        numbers = "  ".join(f"{value:.4f}" for value in values)
        sys.stdout.write(f"picture {choice[0]:.2f} depth {choice[1]:.2f} patience {choice[2]:<9g} {numbers}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
