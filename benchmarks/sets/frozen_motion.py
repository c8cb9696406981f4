# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens in the clips of the frozen sets: every hand's pose and place in every frame, from a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import free_hinges
from training.footage import looks, poses, split, two_hands
from training.footage.render import draw
from training.footage.scene import HandPose, Scene
from training.footage.situations import Mixture, Sampler
from training.footage.surface import hand_model

Array = NDArray[np.float64]
Random = np.random.Generator

Kind = Literal["one", "apart", "touching", "wave"]

RATE: Final = 30
SHUTTER: Final = 0.5
"""Share of a frame's time the shutter is open."""
SEEN_CONTACT: Final = ("touch", "fingertips", "palms", "interlaced", "grasp")
WAVES_HZ: Final = (3.0, 6.0, 8.0)
WAVE_FRAMES: Final = 36
OVERLAP: Final = 0.1
HIDDEN: Final = 0.3
"""A touching clip's middle frame overlaps by this IoU of the whole hands and hides this share of the points."""
MOST_HIDDEN: Final = 0.75
"""More than this share of a touching clip's points is not hidden, sleeves and things included."""
_TRIES: Final = 400
_INSIDE: Final = 0.85
"""Share of a hand's points that lie in the picture in every frame."""
_SMALLEST: Final = 24.0
"""Pixels: no hand's box is smaller."""
_DRAFTS: Final = 24
"""Contact patterns drafted at a time."""


@dataclass(frozen=True)
class Recipe:
    """How the clips of one set are made."""

    kind: Kind
    style: looks.Style
    nearest: float
    farthest: float
    """metres from the camera"""
    frames: int
    clips: int
    """a row"""
    frontal: float = 0.5
    """share of hands held up towards the camera; the others are seen from anywhere"""
    longer_side: int = 640
    """of the picture, pixels"""
    hidden: float = 0.0
    """a single hand's middle frame hides at least this share of its points, and at most MOST_HIDDEN"""


@dataclass(frozen=True)
class ClipScenes:
    """One clip before it is drawn."""

    scenes: tuple[Scene, ...]
    """a frame each, with where the hands are when the shutter closes"""
    family: str
    """of the contact pattern; empty for hands that do not touch"""


