# SPDX-License-Identifier: GPL-3.0-or-later
"""What skin tone, gloves, blur, darkness and smallness cost: the same drawn hands, with one thing changed at a time.

    python -m training.detnet.kinds --model blender_handmocap/models/detnet.onnx [--hands 60] [--sheet SHEET.jpg]

Scenes, views and crops are of the test side of the split and the same for every row of the table; a row says how
many hands MediaPipe's presence lets through, and the errors of MediaPipe fitted and of the blend fitted on them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.crops import HAND_INPUT
from blender_handmocap.engine.see.detnet import DetNet
from blender_handmocap.engine.see.landmarks import HandNetwork, SeenHand
from training.footage import looks, skin, split, two_hands
from training.footage.crops import Crop, draw_crop
from training.footage.dataset import MIN_AREA, MIN_VISIBLE
from training.footage.scene import Scene
from training.footage.situations import Sampler

from .blend import LEAST_PRESENCE, WHOLE
from .evaluate import Answer, Method, engine, figures

Random = np.random.Generator
Change = Callable[[Scene, Random], Scene]

_PLAIN: Final = replace(looks.STANDARD, glove=0.0, motion=0.0, dark=0.0, coarse=0.0, grey=0.0, defocus=0.0)
"""how the scenes are dressed before one thing changes"""
_FAST: Final = 0.7
"""of what a hand usually moves while the shutter is open, in drawn pictures that have blur at all"""
_SMALL: Final = 0.16
"""of the crop's resolution: hands of about 20 pixels"""
_TONES: Final = {"light skin": (0.0, 0.3), "medium skin": (0.3, 0.65), "dark skin": (0.65, 1.0)}


def _skinned(low: float, high: float) -> Change:
    def change(scene: Scene, random: Random) -> Scene:
        seeds = [seed for seed in looks.skins(test=True) if low <= skin.person(seed).tone <= high]
        return replace(scene, look=replace(scene.look, skin=int(random.choice(seeds)), skin_tint=(1.0, 1.0, 1.0)))

    return change


def _gloved(scene: Scene, random: Random) -> Scene:
    return replace(scene, look=replace(scene.look, glove=split.draw_seed("skin", random, test=True)))


def _blurred(scene: Scene, random: Random) -> Scene:
    return replace(scene, hands_end=looks.sample_motion(scene.hands, random, _FAST))


def _darkened(scene: Scene, random: Random) -> Scene:
    return replace(scene, look=replace(scene.look, lens=looks.sample_lens(random, _PLAIN, dark=True)))


def _small(scene: Scene, random: Random) -> Scene:
    return replace(scene, look=replace(scene.look, lens=replace(scene.look.lens, scale=_SMALL)))


KINDS: Final[dict[str, Change]] = {
    "as drawn": lambda scene, random: scene,
    **{name: _skinned(*bounds) for name, bounds in _TONES.items()},
    "gloves": _gloved,
    "blur": _blurred,
    "darkness": _darkened,
    "small": _small,
}


@dataclass(frozen=True)
class Placed:
    """A hand of a scene that a crop is cut for."""

    scene: Scene
    hand: int
    seed: int


def placed(count: int, *, seed: int = 0) -> list[Placed]:
    """So many hands of the test side that can be seen."""
    patterns = two_hands.load().chosen(test=True) if two_hands.PATTERN_FILE.exists() else None
    sampler = Sampler(np.random.default_rng([seed, 71]), test=True, patterns=patterns)
    found: list[Placed] = []
    number = 0
    while len(found) < count:
        random = np.random.default_rng([seed, 72, number])
        scene = looks.dressed(sampler.scene(random), random, style=_PLAIN, test=True)
        one = Placed(scene, int(random.integers(len(scene.hands))), number)
        crop = draw_crop(scene, one.hand, number, quality="plain")
        if crop.target.visible.sum() >= MIN_VISIBLE and (crop.picture.side == 2).mean() >= MIN_AREA:
            found.append(one)
        number += 1
    return found


def crops(hands: Sequence[Placed], change: Change) -> list[Crop]:
    """Their crops with something changed; boxes and grain stay."""
    return [draw_crop(change(one.scene, np.random.default_rng([one.seed, 73])), one.hand, one.seed) for one in hands]


def judged(
    made: Sequence[Crop], network: HandNetwork, methods: dict[str, Method]
) -> tuple[int, dict[str, dict[str, float]]]:
    """How many of the crops are kept, and each method's errors on those."""
    kept: list[tuple[Crop, SeenHand]] = []
    for crop in made:
        seen = network.look(crop.picture.image, [WHOLE], [1.0])[0]
        if seen.presence >= LEAST_PRESENCE and seen.learned is not None:
            kept.append((crop, seen))
    answers: dict[str, list[Answer]] = {name: [] for name in methods}
    for crop, seen in kept:
        camera = Camera(K=crop.picture.scene.K, dist=np.zeros(5), width=HAND_INPUT, height=HAND_INPUT)
        for name, method in methods.items():
            answers[name].append(method(seen, camera))
    pixels = np.array([crop.target.keypoints2d for crop, _ in kept])
    points = np.array([crop.points3d for crop, _ in kept])
    return len(kept), {name: figures(every, pixels, points) for name, every in answers.items()} if kept else {}


def table(rows: dict[str, tuple[int, dict[str, dict[str, float]]]]) -> str:
    """Markdown: errors of each method, a kind a row."""
    names = list(next(iter(rows.values()))[1])
    columns = [f"{name}: 2D %, PA, rooted mm" for name in names]
    lines = [f"| hands | kept | {' | '.join(columns)} |", "|---" * (len(names) + 2) + "|"]
    for kind, (count, told) in rows.items():
        cells = [
            ", ".join(f"{told[name][key]:.1f}" for key in ("2D %", "PA mm", "rooted mm")) if name in told else "–"
            for name in names
        ]
        lines.append(f"| {kind} | {count} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def sheet(made: Sequence[Sequence[Crop]], count: int = 6) -> NDArray[np.uint8]:
    """A kind a row, RGB."""
    return np.vstack([np.hstack([crop.picture.image for crop in some[:count]]) for some in made])


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--hands", type=int, default=60)
    parser.add_argument("--only", nargs="*", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--sheet", type=Path, help="a picture of some crops, to look at")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    runtime = Runtime.choose("cpu", 1)
    detnet = DetNet(runtime.network_from(options.model))
    network = HandNetwork(runtime, detnet)
    methods = {"MediaPipe, fitted": engine(None, fitted=True), "blend, fitted": engine(detnet.blend, fitted=True)}
    hands = placed(options.hands)
    made = {kind: crops(hands, KINDS[kind]) for kind in options.only}
    if options.sheet is not None:
        cv2.imwrite(str(options.sheet), np.ascontiguousarray(sheet(list(made.values()))[:, :, ::-1]))
    rows = {kind: judged(some, network, methods) for kind, some in made.items()}
    sys.stdout.write(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
