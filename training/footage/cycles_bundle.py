# SPDX-License-Identifier: GPL-3.0-or-later
"""A clip's scenes for Blender and back: what `cycles_scene` draws light of, and pictures from that light.

A bundle is a folder Blender needs none of our modules for but the bridge:

    scene.npz   K, size; for body k: body{k}_start, body{k}_end (frames, N, 3) float32 vertices when the shutter opens
                and closes, camera axes, metres; body{k}_faces, body{k}_uv, body{k}_texture (s, s, 6) as bodies.py
                has it, body{k}_height (s, s) metres or empty, body{k}_material; light{k}_direction, light{k}_colour,
                light{k}_softness; sky (rows, columns, 3) the light from all round, columns from -x over +y to
                +x ... as Blender's all-round pictures, first row straight down
    00000.npy   what Cycles drew of the first frame: (H, W, 4) float16 linear light x covered share, and that share
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from . import skin
from .bodies import BLUE, RED, Body
from .render import between, bodies_of, photographed, rests_of
from .scene import AMBIENT_DIRECTIONS, Scene

FloatArray = NDArray[np.float32]

MATERIAL: Final = ("skin", "roughness", "reflectance", "bump", "red", "green", "blue", "translucency")
"""What body{k}_material holds, in order."""
_TEXTURE_LEVEL: Final = 1024
"""Texels a side: no finer level of a texture is handed over."""
_SKY_ROWS: Final = 32


def write(scenes: Sequence[Scene], folder: Path) -> None:
    """Write the bundle of a clip; bodies, lights and lens are those of its first scene."""
    folder.mkdir(parents=True, exist_ok=True)
    first = scenes[0]
    arrays: dict[str, NDArray[np.generic]] = {
        "K": first.K,
        "size": np.array([first.width, first.height]),
        "sky": sky(first.look.ambient),
    }
    moments = [_moments(scene) for scene in scenes]
    for k, body in enumerate(moments[0][0]):
        for name, moment in (("start", 0), ("end", 1)):
            arrays[f"body{k}_{name}"] = np.stack([pair[moment][k].points for pair in moments])
        arrays[f"body{k}_faces"], arrays[f"body{k}_uv"] = body.faces, body.face_uv
        arrays[f"body{k}_texture"] = next(level for level in body.material.texture if len(level) <= _TEXTURE_LEVEL)
        arrays[f"body{k}_material"] = _material(body)
        bare = body.material.skin > 0 and body.side > 0 and first.look.glove is None
        arrays[f"body{k}_height"] = (
            skin.bake(first.look.skin, _TEXTURE_LEVEL).height if bare else np.zeros((0, 0), np.float32)
        )
    for k, light in enumerate(first.look.lights):
        arrays[f"light{k}_direction"], arrays[f"light{k}_colour"] = light.direction, light.colour
        arrays[f"light{k}_softness"] = np.array(light.softness)
    np.savez_compressed(folder / "scene.npz", **arrays)


def _moments(scene: Scene) -> tuple[list[Body], list[Body]]:
    """The bodies when the shutter opens and when it closes."""
    rests = rests_of(scene)
    if scene.hands_end is None:
        still = bodies_of(scene, scene.hands, rests)
        return still, still
    opening = tuple(between(a, b, -1.0) for a, b in zip(scene.hands, scene.hands_end, strict=True))
    return bodies_of(scene, opening, rests), bodies_of(scene, scene.hands_end, rests)


def _material(body: Body) -> FloatArray:
    material = body.material
    values = (
        material.skin, material.roughness, material.reflectance, material.bump, *material.colour,
        material.translucency,
    )  # fmt: skip
    assert len(values) == len(MATERIAL) and MATERIAL[RED] == "red" and MATERIAL[BLUE] == "blue"
    return np.array(values, np.float32)


def sky(ambient: NDArray[np.float64]) -> FloatArray:
    """The light (12, 3) from AMBIENT_DIRECTIONS as an all-round picture (rows, 2 rows, 3) in Blender's axes."""
    rise = ((np.arange(_SKY_ROWS) + 0.5) / _SKY_ROWS - 0.5) * np.pi
    # Blender's columns run from -x by way of y, then x, then -y back to -x.
    turn = np.pi - (np.arange(2 * _SKY_ROWS) + 0.5) / (2 * _SKY_ROWS) * 2 * np.pi
    x, y = np.cos(rise)[:, None] * np.cos(turn), np.cos(rise)[:, None] * np.sin(turn)
    z = np.sin(rise)[:, None] + 0 * x
    # Blender's x right, y forward, z up are the camera's x, z and -y.
    directions = np.stack([x, -z, y], axis=-1)
    closeness = np.clip(directions @ AMBIENT_DIRECTIONS.T, 0.0, None) ** 8
    return ((closeness / closeness.sum(-1, keepdims=True)) @ ambient).astype(np.float32)


def picture(scene: Scene, drawn: Path, seed: int | np.random.SeedSequence) -> NDArray[np.uint8]:
    """The picture (H, W, 3) of a scene whose light Cycles drew: backdrop, the hands' shadow on it, lens, codec."""
    light = np.load(drawn).astype(np.float32)
    if light.shape != (scene.height, scene.width, 4):
        raise ValueError(f"{drawn} has the shape {light.shape}, not that of a picture of the scene")
    linear, coverage = np.ascontiguousarray(light[..., :3]), np.clip(light[..., 3], 0.0, 1.0)
    return photographed(scene, linear, coverage, np.random.default_rng(seed), quality="reference")
