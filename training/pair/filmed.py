# SPDX-License-Identifier: GPL-3.0-or-later
"""Shards of crops around single hands as they were filmed, in their own light and before their own walls.

    python -m training.pair.filmed --data DIR --out SHARDS/filmed-000-00000 [--crops 4] [--sheet SHEET.jpg]

The network has to know a fist from a hand that hides another one. Pasted hands tell it little of that: their edges
are cut. Only pictures known to show a single hand are read, and hands that our mesh fits well enough; labels are those
of `training.pair.composites`.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from blender_handmocap.engine.see.crops import Image
from training.detnet.composites import cutout_of
from training.detnet.fitted import gathered
from training.detnet.real import STOCK, pictures, thinned
from training.footage.compositing import Composite
from training.footage.cutouts import Cutter
from training.footage.render import SIDE_LABEL

from .composites import Random, Row, crops, sheet
from .pictures import Situations
from .shards import LABELS, LAID, MAPS, write_rows

_CONFIDENCE: Final = 0.5
_AGREEMENT: Final = 0.7
"""Less than what is asked of hands that are cut out: no edge is shown, and it is the odd ones that are needed."""
_WIDE: Final = 1.7
"""crops of a detector that a picture's cut is wide: crops of both hands stray"""
_EVERY_MOVIE: Final = 2
_EVERY_DIGIT: Final = 3

log = logging.getLogger(__name__)


def single_hands(data: Path) -> Iterator[Image]:
    """Pictures that show one hand and no more."""
    digits = (image for source, image in pictures(data) if source == "digits")
    for number, image in enumerate(digits):
        if number % _EVERY_DIGIT == 0:
            yield image
    for name in STOCK:
        yield from thinned(data / "stock" / name, _EVERY_MOVIE)


def filmed(image: Image, cutter: Cutter) -> Composite | None:
    """The one hand of a picture, as if it had been pasted there; None: it is not seen, or something else is."""
    found = cutter.fitted(image)
    if len(found) != 1:
        return None
    piece = cutout_of(gathered(found, _WIDE), 0)
    side = np.where(piece.mask > 0.5, SIDE_LABEL[piece.side], 0).astype(np.uint8)
    return Composite(piece.image, side, (piece,), (piece.visible,))


def rows(made: Sequence[Composite], random: Random, count: int) -> Iterator[Row]:
    """`count` crops of each picture."""
    situations = Situations()
    for one in made:
        yield from crops(one, situations, random, count)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--crops", type=int, default=4)
    parser.add_argument("--sheet", type=Path, help="a picture of some rows, to look at")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    cv2.setNumThreads(1)
    cutter = Cutter(confidence=_CONFIDENCE, agreement=_AGREEMENT)
    made = [one for image in single_hands(options.data) if (one := filmed(image, cutter)) is not None]
    count = len(made) * options.crops
    random = np.random.default_rng([options.seed, 72])
    write_rows(options.out, rows(made, random, options.crops), count, (*LABELS, LAID, *MAPS))
    if options.sheet is not None:
        cv2.imwrite(str(options.sheet), np.ascontiguousarray(sheet(options.out)[:, :, ::-1]))
    log.info("%d rows of %d pictures", count, len(made))
    return 0


if __name__ == "__main__":
    sys.exit(main())
