# SPDX-License-Identifier: GPL-3.0-or-later
"""What MediaPipe's networks see on drawn hands whose truth is known, collected once for everything fitted to it.

    python -m training.mediapipe.samples --out training/runs/mediapipe_train.npz [--pictures 4000] [--test]

Each picture is searched for palms as a clip's first frame is, and each true hand is also looked for
in a crop that is some way off, as while tracking. One row a hand that the network claims to see.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.crops import crop_of_hand, square_around
from blender_handmocap.engine.see.landmarks import HandNetwork, SeenHand
from blender_handmocap.engine.see.palms import PalmDetector
from training.footage import looks, two_hands
from training.footage.render import HandTruth, Picture, draw
from training.footage.scene import Scene
from training.footage.situations import Sampler
from training.footage.surface import hand_model

Array = NDArray[np.float64]

LEAST_PRESENCE: Final = 0.5
_LEAST_SCORE: Final = 0.3
_REFINEMENTS: Final = 2
_SHIFT: Final = 0.18
"""Spread of a tracked crop's place, in shares of its side; its size and angle vary alongside."""
_LEAST_VISIBLE: Final = 6


@dataclass(frozen=True)
class Eyes:
    """Both networks."""

    palms: PalmDetector
    hands: HandNetwork

    @classmethod
    def open(cls) -> Eyes:
        """On one thread."""
        runtime = Runtime.choose("cpu", 1)
        return cls(PalmDetector(runtime), HandNetwork(runtime))

    def refined(self, picture: Picture, crop: Array, times: int) -> SeenHand:
        """Look, and look again where the hand turned out to be."""
        hand = self.hands.look(picture.image, [crop])[0]
        for _ in range(times):
            hand = self.hands.look(picture.image, [hand.next_crop])[0]
        return hand


def collect(pictures: int, *, seed: int = 0, test: bool = False) -> dict[str, NDArray[Any]]:
    """Rows of `pictures` drawn scenes from one side of the split."""
    cv2.setNumThreads(1)
    eyes = Eyes.open()
    random = np.random.default_rng([seed, int(test), 77])
    patterns = two_hands.load().chosen(test=test) if two_hands.PATTERN_FILE.exists() else None
    sampler = Sampler(random, test=test, patterns=patterns)
    rows: list[dict[str, Any]] = []
    for number in range(pictures):
        scene = looks.dressed(sampler.scene(random), random, test=test)
        picture = draw(scene, number)
        rows += [{**row, "picture": number} for row in _rows(picture, scene, eyes, random)]
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


def _rows(picture: Picture, scene: Scene, eyes: Eyes, random: np.random.Generator) -> list[dict[str, Any]]:
    rows = []
    whole = square_around(scene.width, scene.height)
    for palm in eyes.palms.detect(picture.image, threshold=_LEAST_SCORE, part=whole):
        seen = eyes.refined(picture, palm.crop, _REFINEMENTS)
        rows.append(_row(seen, picture, scene, tracked=False))
    for truth in picture.hands:
        if truth.visible.sum() < _LEAST_VISIBLE:
            continue
        crop = crop_of_hand(truth.keypoints2d)
        moved = crop + crop[2] * np.append(random.normal(size=2) * _SHIFT * random.random(), [0.0, 0.0, 0.0])
        moved[2:4] *= np.exp(random.normal() * 0.1)
        moved[4] += random.normal() * 0.15
        seen = eyes.refined(picture, moved, 0)
        rows.append(_row(seen, picture, scene, tracked=True))
    return [row for row in rows if row["presence"] >= LEAST_PRESENCE]


def _row(seen: SeenHand, picture: Picture, scene: Scene, *, tracked: bool) -> dict[str, Any]:
    """What was seen beside the nearest true hand; without any, its error is infinite."""
    truth = min(picture.hands, key=lambda hand: _distance(seen, hand), default=None)
    row: dict[str, Any] = {
        "crop": seen.crop,
        "screen": seen.screen,
        "world": seen.world,
        "presence": seen.presence,
        "right": seen.right,
        "tracked": tracked,
        "K": scene.K,
        "width": scene.width,
        "height": scene.height,
        "glove": scene.look.glove is not None,
    }
    if truth is None:
        empty = np.full((21, 3), np.nan)
        return row | {
            "true_right": False, "points2d": empty[:, :2], "points3d": empty, "visible": np.zeros(21, bool),
            "orientation": np.full((16, 3, 3), np.nan), "scale": np.nan,
        }  # fmt: skip
    model = hand_model(truth.pose.side)
    rest = model.rest(scene.betas, scene.size)
    posed = model.pose(truth.pose.rotation[None], truth.pose.translation[None], rest)
    return row | {
        "true_right": truth.pose.side == "right",
        "points2d": truth.keypoints2d,
        "points3d": truth.keypoints3d,
        "visible": truth.visible,
        "orientation": posed.orientation[0],
        "scale": rest.scale,
    }


def _distance(seen: SeenHand, truth: HandTruth) -> float:
    return float(np.linalg.norm(seen.screen[:, :2] - truth.keypoints2d, axis=1).mean())


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test", action="store_true", help="from the sources kept for testing")
    chosen = parser.parse_args(arguments)
    rows = collect(chosen.pictures, seed=chosen.seed, test=chosen.test)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(chosen.out, **rows)
    sys.stdout.write(f"{len(rows['presence'])} hands seen in {chosen.pictures} pictures\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
