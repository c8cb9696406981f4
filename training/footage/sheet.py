# SPDX-License-Identifier: GPL-3.0-or-later
"""Contact sheets to look at: docs/pictures/footage_*.jpg.

    python -m training.footage.sheet [crops] [patterns] [motion] [--seed 0] [--out docs/pictures]

footage_crops.jpg: 100 training crops as they are. footage_maps.jpg: some of them with side, part,
depth, surface coordinates and keypoints (green seen, red hidden). footage_patterns.jpg: a row of
two-hand patterns for each family. footage_motion.jpg: a row of frames for each kind of motion.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.camera import Camera

from . import looks, motion, two_hands
from .dataset import Row, Settings, stream
from .render import draw
from .scene import Backdrop, Look, Scene
from .situations import UPRIGHT, held_capsule, pattern_hands
from .surface import hand_model

Image = NDArray[np.uint8]

LARGEST: Final = 400_000
"""bytes of a sheet"""
_SHEETS: Final = ("crops", "patterns", "motion")
_RECORDED: Final = "flapping"
_COLUMNS: Final = 10
_MAPPED: Final = 8
_PARTS: Final = np.random.default_rng(3).integers(60, 255, (18, 3)).astype(np.uint8) * (np.arange(18) > 0)[:, None]
_SIDES: Final = np.array([[0, 0, 0], [80, 140, 255], [255, 150, 60]], np.uint8)


def mapped(row: Row) -> Image:
    """One crop beside its maps (H, 6 W, 3)."""
    picture = row.crop.picture
    points = picture.image.copy()
    for (x, y), seen in zip(row.crop.target.keypoints2d, row.crop.target.visible, strict=True):
        cv2.circle(points, (round(x), round(y)), 3, (60, 220, 60) if seen else (230, 50, 50), -1, cv2.LINE_AA)
    shown = picture.depth > 0
    near, far = (picture.depth[shown].min(), picture.depth[shown].max()) if shown.any() else (0.0, 1.0)
    depth = np.where(shown, 255 - 200 * (picture.depth - near) / max(far - near, 1e-6), 0)
    low, high = np.array([-0.19, -0.06, -0.07]), np.array([0.24, 0.04, 0.08])
    place = np.clip((picture.correspondence - low) / (high - low), 0, 1) * 255 * (picture.side > 0)[..., None]
    grey = np.repeat(depth[..., None], 3, axis=2)
    tiles = [picture.image, points, _SIDES[picture.side], _PARTS[picture.part].astype(np.uint8), grey, place]
    return np.hstack([tile.astype(np.uint8) for tile in tiles])


def sheets(seed: int, count: int = 100) -> tuple[Image, Image]:
    """The sheet of crops and the sheet of maps, RGB."""
    rows = list(islice(stream(Settings(seed=seed), 0), count))
    tiles = [row.crop.picture.image for row in rows]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % _COLUMNS)
    crops = np.vstack([np.hstack(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)])
    hands = [row for row in rows if row.shows_hand][:_MAPPED]
    return crops, np.vstack([mapped(row) for row in hands])


def patterns(seed: int, columns: int = 8, size: int = 224) -> Image:
    """A row of random patterns for each family, seen from about the front, RGB."""
    random = np.random.default_rng(seed)
    every = two_hands.load()
    rows = []
    for name in every.names:
        mine = every.of(name)
        tiles = []
        for index in random.choice(len(mine), columns, replace=False):
            view = rotations.matrix_from_vector(random.normal(size=3) * [0.3, 0.9, 0.3]) @ UPRIGHT
            hands = pattern_hands(mine.pairs, int(index), view)
            points = [
                hand_model(hand.side)
                .pose(hand.rotation[None], hand.translation[None], hand_model(hand.side).rest())
                .keypoints[0]
                for hand in hands
            ]
            cloud = np.concatenate(points)
            middle = 0.5 * (cloud.min(0) + cloud.max(0)) - [0.0, 0.0, 0.6]
            hands = tuple(replace(hand, translation=hand.translation - middle) for hand in hands)
            focal = 0.8 * size * 0.6 / max(float(np.ptp(cloud[:, :2], axis=0).max()), 0.1)
            K = np.array([[focal, 0.0, (size - 1) / 2], [0.0, focal, (size - 1) / 2], [0.0, 0.0, 1.0]])
            look = Look(skin=2, things=held_capsule(mine.thing[int(index)], int(index)))
            tiles.append(draw(Scene(hands, np.zeros(10), None, K, size, size, look)).image)
        rows.append(_named(np.hstack(tiles), name))
    return np.vstack(rows)


def motions(seed: int, columns: int = 10) -> Image:
    """Ten frames, evenly apart, of clips of each kind, RGB."""
    random = np.random.default_rng(seed)
    touching = two_hands.load().chosen(test=False)
    clips = [
        ("recorded, two hands, 60 fps", motion.recorded(_RECORDED, 60, start=0.1, seconds=2.9)),
        ("imagined, one hand, 30 fps", motion.imagined(random, 30, 4.0, sides=("right",))),
        ("imagined, two hands, 60 fps", motion.imagined(random, 60, 4.0)),
        ("crossing, 60 fps", motion.imagined(random, 60, 2.4, events=("go", "cross"))),
        ("waving, 30 fps", motion.imagined(random, 30, 1.2, sides=("left",), events=("go", "wave"))),
        ("leaving and coming back, 30 fps", motion.imagined(random, 30, 3.0, events=("go", "leave"))),
        ("meeting in fingertips, 30 fps", motion.meeting(random, 30, 2.4, touching.of("fingertips"))),
        ("meeting interlaced, 30 fps", motion.meeting(random, 30, 2.4, touching.of("interlaced"))),
        ("meeting palm to palm, 30 fps", motion.meeting(random, 30, 2.4, touching.of("palms"))),
    ]
    camera = Camera.from_fov(280, 210, 62.0)
    rows = []
    for name, clip in clips:
        bare = Scene((), clip.betas, clip.size, camera.K, camera.width, camera.height, Look(backdrop=Backdrop()))
        look = looks.dressed(bare, random, style=looks.PLAIN).look
        frames = np.linspace(0, len(clip) - 1, columns).round().astype(int)
        tiles = [draw(motion.scene_of(clip, int(frame), camera, look), int(frame)).image for frame in frames]
        rows.append(_named(np.hstack(tiles), name))
    return np.vstack(rows)


def _named(row: Image, name: str) -> Image:
    """A row of pictures with its name above."""
    strip = np.full((26, row.shape[1], 3), 255, np.uint8)
    cv2.putText(strip, name, (6, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (30, 30, 30), 1, cv2.LINE_AA)
    return np.vstack([strip, row])


def _written(path: Path, image: Image, width: int) -> None:
    """The picture as a JPEG of at most LARGEST bytes."""
    small = cv2.resize(image, (width, round(image.shape[0] * width / image.shape[1])), interpolation=cv2.INTER_AREA)
    for quality in range(88, 20, -4):
        _, coded = cv2.imencode(".jpg", np.ascontiguousarray(small[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
        if len(coded) <= LARGEST:
            break
    path.write_bytes(coded.tobytes())


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", help="crops, patterns, motion; all if none is named")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=100, help="training crops")
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    options = parser.parse_args(arguments)
    unknown = set(options.which) - set(_SHEETS)
    if unknown:
        parser.error(f"there is no sheet {', '.join(sorted(unknown))}; choose from {', '.join(_SHEETS)}")
    wanted = options.which or _SHEETS
    options.out.mkdir(parents=True, exist_ok=True)
    if "crops" in wanted:
        for name, image in zip(("crops", "maps"), sheets(options.seed, options.count), strict=True):
            _written(options.out / f"footage_{name}.jpg", image, 1400)
    if "patterns" in wanted:
        _written(options.out / "footage_patterns.jpg", patterns(options.seed), 1280)
    if "motion" in wanted:
        _written(options.out / "footage_motion.jpg", motions(options.seed), 1600)
    return 0


if __name__ == "__main__":
    sys.exit(main())
