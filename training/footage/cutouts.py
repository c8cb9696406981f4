# SPDX-License-Identifier: GPL-3.0-or-later
"""Real hands cut from photographs by our fitted mesh, and pasted over each other into two-hand pictures.

    python -m training.footage.cutouts --data DIR --out sheet.jpg [--count 40]

The engine finds each hand and fits the mesh; the mesh's mask starts a cut along the hand's own edge,
and the cut is kept only where both agree. DIR holds pictures of single hands in any folders. Nothing
of it is kept in the project: the sheet is for looking at.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.fit.live import LiveFitter, LivePose
from blender_handmocap.engine.hand.names import FOREARM_PART, Side
from blender_handmocap.engine.see.clip import Seer
from blender_handmocap.engine.settings import Settings

from . import scenery
from .compositing import Composite, Cutout, composed, matched_light
from .render import SIDE_LABEL, draw
from .scene import Backdrop, HandPose, Scene

Image = NDArray[np.uint8]
Array = NDArray[np.float64]
Random = np.random.Generator

LEAST_SIDE: Final = 320
"""Pictures with a shorter longer side are enlarged to this, for the eyes' sake."""
LEAST_CONFIDENCE: Final = 0.5
LEAST_AGREEMENT: Final = 0.8
"""Least overlap (intersection over union) of the mesh's mask and the cut along the hand's edge."""
_UNSURE: Final = 0.045
"""The mesh's outline is trusted to within this share of the hand's size."""
_CUT_ROUNDS: Final = 4
_AWAY: Final = 0.5
"""metres from the camera at which hands are pasted"""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """One hand of a photograph with our mesh on it."""

    scene: Scene
    """that hand alone, before the photograph's camera"""
    cutout: Cutout


class Cutter:
    """Finds, fits and cuts hands, one picture at a time."""

    def __init__(self, *, confidence: float = LEAST_CONFIDENCE, agreement: float = LEAST_AGREEMENT) -> None:
        self._confidence = confidence
        self._agreement = agreement

    def cut(self, image: Image) -> list[Cutout]:
        """The hands of one RGB picture (h, w, 3) that could be cut cleanly, in its own pixels."""
        return [hand.cutout for hand in self.fitted(image)]

    def fitted(self, image: Image) -> list[Fitted]:
        """The same with the pose that was found."""
        height, width = image.shape[:2]
        camera = Camera.estimated(width, height)
        seer = Seer(camera, Settings(mode="stills", eyes="mediapipe"))
        seen = {
            side: observation
            for side, observation in seer.live(image, time=0.0).items()
            if observation.confidence >= self._confidence
        }
        poses = LiveFitter(camera, definition=seer.definition).step(seen, 0.0)
        found = [self._one(image, camera, side, pose) for side, pose in poses.items()]
        return [hand for hand in found if hand is not None]

    def _one(self, image: Image, camera: Camera, side: Side, pose: LivePose) -> Fitted | None:
        hand = HandPose(side, pose.rotation, pose.translation)
        scene = Scene((hand,), np.zeros(10), None, camera.K, camera.width, camera.height)
        drawn = draw(scene, quality="plain")
        # The arm's way is not fitted: hands are cut at the wrist.
        mesh = (drawn.side == SIDE_LABEL[side]) & (drawn.part != 1 + FOREARM_PART)
        mask = outlined(image, mesh)
        both, either = (mask & mesh).sum(), (mask | mesh).sum()
        if not either or both / either < self._agreement:
            return None
        truth = drawn.hands[0]
        cutout = Cutout(
            image=image,
            mask=mask.astype(np.float32),
            depth=spread(drawn.depth, mesh),
            side=side,
            keypoints2d=truth.keypoints2d,
            visible=truth.visible,
        )
        return Fitted(scene, cutout)


