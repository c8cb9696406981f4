# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of touching hands for the documentation: movies with the result drawn over, and the worst frames.

    python -m benchmarks.touching_pictures --clips DIR --seen DIR --out docs/pictures --movies touching_2 touching_4

DIR are those of benchmarks.touching_ablation; what was seen is solved as shipped. Writes touching_FAMILY.mp4 for each
named clip, and touching_worst.jpg: the frames in which the vector between the wrists is most wrong, at most two a clip.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.fit.clip import solve
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.overlay import OverlayPainter, write_overlay
from blender_handmocap.engine.take import State, Take, load_take

Image = NDArray[np.uint8]

_TILE: Final = 200
"""pixels a side"""
_COLUMNS: Final = 4
"""of a footage tile and a drawn one each"""
_ROWS: Final = 3
_A_CLIP: Final = 2
_AROUND: Final = 0.75
"""of the hands' longer side, shown around their middle"""
_QUALITY: Final = 82


@dataclass(frozen=True)
class Frame:
    """One frame of a solved clip."""

    clip: str
    index: int
    error_mm: float
    """of the vector between the wrists"""
    tile: Image
    """footage and, beside it, the result"""


def footage(clip: Path) -> Iterator[tuple[int, Image]]:
    """Frame numbers and RGB pictures (H, W, 3) of a drawn clip."""
    for path in sorted((clip / "pictures").glob("*.jpg")):
        image = cv2.imread(str(path))
        if image is not None:
            yield int(path.stem), np.asarray(image[..., ::-1], np.uint8)


def frames_of(clip: Path, take: Take, truth: Take) -> Iterator[Frame]:
    """The frames that show both hands."""
    painter = OverlayPainter(take, {side: free_hand(side) for side in SIDES})
    for number, image in footage(clip):
        index = int(np.searchsorted(take.frame, number))
        if index >= len(take) or not all(take.track(side).state[index] != State.ABSENT for side in SIDES):
            continue
        if not all(truth.track(side).state[index] != State.ABSENT for side in SIDES):
            continue
        found, true = (one.left.translation[index] - one.right.translation[index] for one in (take, truth))
        error = 1e3 * float(np.linalg.norm(found - true))
        points = np.concatenate([truth.track(side).seen2d[index] for side in SIDES])
        drawn = painter.draw(np.ascontiguousarray(image), index)
        tile = np.concatenate([_cut(image, points), _cut(drawn, points)], axis=1)
        cv2.putText(tile, f"{error:.0f} mm", (_TILE + 6, _TILE - 8), 0, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
        yield Frame(clip.name, index, error, tile)


def _cut(image: Image, points: NDArray[np.float64]) -> Image:
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    reach = _AROUND * float((high - low).max())
    corner = (low + high) / 2 - reach
    scale = _TILE / (2 * reach)
    matrix = np.array([[scale, 0.0, -corner[0] * scale], [0.0, scale, -corner[1] * scale]])
    size = (_TILE, _TILE)
    return np.asarray(cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_CONSTANT), np.uint8)


def worst(frames: Sequence[Frame], count: int, a_clip: int = _A_CLIP) -> list[Frame]:
    """The frames with the largest errors, at most `a_clip` of each clip and not next to each other."""
    chosen: list[Frame] = []
    for frame in sorted(frames, key=lambda one: -one.error_mm):
        beside = [one for one in chosen if one.clip == frame.clip]
        if len(beside) < a_clip and all(abs(one.index - frame.index) > 1 for one in beside):
            chosen.append(frame)
    return chosen[:count]


def sheet(frames: Sequence[Frame]) -> Image:
    """The tiles of some frames, row by row."""
    tiles = [frame.tile for frame in frames]
    tiles += [np.zeros((_TILE, 2 * _TILE, 3), np.uint8)] * (-len(tiles) % _COLUMNS)
    lines = [np.concatenate(tiles[first : first + _COLUMNS], axis=1) for first in range(0, len(tiles), _COLUMNS)]
    return np.concatenate(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--seen", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--movies", nargs="*", default=[], metavar="CLIP")
    options = parser.parse_args(arguments)
    every: list[Frame] = []
    for path in sorted(options.seen.glob("*.take.npz")):
        clip = options.clips / path.name.removesuffix(".take.npz")
        take, truth = solve(load_take(path)), load_take(clip / "truth.npz")
        every += frames_of(clip, take, truth)
        if clip.name in options.movies:
            movie = options.out / f"touching_{truth.meta['family']}.mp4"
            size = (int(take.meta["width"]), int(take.meta["height"]))
            write_overlay(take, footage(clip), movie, models={side: free_hand(side) for side in SIDES}, size=size)
    found = sheet(worst(every, _COLUMNS * _ROWS))
    cv2.imwrite(str(options.out / "touching_worst.jpg"), found[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
