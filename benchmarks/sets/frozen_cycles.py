# SPDX-License-Identifier: GPL-3.0-or-later
"""The Cycles row of the frozen sets: the same kinds of clips, drawn by Blender's path tracer.

    python -m benchmarks.sets.frozen_cycles bundle [--set NAME]     posed meshes and skin of each clip, needs numba
    python -m training.footage.cycles --bundle CLIP.bundle --frames CLIP.frames     once for each clip, needs bpy
    python -m benchmarks.sets.frozen_cycles finish [--set NAME] [--record]     a webcam's softness and noise, the truth

`bundle` prints the command in the middle for every clip. What Cycles draws depends on its version and on the
machine, so a sum that differs does not yet mean that anything is wrong with the clip.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.take import save_take
from training.footage import skin
from training.footage.render import draw
from training.footage.scene import HandPose, Scene
from training.footage.surface import hand_model, render_hand

from .frozen import ABOUT, CYCLES_ROW, clip_folder, sum_of, sums, write_sums
from .frozen_draw import RECIPES, seed_of, truth_of
from .frozen_motion import ClipScenes, made

Array = NDArray[np.float64]

FRAMES: Final = 8
"""Pictures of a clip: path tracing is dear, so it is the middle of a longer one."""
_SKIN_PIXELS: Final = 2048
_SOFTNESS: Final = 0.55
_NOISE: Final = 3.0
"""grey levels"""
_DARK_EXPOSURE: Final = 0.22
_DARK_NOISE: Final = 7.0
_OUT_OF_SIGHT: Final = np.array([0.0, 0.0, -3.0])
"""metres: where a hand stands that the clip does not have"""


def clip_of(name: str) -> ClipScenes:
    """The scenes of a set's Cycles clip: only sources nothing was trained on."""
    whole = made(RECIPES[name], seed_of(name, CYCLES_ROW, 0), test=True, number=0)
    first = (len(whole.scenes) - FRAMES) // 2
    return replace(whole, scenes=whole.scenes[first : first + FRAMES])


def write_bundle(clip: ClipScenes, folder: Path) -> None:
    """meshes.npz and the skin's maps, as training.footage.cycles reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    first = clip.scenes[0]
    arrays: dict[str, NDArray[np.generic]] = {
        "K": first.K,
        "size": np.array([first.width, first.height]),
        "rate": np.array(30),
    }
    for side in SIDES:
        mesh, rest = render_hand(side), hand_model(side).rest(first.betas, first.size)
        vertices = []
        for scene in clip.scenes:
            own = [hand for hand in scene.hands if hand.side == side]
            pose = own[0] if own else _absent(scene, side)
            vertices.append(mesh.vertices(pose, rest))
        arrays[f"{side}_vertices"] = np.array(vertices, np.float32)
        arrays[f"{side}_faces"], arrays[f"{side}_uv"] = mesh.faces, mesh.face_uv
        arrays[f"{side}_along"] = mesh.canonical[:, 0]
    np.savez_compressed(folder / "meshes.npz", **arrays)
    baked = skin.bake(first.look.skin, _SKIN_PIXELS)
    maps = {"albedo": baked.albedo[..., ::-1], "roughness": baked.roughness * 0.5, "height": baked.height * 500.0 + 0.5}
    for name, values in maps.items():
        cv2.imwrite(str(folder / f"{name}.png"), np.round(np.clip(values, 0.0, 1.0) * 65535).astype(np.uint16))


def _absent(scene: Scene, side: str) -> HandPose:
    other = scene.hands[0].mirrored()
    assert other.side == side
    return replace(other, translation=_OUT_OF_SIGHT)


def finish(name: str, place: Path) -> None:
    """The drawn frames with a webcam's softness and noise, and the truth; `place` appears only when it is whole."""
    drawn = sorted(place.with_name("0.frames").glob("[0-9]*.png"))
    if len(drawn) != FRAMES:
        sys.stderr.write(f"{name}: {len(drawn)} of {FRAMES} frames are drawn; draw the rest first.\n")
        return
    clip = clip_of(name)
    unfinished = place.with_name("0.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "pictures").mkdir(parents=True)
    random = np.random.default_rng(seed_of(name, CYCLES_ROW, 0))
    exposure, noise = (_DARK_EXPOSURE, _DARK_NOISE) if name == "dark" else (1.0, _NOISE)
    truths = []
    for number, (path, scene) in enumerate(zip(drawn, clip.scenes, strict=True)):
        image = np.asarray(cv2.imread(str(path)), np.float64) * exposure
        grain = cv2.GaussianBlur(random.normal(size=image.shape) * noise, (0, 0), 0.7)
        soft = cv2.GaussianBlur(image, (0, 0), _SOFTNESS)
        picture = np.clip(soft + grain, 0, 255).astype(np.uint8)
        cv2.imwrite(str(unfinished / "pictures" / f"{number:05d}.png"), picture)
        # Visibility comes from the rasteriser, without the clothes and things Cycles does not draw.
        bare = replace(scene, look=replace(scene.look, wear=(), things=()), hands_end=None)
        truths.append(draw(bare, 0, quality="plain").hands)
    save_take(truth_of(clip, truths, name), unfinished / "truth.npz")
    shutil.rmtree(place, ignore_errors=True)
    unfinished.replace(place)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("bundle", "finish"))
    parser.add_argument("--set", action="append", choices=sorted(ABOUT))
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args(arguments)
    for name in options.set or ABOUT:
        place = clip_folder(name, CYCLES_ROW, 0)
        if options.step == "bundle":
            bundle = place.with_name("0.bundle")
            write_bundle(clip_of(name), bundle)
            sys.stdout.write(
                f"python -m training.footage.cycles --bundle {bundle} --frames {place.with_name('0.frames')}\n"
            )
            continue
        finish(name, place)
        if options.record and (place / "truth.npz").exists():
            told = sums()
            write_sums({**told, name: {**told.get(name, {}), CYCLES_ROW: [sum_of(place)]}})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