def outlined(image: Image, mesh: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The hand's own mask (h, w) in a picture, begun from the mesh's: its inside is sure, what is far off is not it."""
    size = float(np.sqrt(mesh.sum()))
    reach = max(round(_UNSURE * size), 2)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    solid = mesh.astype(np.uint8)
    inside, about = cv2.erode(solid, disc), cv2.dilate(solid, disc)
    if not inside.any():
        return np.zeros_like(mesh)
    labels = np.full(mesh.shape, cv2.GC_BGD, np.uint8)
    labels[about > 0] = cv2.GC_PR_BGD
    labels[mesh] = cv2.GC_PR_FGD
    labels[inside > 0] = cv2.GC_FGD
    cv2.setRNGSeed(0)
    bgr = np.ascontiguousarray(image[:, :, ::-1])
    cv2.grabCut(bgr, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), _CUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
    cut = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.uint8)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(cut)
    if count < 2:
        return np.zeros_like(mesh)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    return np.asarray(pieces == largest)


def spread(values: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A map (h, w, ...) with pixels that are not `known` (h, w) taking the nearest known one's."""
    _, nearest = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label = np.zeros((int(nearest.max()) + 1, *values.shape[2:]), np.float32)
    by_label[nearest[known]] = values[known]
    return by_label[nearest]


def pasted(random: Random, cutouts: Sequence[Cutout], backdrop: Image) -> Composite:
    """Two of the cut-outs, a left and a right one, turned, scaled and laid over each other on a square backdrop."""
    size = backdrop.shape[0]
    first, second = (cutouts[int(i)] for i in random.choice(len(cutouts), 2, replace=len(cutouts) < 2))
    if first.side == second.side:
        second = second.mirrored()
    second = matched_light(second, first)
    middle = np.array([0.5 * size, 0.5 * size])
    apart = size * random.uniform(0.05, 0.2)
    away = apart * np.array([1.0 if first.side == "left" else -1.0, random.normal() * 0.4])
    front = 0.05 * random.choice([-1.0, 1.0])
    return composed(
        backdrop,
        [
            laid(random, first, middle - away, size).nearer(front),
            laid(random, second, middle + away, size).nearer(-front),
        ],
        by_pixel=bool(random.random() < 0.3),
    )


def laid(random: Random, piece: Cutout, place: Array, size: int) -> Cutout:
    """The cut-out with the middle of its mask at `place`, about half the canvas long, half a metre away."""
    rows, columns = np.nonzero(piece.mask > 0.5)
    centre = np.array([columns.mean(), rows.mean()])
    extent = max(np.ptp(rows), np.ptp(columns), 1)
    scale = size * random.uniform(0.5, 0.68) / extent
    turn = np.radians(20.0 * random.normal())
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = np.concatenate([linear, (place - linear @ centre)[:, None]], axis=1)
    middle = float(np.median(piece.depth[piece.mask > 0.5]))
    return piece.nearer(middle - _AWAY).moved(matrix, size, size)


def photographs(folder: Path, random: Random) -> Iterator[Image]:
    """The pictures below a folder in random order, RGB, none too small."""
    names = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    for index in random.permutation(len(names)):
        picture = cv2.imread(str(names[index]))
        if picture is None:
            _log.warning("%s could not be read and is left out.", names[index].name)
            continue
        grow = max(LEAST_SIDE / max(picture.shape[:2]), 1.0)
        if grow > 1.0:
            picture = cv2.resize(picture, None, fx=grow, fy=grow, interpolation=cv2.INTER_CUBIC)
        yield np.ascontiguousarray(picture[:, :, ::-1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of pictures of single hands")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=40, help="hands to cut")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    random = np.random.default_rng(options.seed)
    cutter, pieces, looked = Cutter(), [], 0
    for image in photographs(options.data, random):
        looked += 1
        pieces += cutter.cut(image)
        if len(pieces) >= options.count:
            break
    _log.info("%d hands cut from %d pictures", len(pieces), looked)
    if not pieces:
        _log.error("No picture in %s shows a hand that can be cut; give a folder of single hands.", options.data)
        return 1
    keys = scenery.keys(test=False)["painted"]
    tiles = []
    for _ in range(24):
        behind = scenery.backdrop(Backdrop(key=str(random.choice(keys)), blur=1.5), 224, 224)
        backdrop = np.clip(behind ** (1 / 2.2) * 255.0, 0, 255).astype(np.uint8)
        made = pasted(random, pieces, backdrop)
        tint = np.zeros_like(made.image)
        tint[made.side == 1], tint[made.side == 2] = (80, 140, 255), (255, 150, 60)
        tiles.append(np.hstack([made.image, tint]))
    sheet = np.vstack([np.hstack(tiles[k : k + 4]) for k in range(0, len(tiles), 4)])
    cv2.imwrite(str(options.out), np.ascontiguousarray(sheet[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 88])
    return 0


if __name__ == "__main__":
    sys.exit(main())
