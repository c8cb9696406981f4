# SPDX-License-Identifier: GPL-3.0-or-later
"""Real hands with our mesh on them: what redrawn and pasted training crops are made of.

    python -m training.detnet.fitted --data DIR --out FITTED.npz [--every digits=3 clips=1 --but digits=9 clips=3]

Only the folders that the data's README allows for training are read. The engine finds and fits each hand;
it is kept where the mesh's outline and the hand's own edge agree. Each is kept as an upright square cut
of its picture with the camera that sees exactly that.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.names import Side
from blender_handmocap.engine.see.crops import Image, crop_of_hand, cut
from training.footage.crops import crop_matrix, crop_scene
from training.footage.cutouts import Cutter, Fitted
from training.footage.scene import HandPose, Scene

from .real import pictures

Array = NDArray[np.float64]

SIZE: Final = 256
"""pixels a side"""
LEAST_CONFIDENCE: Final = 0.7
LEAST_AGREEMENT: Final = 0.8
EVERY: Final = {"digits": 9, "clips": 3}
"""of the pictures that training reads: the digits are many and all alike"""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FittedHands:
    """N hands, each in a square cut of its picture."""

    image: NDArray[np.uint8]
    """(N, SIZE, SIZE, 3) RGB"""
    mask: NDArray[np.uint8]
    """(N, SIZE, SIZE) 1 where the hand is"""
    left: NDArray[np.bool_]
    """(N,)"""
    rotation: Array
    """(N, 16, 4)"""
    translation: Array
    """(N, 3) metres, axes of the cut's camera"""
    K: Array
    """(N, 3, 3) of the cut"""

    def __len__(self) -> int:
        return len(self.image)

    def side(self, index: int) -> Side:
        """Which hand it is."""
        return "left" if self.left[index] else "right"

    def scene(self, index: int) -> Scene:
        """One of them before the cut's camera, in the mean shape it was fitted in."""
        hand = HandPose(self.side(index), self.rotation[index], self.translation[index])
        return Scene((hand,), np.zeros(10), None, self.K[index], SIZE, SIZE)

    def save(self, path: Path) -> None:
        """Write an .npz."""
        np.savez_compressed(path, **vars(self))

    @classmethod
    def read(cls, path: Path) -> FittedHands:
        """What `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            return cls(**{name: file[name] for name in cls.__dataclass_fields__})


def gathered(hands: Sequence[Fitted], wide: float = 1.0) -> FittedHands:
    """Fitted hands cut out of their pictures, with so many times a detector's crop around them."""
    boxes = [crop_of_hand(hand.cutout.keypoints2d) * [1.0, 1.0, wide, wide, 1.0] for hand in hands]
    scenes = [crop_scene(hand.scene, box, SIZE) for hand, box in zip(hands, boxes, strict=True)]
    masks = [
        cv2.warpAffine(hand.cutout.mask, crop_matrix(box, SIZE), (SIZE, SIZE)) > 0.5
        for hand, box in zip(hands, boxes, strict=True)
    ]
    return FittedHands(
        image=np.stack([cut(hand.cutout.image, b, SIZE, replicate=True) for hand, b in zip(hands, boxes, strict=True)]),
        mask=np.stack(masks).astype(np.uint8),
        left=np.array([hand.cutout.side == "left" for hand in hands]),
        rotation=np.stack([scene.hands[0].rotation for scene in scenes]),
        translation=np.stack([scene.hands[0].translation for scene in scenes]),
        K=np.stack([scene.K for scene in scenes]),
    )


def chosen(
    found: Iterable[tuple[str, Image]], every: Mapping[str, int], but: Mapping[str, int] | None = None
) -> Iterator[Image]:
    """Of each source's pictures every so many-th, without every so many-th of `but`, which another file holds."""
    seen = dict.fromkeys(every, 0)
    for source, image in found:
        count = seen[source]
        if count % every[source] == 0 and not (but and source in but and count % but[source] == 0):
            yield image
        seen[source] += 1


def thinning(text: str) -> tuple[str, int]:
    """A source and a number from `digits=9`."""
    source, _, number = text.partition("=")
    if source not in EVERY or not number.isdigit() or int(number) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not one of {', '.join(f'{name}=N' for name in EVERY)}")
    return source, int(number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--every", type=thinning, nargs="*", default=[], help="which pictures: digits=9 clips=3")
    parser.add_argument("--but", type=thinning, nargs="*", default=[], help="not these, which another file holds")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    cv2.setNumThreads(1)
    cutter = Cutter(confidence=LEAST_CONFIDENCE, agreement=LEAST_AGREEMENT)
    hands: list[Fitted] = []
    looked = 0
    for image in chosen(pictures(options.data), {**EVERY, **dict(options.every)}, dict(options.but)):
        hands += cutter.fitted(image)
        looked += 1
        if looked % 100 == 0:
            log.info("%d hands in %d pictures", len(hands), looked)
    if not hands:
        log.error("No picture in %s shows a hand that can be fitted; give the folder of real data.", options.data)
        return 1
    gathered(hands).save(options.out)
    log.info("%d hands in %d pictures", len(hands), looked)
    return 0


if __name__ == "__main__":
    sys.exit(main())
