# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rasteriser draws: closed meshes with a material, gathered into one set of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

import numba as nb
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]
Texture = tuple[NDArray[np.uint8], ...]
"""Levels (s, s, 6) uint8, each half the size of the one before: square roots of red, green and
blue; a factor on roughness (128 = 1); the slope of the height along u and along v, 128 = level."""

SKIN, ROUGHNESS, REFLECTANCE, BUMP, RED, GREEN, BLUE, TRANSLUCENCY, SIDE = range(9)
"""Columns of the material table (M, 9) float32."""
SLOPE_STEPS: Final = 127.0 / 0.25
"""Texture steps a metre of height a unit of the atlas."""
_SAMPLED_FACES: Final = 97
_NO_TEXELS: Final = np.zeros(0, np.uint8)
_NO_POINTS: Final = np.zeros((0, 3), np.float32)
_NO_FACES: Final = np.zeros((0, 3), np.int32)
_NO_PLACES: Final = np.zeros((0, 3, 2), np.float32)
_NO_PARTS: Final = np.zeros(0, np.uint8)


@dataclass(frozen=True)
class Material:
    """How a surface answers light."""

    texture: Texture
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """linear RGB factor on the texture"""
    roughness: float = 0.5
    reflectance: float = 0.04
    bump: float = 0.0
    skin: float = 0.0
    """1 where light bleeds as in flesh"""
    translucency: float = 0.0


@dataclass(frozen=True)
class Body:
    """One closed mesh in camera axes."""

    points: FloatArray
    """(N, 3) metres"""
    faces: IntArray
    """(F, 3) outwards counter-clockwise"""
    face_uv: FloatArray
    """(F, 3, 2) u right, v down"""
    material: Material
    side: int = 0
    """what the side map shows: 0 no hand, 1 left, 2 right"""
    part: NDArray[np.uint8] | None = None
    """(N,) part of each vertex, for hands"""
    canonical: FloatArray | None = None
    """(N, 3) surface coordinates of each vertex, for hands"""
    owner: int = -1
    """index of the hand this moves with, -1: none"""


@dataclass(frozen=True)
class Assembly:
    """All bodies of a picture as the kernels want them."""

    points: FloatArray
    faces: IntArray
    face_uv: FloatArray
    face_material: NDArray[np.int16]
    face_side: NDArray[np.uint8]
    part: NDArray[np.uint8]
    canonical: FloatArray
    materials: FloatArray
    """(M, 9) a row a body"""
    texels: NDArray[np.uint8]
    """(T,) the texture levels the bodies need, flat, one after the other"""
    textures: NDArray[np.int64]
    """(M, 2) where each body's texture begins among `texels`, and its texels a side"""


def assemble(bodies: Sequence[Body], focal: float) -> Assembly:
    """Concatenate bodies; pick for each the texture level that suits its size at a focal length in pixels."""
    starts = np.cumsum([0, *(len(body.points) for body in bodies)])
    levels: list[NDArray[np.uint8]] = []
    begins: dict[int, int] = {}
    length = 0
    materials = np.zeros((len(bodies), SIDE + 1), np.float32)
    textures = np.zeros((len(bodies), 2), np.int64)
    for k, body in enumerate(bodies):
        material = body.material
        level = _level(body, focal)
        if id(level) not in begins:
            begins[id(level)] = length
            levels.append(level.reshape(-1))
            length += level.size
        textures[k] = begins[id(level)], len(level)
        materials[k] = (
            material.skin, material.roughness, material.reflectance, material.bump,
            *material.colour, material.translucency, body.side,
        )  # fmt: skip
    counts = [len(body.faces) for body in bodies]
    return Assembly(
        points=np.concatenate([_NO_POINTS, *(body.points for body in bodies)]).astype(np.float32, copy=False),
        faces=np.concatenate(
            [_NO_FACES, *(body.faces + start for body, start in zip(bodies, starts[:-1], strict=True))]
        ).astype(np.int32, copy=False),
        face_uv=np.concatenate([_NO_PLACES, *(body.face_uv for body in bodies)]).astype(np.float32, copy=False),
        face_material=np.repeat(np.arange(len(bodies), dtype=np.int16), counts),
        face_side=np.repeat(materials[:, SIDE].astype(np.uint8), counts),
        part=np.concatenate(
            [
                _NO_PARTS,
                *(np.zeros(len(body.points), np.uint8) if body.part is None else body.part for body in bodies),
            ]
        ),
        canonical=np.concatenate(
            [
                _NO_POINTS,
                *(np.zeros_like(body.points) if body.canonical is None else body.canonical for body in bodies),
            ]
        ).astype(np.float32, copy=False),
        materials=materials,
        texels=np.concatenate([_NO_TEXELS, *levels]),
        textures=textures,
    )


@nb.njit(cache=True)
def _texels_a_pixel(points, faces, face_uv, focal, size):  # type: ignore[no-untyped-def]
    """For each face (F,) how many texels of a texture `size` texels wide its first edge has a pixel."""
    out = np.empty(len(faces), np.float32)
    for f in range(len(faces)):
        edge = points[faces[f, 1]] - points[faces[f, 0]]
        way = face_uv[f, 1] - face_uv[f, 0]
        length = np.float32(sqrt(edge[0] * edge[0] + edge[1] * edge[1] + edge[2] * edge[2]))
        pixels = length / max(points[faces[f, 0], 2], np.float32(0.05)) * focal
        texels = np.float32(sqrt(way[0] * way[0] + way[1] * way[1])) * np.float32(size)
        out[f] = texels / max(pixels, np.float32(1e-6))
    return out


def _level(body: Body, focal: float) -> NDArray[np.uint8]:
    """The level with about one texel a pixel on the body's faces."""
    texture = body.material.texture
    if len(texture) == 1:
        return texture[0]
    sample = slice(None, None, max(len(body.faces) // _SAMPLED_FACES, 1))
    ratios = _texels_a_pixel(body.points, body.faces[sample], body.face_uv[sample], np.float32(focal), len(texture[0]))
    ratio = float(np.median(ratios))
    step = int(np.clip(np.floor(np.log2(max(ratio, 1e-3)) + 0.35), 0, len(texture) - 1))
    return texture[step]
