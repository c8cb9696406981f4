# SPDX-License-Identifier: GPL-3.0-or-later
"""The Cycles row of the frozen sets: clips of the same recipes whose light Blender's path tracer draws.

    python -m benchmarks.sets.frozen_cycles --bpy PYTHON [--set NAME] [--record]
    python -m benchmarks.sets.frozen_cycles --sheet docs/pictures/footage_cycles.jpg

PYTHON is one that has the module bpy; ours needs numba. A frame takes seconds, and a stopped run goes on where it was.
Poses, bodies, lamps, backdrop, lens and codec are made as for the other rows, from sources nothing was trained on.
What Cycles draws depends on its version and on the machine, so a sum that differs does not yet mean a fault.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.take import save_take
from training.footage import cycles_bundle
from training.footage.render import draw

from .frozen import ABOUT, CYCLES_ROW, clip_folder, sum_of, sums, write_sums
from .frozen_draw import RECIPES, seed_of, truth_of
from .frozen_motion import ClipScenes, Recipe, made

CLIPS: Final = 3
_FIRST: Final = 4
_FRAMES: Final = 6
"""Pictures of the first clip of a set and of each later one: path tracing is dear."""
_WHOLE: Final = ("fast",)
"""Sets whose later clips are as long as their motion, without which there is no swing to be measured."""
_LENGTH: Final = 12
"""Frames of the motion they are the middle of."""
_LONGER_SIDE: Final = 480
_TILE: Final = 240
_COLUMNS: Final = 6
_SAMPLES: Final = 16
_ROOT: Final = Path(__file__).resolve().parents[2]


def recipe_of(name: str) -> Recipe:
    """The set's own recipe for smaller pictures, and as long as a clip of this row is; waves keep their length."""
    recipe = RECIPES[name]
    return replace(
        recipe, frames=max(recipe.frames, _LENGTH), clips=CLIPS, longer_side=min(recipe.longer_side, _LONGER_SIDE)
    )


def length_of(name: str, number: int) -> int:
    """Pictures of a clip."""
    if number == 0:
        return _FIRST
    return recipe_of(name).frames if name in _WHOLE else _FRAMES


def clip_of(name: str, number: int) -> ClipScenes:
    """The scenes of a clip: the middle of what the recipe makes, only sources nothing was trained on."""
    whole = made(recipe_of(name), seed_of(name, CYCLES_ROW, number), test=True, number=number)
    frames = length_of(name, number)
    first = (len(whole.scenes) - frames) // 2
    return replace(whole, scenes=whole.scenes[first : first + frames])


def bundle_of(name: str, number: int) -> Path:
    """Where a clip's bundle and drawn light lie."""
    return clip_folder(name, CYCLES_ROW, number).with_name(f"{number}.bundle")


def finish(name: str, number: int, clip: ClipScenes) -> Path:
    """Pictures of the drawn light, and the truth; the clip's folder appears only when it is whole."""
    place = clip_folder(name, CYCLES_ROW, number)
    unfinished = place.with_name(f"{number}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "pictures").mkdir(parents=True)
    truths = []
    for frame, scene in enumerate(clip.scenes):
        seed = np.random.SeedSequence([*seed_of(name, CYCLES_ROW, number), frame])
        image = cycles_bundle.picture(scene, bundle_of(name, number) / f"{frame:05d}.npy", seed)
        cv2.imwrite(str(unfinished / "pictures" / f"{frame:05d}.png"), image[..., ::-1])
        # What is visible does not depend on the light.
        truths.append(draw(scene, 0, quality="plain").hands)
    save_take(truth_of(clip, truths, name), unfinished / "truth.npz")
    shutil.rmtree(place, ignore_errors=True)
    unfinished.replace(place)
    return place


def make(name: str, number: int, python: Path) -> None:
    """Draw what is missing of a clip."""
    if (clip_folder(name, CYCLES_ROW, number) / "truth.npz").exists():
        return
    clip, bundle = clip_of(name, number), bundle_of(name, number)
    if not (bundle / "scene.npz").exists():
        cycles_bundle.write(clip.scenes, bundle)
    subprocess.run(
        [python, "-m", "training.footage.cycles_scene", "--bundle", bundle, "--samples", str(_SAMPLES)],
        cwd=_ROOT,
        check=True,
    )
    finish(name, number, clip)


def sheet(path: Path) -> None:
    """A picture of what is drawn: the middle of every clip, as a JPEG."""
    tiles = []
    for place in (clip_folder(name, CYCLES_ROW, number) for name in ABOUT for number in range(CLIPS)):
        drawn = sorted((place / "pictures").glob("*.png"))
        for shown in drawn[len(drawn) // 2 :][:1]:
            image = np.asarray(cv2.imread(str(shown)))
            scale = _TILE / max(image.shape[:2])
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            rows, columns = _TILE - image.shape[0], _TILE - image.shape[1]
            tiles.append(cv2.copyMakeBorder(image, 0, rows, 0, columns, cv2.BORDER_CONSTANT, value=(255, 255, 255)))
    if not tiles:
        raise BadInputError("No Cycles picture is drawn here yet; draw some with --bpy PYTHON first.")
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % _COLUMNS)
    lines = [np.hstack(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)]
    path.write_bytes(cv2.imencode(".jpg", np.vstack(lines), [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--bpy", type=Path, metavar="PYTHON")
    task.add_argument("--sheet", type=Path, metavar="JPG")
    parser.add_argument("--set", action="append", choices=sorted(ABOUT))
    parser.add_argument("--clips", type=int, default=CLIPS, help=f"only so many of each set; default: {CLIPS}")
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args(arguments)
    if options.sheet:
        sheet(options.sheet)
        return 0
    names, same = options.set or list(ABOUT), True
    # The first clip of every set before the second of any: what is stopped has something of each.
    for number in range(options.clips):
        for name in names:
            make(name, number, options.bpy)
    for name in names:
        found, told = [sum_of(clip_folder(name, CYCLES_ROW, number)) for number in range(options.clips)], sums()
        if options.record:
            write_sums({**told, name: {**told.get(name, {}), CYCLES_ROW: found}})
        same &= options.record or told.get(name, {}).get(CYCLES_ROW, [])[: options.clips] == found
        sys.stderr.write(f"{name}: {', '.join(one[:12] for one in found)}\n")
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main())
