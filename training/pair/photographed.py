# SPDX-License-Identifier: GPL-3.0-or-later
"""A shard of crops of both hands of real people as they were filmed, labelled by the engine's own capture.

    python -m training.pair.photographed --data DIR --out SHARDS/photographed-000-00000 [--crops 2] [--sheet SHEET.jpg]

Clips that the data's README allows for training are captured with MediaPipe's eyes. Kept are frames in which both
hands were seen well, the fit lies on what was seen, and the hands do not cover each other: there a capture of one
hand at a time is to be trusted. What it cannot tell is masked (`Laid.PHOTOGRAPHED`).
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.fit.clip import solve
from blender_handmocap.engine.footage import open_footage
from blender_handmocap.engine.hand.names import CONTACT_PARTS, SIDES
from blender_handmocap.engine.see.clip import see
from blender_handmocap.engine.see.crops import cut
from blender_handmocap.engine.settings import Settings
from blender_handmocap.engine.take import State, Take
from training.detnet.real import SIGNS, STOCK
from training.footage import mesh_gap
from training.footage.crops import CROP_SIZE
from training.footage.render import SIDE_LABEL, draw
from training.footage.scene import HandPose, Scene

from .composites import Row, sheet
from .pictures import Laid, Situations, strayed, truth_of, within_picture
from .shards import LABELS, LAID, MAPS, write_rows

Array = NDArray[np.float64]

_EVERY: Final = 3
"""frames"""
_LEAST_CONFIDENCE: Final = 0.7
_AGREE: Final = 0.06
"""of its box that a hand's fit may be off what was seen, on average"""
_OVERLAP: Final = 0.02
"""of the smaller hand's pixels that may lie in the outline of the other"""

log = logging.getLogger(__name__)


def trusted(take: Take) -> NDArray[np.intp]:
    """Frames in which both hands were seen well and the fit lies on what was seen."""
    camera = Camera(K=take.K, dist=take.dist, width=1, height=1)
    good = np.ones(len(take), bool)
    for side in SIDES:
        track = take.track(side)
        seen = (track.state == State.SEEN) & (track.confidence >= _LEAST_CONFIDENCE)
        places = np.zeros((len(take), *track.seen2d.shape[1:]))
        places[seen] = camera.project(track.points[seen])
        box = np.maximum(np.ptp(places, axis=1).max(-1), 1.0)
        off = np.linalg.norm(np.nan_to_num(track.seen2d) - places, axis=-1).mean(-1) / box
        good &= seen & (off < _AGREE)
    return np.flatnonzero(good)


def scene_of(take: Take, frame: int, width: int, height: int) -> Scene:
    """Both hands of a frame of the take before its camera."""
    hands = tuple(HandPose(s, take.track(s).rotation[frame], take.track(s).translation[frame]) for s in SIDES)
    K = take.K if take.K.ndim == 2 else take.K[frame]
    return Scene(hands, take.betas, take.size, K, width, height)


def rows(image: NDArray[np.uint8], scene: Scene, random: np.random.Generator, count: int) -> Iterator[Row]:
    """Crops (224, 224, 3) of one picture of two hands; none where one covers the other."""
    drawn = draw(scene, quality="plain")
    alone = [draw(replace(scene, hands=(hand,)), quality="plain").side > 0 for hand in scene.hands]
    areas = [int((drawn.side == SIDE_LABEL[hand.side]).sum()) for hand in scene.hands]
    if min(areas) == 0 or (alone[0] & alone[1]).sum() > _OVERLAP * min(areas):
        return
    known = [hand.keypoints2d for hand in drawn.hands]
    inside = [within_picture(points, scene) for points in known]
    gap = np.full((len(CONTACT_PARTS), len(CONTACT_PARTS)), mesh_gap.FAR)
    for _ in range(count):
        crop = strayed(known, Situations(), random)
        shown = cut(image, crop, CROP_SIZE, replicate=True)
        truth = truth_of(drawn, crop, inside, gap, empty=False)
        # A hand beside the crop of the other one is there all the same.
        truth = replace(truth, laid=Laid.PHOTOGRAPHED if truth.pair else Laid.DRAWN)
        if random.random() < 0.5:
            shown, truth = np.ascontiguousarray(shown[:, ::-1]), truth.mirrored()
        yield shown, truth


def movies(data: Path) -> list[Path]:
    """What may be trained on."""
    return [*(data / "signs" / f"{name}.mkv" for name in SIGNS), *(data / "stock" / name for name in STOCK)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--crops", type=int, default=2)
    parser.add_argument("--sheet", type=Path, help="a picture of some rows, to look at")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    cv2.setNumThreads(1)
    random = np.random.default_rng([options.seed, 73])
    made: list[Row] = []
    for movie in movies(options.data):
        footage = open_footage(str(movie))
        take = solve(see(footage, Settings(eyes="mediapipe", pair_eyes=False, threads=1)))
        wanted = {int(take.frame[k]): int(k) for k in trusted(take) if take.frame[k] % _EVERY == 0}
        before = len(made)
        for frame in footage.frames():
            if frame.index in wanted:
                height, width = frame.image.shape[:2]
                made += rows(frame.image, scene_of(take, wanted[frame.index], width, height), random, options.crops)
        log.info("%s: %d crops", movie.stem, len(made) - before)
    if not made:
        log.error("No clip in %s shows two hands that can be captured; give the folder of real data.", options.data)
        return 1
    write_rows(options.out, iter(made), len(made), (*LABELS, LAID, *MAPS))
    if options.sheet is not None:
        cv2.imwrite(str(options.sheet), np.ascontiguousarray(sheet(options.out)[:, :, ::-1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
