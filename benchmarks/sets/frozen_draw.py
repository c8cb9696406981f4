# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw the clips of the frozen sets: the recipes, the seeds, and the truth of every frame."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.hand.names import SIDES, Side
from blender_handmocap.engine.rotations import continuous
from blender_handmocap.engine.take import HandTrack, State, Take, save_take
from training.footage import skin
from training.footage.looks import PLAIN, STANDARD, Style
from training.footage.render import HandTruth, draw
from training.footage.scene import Scene
from training.footage.surface import hand_model

from .frozen_motion import RATE, WAVE_FRAMES, ClipScenes, Recipe, made

Array = NDArray[np.float64]

SEED: Final = 20251121
"""The first number of every frozen seed; set, row and clip follow."""

_ORDINARY: Final = replace(STANDARD, dark=0.0, glove=0.0, held=0.1, in_front=0.15, motion=1.0)
_DARK: Final = replace(_ORDINARY, dark=1.0)
_CLAD: Final = Style(
    glove=0.25, ring=0.6, watch=0.4, sleeve=0.9, held=0.6, in_front=0.4, behind=0.5, face=0.2, place=0.4, photo=0.3,
    dark=0.0, defocus=0.1, motion=1.0,
)  # fmt: skip
_UNCOVERED: Final = replace(_ORDINARY, in_front=0.0)

RECIPES: Final[dict[str, Recipe]] = {
    "one_hand": Recipe("one", _ORDINARY, 0.3, 0.8, frames=10, clips=4),
    "two_apart": Recipe("apart", _ORDINARY, 0.45, 0.9, frames=5, clips=4),
    "two_touching": Recipe("touching", _ORDINARY, 0.35, 0.8, frames=8, clips=5),
    "fast": Recipe("wave", replace(PLAIN, motion=1.0), 0.4, 0.7, frames=WAVE_FRAMES, clips=3, longer_side=400),
    "small": Recipe("one", _ORDINARY, 1.3, 2.0, frames=4, clips=4),
    "dark": Recipe("one", _DARK, 0.35, 0.8, frames=4, clips=4),
    "sleeves": Recipe("one", _CLAD, 0.35, 0.8, frames=4, clips=4),
    "one_hand_hard": Recipe("one", _UNCOVERED, 0.3, 0.6, frames=8, clips=6, frontal=0.6, hidden=0.3),
}
_ORDER: Final = tuple(RECIPES)
_ROW_NUMBER: Final = {"seen families": 0, "unseen families": 1, "cycles": 2}


def seed_of(name: str, row: str, number: int) -> tuple[int, ...]:
    """The seed of a clip."""
    return SEED, _ORDER.index(name), _ROW_NUMBER[row], number


def draw_clip(name: str, row: str, number: int, place: Path) -> None:
    """Write a clip's pictures and truth; `place` appears only when it is whole."""
    seed = seed_of(name, row, number)
    scenes = made(RECIPES[name], seed, test=row == "unseen families", number=number)
    unfinished = place.with_name(f"{place.name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "pictures").mkdir(parents=True)
    truths: list[tuple[HandTruth, ...]] = []
    for index, scene in enumerate(scenes.scenes):
        picture = draw(scene, np.random.SeedSequence([*seed, index]), quality="reference")
        cv2.imwrite(str(unfinished / "pictures" / f"{index:05d}.png"), picture.image[..., ::-1])
        truths.append(picture.hands)
    save_take(truth_of(scenes, truths, name), unfinished / "truth.npz")
    unfinished.replace(place)


def truth_of(clip: ClipScenes, truths: list[tuple[HandTruth, ...]], name: str) -> Take:
    """Everything true of a drawn clip, as a Take."""
    first: Scene = clip.scenes[0]
    frames = len(clip.scenes)
    camera = Camera(K=first.K, dist=np.zeros(5), width=first.width, height=first.height)
    size = float(np.linalg.norm(hand_model("right").rest(first.betas, first.size).joints[4]))
    tracks = {side: _track(side, truths, camera) for side in SIDES}
    return Take(
        meta={
            "source": name, "width": first.width, "height": first.height, "rate": [RATE, 1], "mirrored": False,
            "definition": "model", "truth": True, "hand_model": hand_model("right").id, "family": clip.family,
            "tone": skin.person(first.look.skin).tone, "gloved": first.look.glove is not None,
        },
        frame=np.arange(frames, dtype=np.int32),
        time=np.arange(frames) / RATE,
        K=first.K,
        dist=np.zeros(5),
        left=tracks["left"],
        right=tracks["right"],
        betas=first.betas,
        size=size,
    )  # fmt: skip


def _track(side: Side, truths: list[tuple[HandTruth, ...]], camera: Camera) -> HandTrack:
    track = HandTrack.absent(len(truths))
    arrays = {name: getattr(track, name).copy() for name in track.__dataclass_fields__}
    for index, hands in enumerate(truths):
        for hand in hands:
            if hand.pose.side != side:
                continue
            arrays["state"][index] = State.SEEN
            arrays["confidence"][index] = 1.0
            arrays["visibility"][index] = hand.visible
            arrays["seen2d"][index] = camera.project(hand.keypoints3d)
            arrays["rotation"][index], arrays["translation"][index] = hand.pose.rotation, hand.pose.translation
            arrays["raw_rotation"][index], arrays["raw_translation"][index] = hand.pose.rotation, hand.pose.translation
            arrays["points"][index] = hand.keypoints3d
    for key in ("rotation", "raw_rotation"):
        arrays[key] = continuous(arrays[key])
    return HandTrack(**arrays)