def made(recipe: Recipe, seed: tuple[int, ...], *, test: bool, number: int) -> ClipScenes:
    """The clip of a seed; `test` draws only sources that nothing was trained on. `number` counts the clips of a row."""
    patterns, family = _patterns(seed, test=test, number=number) if recipe.kind == "touching" else (None, "")
    for attempt in range(_TRIES):
        random = np.random.default_rng([*seed, attempt])
        poses_of, base = _drafted(recipe, random, patterns, test=test, number=number)
        times = np.arange(recipe.frames) / RATE
        hands = [poses_of(t) for t in times]
        if not all(_fits(replace(base, hands=frame)) for frame in hands):
            continue
        middle = replace(base, hands=hands[len(hands) // 2])
        if recipe.kind == "touching" and not _hides(middle):
            continue
        if recipe.kind == "apart" and not _is_apart([replace(base, hands=frame) for frame in hands]):
            continue
        dressed = looks.dressed(middle, random, style=recipe.style, test=test)
        if recipe.kind == "touching" and _hidden(dressed) > MOST_HIDDEN:
            continue
        if recipe.hidden and not recipe.hidden <= _hidden(dressed) <= MOST_HIDDEN:
            continue
        scenes = tuple(
            replace(dressed, hands=frame, hands_end=poses_of(t + 0.5 * SHUTTER / RATE))
            for t, frame in zip(times, hands, strict=True)
        )
        return ClipScenes(scenes, family)
    raise RuntimeError(f"No clip of seed {seed} met its conditions in {_TRIES} tries.")


PosesOf = Callable[[float], tuple[HandPose, ...]]


def _patterns(seed: tuple[int, ...], *, test: bool, number: int) -> tuple[two_hands.Patterns, str]:
    """Contact patterns of one family, which the number of the clip chooses, and the family's name.

    They are drafted for the clip, so that the set does not change when the committed patterns are made again.
    """
    names = sorted(split.load().names["family"] if test else SEEN_CONTACT)
    family = names[number % len(names)]
    random = np.random.default_rng([*seed, _TRIES])
    for _ in range(_TRIES):
        patterns, _drafted = two_hands.made(family, random, _DRAFTS, test=test)
        if len(patterns):
            return patterns, family
    raise RuntimeError(f"No pattern of the family {family} could be drafted.")


def _drafted(
    recipe: Recipe, random: Random, patterns: two_hands.Patterns | None, *, test: bool, number: int
) -> tuple[PosesOf, Scene]:
    """Hands as a function of time in seconds, and a scene to put them in."""
    share = {"one": (0.0, 0.0), "wave": (0.0, 0.0), "apart": (0.0, 1.0), "touching": (1.0, 0.0)}[recipe.kind]
    mixture = Mixture(
        touching=share[0],
        near=0.0,
        apart=share[1],
        frontal=recipe.frontal,
        nearest=recipe.nearest,
        farthest=recipe.farthest,
    )
    sampler = Sampler(random, test=test, mixture=mixture, patterns=patterns, pool=4)
    scene = _resized(sampler.scene(random), recipe.longer_side)
    duration = recipe.frames / RATE
    if recipe.kind == "touching":
        return _held_motion(scene, random, duration), scene
    if recipe.kind == "wave":
        return _wave(scene, random, WAVES_HZ[number % len(WAVES_HZ)]), scene
    return _free_motion(scene, random, duration, test=test), scene


def _resized(scene: Scene, longer_side: int) -> Scene:
    scale = longer_side / max(scene.width, scene.height)
    K = scene.K.copy()
    K[:2] *= scale
    width, height = round(scene.width * scale / 2) * 2, round(scene.height * scale / 2) * 2
    K[0, 2], K[1, 2] = (width - 1) / 2, (height - 1) / 2
    return replace(scene, K=K, width=width, height=height)


def _free_motion(scene: Scene, random: Random, duration: float, *, test: bool) -> PosesOf:
    """Every hand through three poses, turning and wandering a little."""
    at = np.array([-0.05, 0.5, 1.05]) * duration
    tracks = []
    for hand in scene.hands:
        hinges = free_hinges(hand.side)
        keys = [rotations_from_angles(angles, hinges)[1:] for angles in poses.sample(random, 2, test=test)]
        local = rotations.continuous(np.stack([keys[0], hand.rotation[1:], keys[1]]))
        turns = rotations.quaternion_from_vector(random.normal(size=(3, 3)) * 0.3)
        root = rotations.continuous(rotations.multiply(turns, hand.rotation[0]))
        place = hand.translation + random.normal(size=(3, 3)) * [0.03, 0.03, 0.02]
        tracks.append((hand, PchipInterpolator(at, local), PchipInterpolator(at, root), PchipInterpolator(at, place)))

    def poses_of(time: float) -> tuple[HandPose, ...]:
        return tuple(
            replace(
                hand,
                rotation=rotations.normalized(np.concatenate([root(time)[None], local(time)])),
                translation=place(time),
            )
            for hand, local, root, place in tracks
        )

    return poses_of


def _held_motion(scene: Scene, random: Random, duration: float) -> PosesOf:
    """Both hands in contact, turned and moved as one; in half of the clips they come together first."""
    at = np.array([-0.05, 0.5, 1.05]) * duration
    turns = rotations.quaternion_from_vector(random.normal(size=(3, 3)) * [0.15, 0.25, 0.15])
    turn = PchipInterpolator(at, rotations.continuous(turns))
    wander = PchipInterpolator(at, random.normal(size=(3, 3)) * [0.02, 0.02, 0.015])
    middle = np.mean([hand.translation for hand in scene.hands], axis=0)
    away = scene.hands[1].translation - scene.hands[0].translation
    away = away / max(float(np.linalg.norm(away)), 1e-6)
    gap = 0.05 if random.random() < 0.5 else 0.0

    def poses_of(time: float) -> tuple[HandPose, ...]:
        spin = rotations.normalized(turn(time))
        opened = gap * float(np.clip(1.0 - time / (0.4 * duration), 0.0, 1.0)) ** 2
        moved = []
        for hand, way in zip(scene.hands, (-0.5, 0.5), strict=True):
            rotation = hand.rotation.copy()
            rotation[0] = rotations.multiply(spin, rotation[0])
            place = hand.translation + away * way * opened - middle
            moved.append(
                replace(hand, rotation=rotation, translation=rotations.rotate(spin, place) + middle + wander(time))
            )
        return tuple(moved)

    return poses_of


def _wave(scene: Scene, random: Random, frequency: float) -> PosesOf:
    """A hand that stands still, waves for the middle two thirds, and stands still again."""
    hand = scene.hands[0]
    direction = random.normal(size=3) * [1.0, 0.8, 0.2]
    direction = direction / np.linalg.norm(direction) * random.uniform(0.03, 0.05) * (3.0 / frequency) ** 0.5
    swing = random.normal(size=3) * 0.12
    duration = WAVE_FRAMES / RATE

    def poses_of(time: float) -> tuple[HandPose, ...]:
        share = float(np.clip(min(time - duration / 6, duration * 5 / 6 - time) * 8.0, 0.0, 1.0))
        phase = np.sin(2 * np.pi * frequency * time) * share
        rotation = hand.rotation.copy()
        rotation[0] = rotations.multiply(rotations.quaternion_from_vector(swing * phase), rotation[0])
        return (replace(hand, rotation=rotation, translation=hand.translation + direction * phase),)

    return poses_of


def points_of(scene: Scene) -> list[Array]:
    """The keypoints (21, 3) of every hand, metres, camera axes."""
    points = []
    for hand in scene.hands:
        model = hand_model(hand.side)
        rest = model.rest(scene.betas, scene.size)
        points.append(model.pose(hand.rotation[None], hand.translation[None], rest).keypoints[0])
    return points


def _pixels(scene: Scene) -> list[Array]:
    return [(p[:, :2] / p[:, 2:]) * scene.K[[0, 1], [0, 1]] + scene.K[:2, 2] for p in points_of(scene)]


def _fits(scene: Scene) -> bool:
    if any(p[:, 2].min() < 0.1 for p in points_of(scene)):
        return False
    for pixels in _pixels(scene):
        inside = ((pixels >= 0) & (pixels <= [scene.width - 1, scene.height - 1])).all(-1).mean()
        if inside < _INSIDE or np.ptp(pixels, axis=0).max() < _SMALLEST:
            return False
    return True


def _is_apart(scenes: list[Scene]) -> bool:
    for scene in scenes:
        first, second = _pixels(scene)
        if not ((first.max(0) < second.min(0)) | (second.max(0) < first.min(0))).any():
            return False
    return True


def _hides(scene: Scene) -> bool:
    """Whether the hands cover each other as a touching set wants it."""
    return _hidden(scene) >= HIDDEN and overlap(scene) >= OVERLAP


def _hidden(scene: Scene) -> float:
    """Share of all points that cannot be seen."""
    picture = draw(scene, 0, quality="plain")
    return 1.0 - float(np.mean([hand.visible.mean() for hand in picture.hands]))


def overlap(scene: Scene) -> float:
    """IoU of the two whole hands in the picture, each drawn as if alone; at a quarter of the size."""
    K = scene.K.copy()
    K[:2] *= 0.25
    masks = []
    for hand in scene.hands:
        alone = replace(
            scene, hands=(hand,), hands_end=None, K=K, width=scene.width // 4, height=scene.height // 4,
            look=replace(scene.look, wear=(), things=()),
        )  # fmt: skip
        part = draw(alone, 0, quality="plain").part
        # The forearm is not the hand.
        masks.append((part > 0) & (part < 17))
    union = (masks[0] | masks[1]).sum()
    return float((masks[0] & masks[1]).sum() / union) if union else 0.0
