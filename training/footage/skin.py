# SPDX-License-Identifier: GPL-3.0-or-later
"""Skins: people's hands painted from a seed onto the atlas, baked once and kept in the user's cache."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from . import cache, noise, skin_marks
from .atlas import Atlas, atlas
from .bodies import SLOPE_STEPS, Material, Texture
from .scene import Look
from .surface import render_hand

FloatArray = NDArray[np.float32]

SKIN_COUNT: Final = 60
"""Look.skin is usually one of the seeds below this; any other seed bakes too."""
TEXTURE_SIZE: Final = 1024
_LEVELS: Final = 4
_VERSION: Final = 1
"""Raised whenever a seed would bake to another skin."""

_TONES: Final = np.array(
    [
        [240, 206, 188], [231, 186, 163], [219, 167, 138], [200, 146, 112], [170, 116, 84],
        [136, 90, 64], [100, 65, 47], [70, 46, 36], [48, 33, 28],
    ]
) / 255.0  # fmt: skip
"""sRGB of skin from the lightest to the darkest."""
_POLISH: Final = (
    (150, 20, 40),
    (200, 60, 90),
    (235, 150, 165),
    (60, 20, 60),
    (25, 25, 30),
    (70, 130, 180),
    (230, 225, 215),
)
_INK: Final = np.array([0.12, 0.16, 0.2], np.float32)


@dataclass(frozen=True)
class Skin:
    """A baked skin over the atlas (u right, v down)."""

    albedo: FloatArray
    """(S, S, 3) linear RGB"""
    roughness: FloatArray
    """(S, S) factor on the material's roughness"""
    height: FloatArray
    """(S, S) metres above the mesh"""


@dataclass(frozen=True)
class Person:
    """What a seed decides about a skin."""

    tone: float
    """0 lightest .. 1 darkest"""
    ruddy: float
    age: float
    leanness: float
    hair: float
    spots: float
    tattooed: bool
    polish: int | None
    dirt: float


def person(seed: int) -> Person:
    """The person behind a seed."""
    random = np.random.default_rng([seed, 17])
    age = float(random.beta(1.5, 2.2))
    return Person(
        # Seeds run evenly through the tones, so that any few dozen hold all of them.
        tone=float((seed * 0.6180339887 + random.normal() * 0.02) % 1.0),
        ruddy=float(random.uniform(0.4, 1.3)),
        age=age,
        leanness=float(np.clip(random.uniform(0.1, 0.8) + 0.4 * age, 0, 1)),
        hair=float(max(random.uniform(-0.8, 1.2), 0.0)),
        spots=float(max(random.normal() * 0.5 + 0.5 * age, 0.0)),
        tattooed=bool(random.random() < 0.15),
        polish=int(random.integers(len(_POLISH))) if random.random() < 0.17 else None,
        dirt=float(max(random.normal() * 0.4 - 0.3, 0.0)),
    )


def bake(seed: int, size: int = TEXTURE_SIZE) -> Skin:
    """Paint one skin; the same seed and size give the same skin."""
    surface, who = atlas(size), person(seed)
    random = np.random.default_rng([seed, 23])
    p, dorsal = surface.position, surface.dorsal[:, None]
    colour = _base(surface, who, random)
    blotch = noise.space_octaves(p * 28, seed, 3)[:, None]
    speckle = noise.space_octaves(p * 300, seed + 9, 3)[:, None]
    grain = noise.space(p * 1500, seed + 20)[:, None]
    mottle = np.array([0.5, 1.1, 1.0], np.float32)
    colour = colour * (1 + 0.05 * blotch * mottle + 0.03 * speckle + 0.02 * grain)
    marks = skin_marks.lines(surface, seed, age=who.age, leanness=who.leanness)
    red = np.clip(marks.red * who.ruddy * (1 - 0.65 * who.tone) + 0.05 * blotch[:, 0] * (1 - who.tone), 0, 1)[:, None]
    colour = colour * (1 - red * np.array([-0.01, 0.15, 0.12], np.float32))
    colour = colour * (1 - (0.55 * marks.dark)[:, None] * np.array([0.75, 1.0, 1.05], np.float32))
    colour = colour * (1 - 0.14 * marks.vein[:, None] * np.array([1.5, 0.7, 0.25], np.float32) * (1 - 0.5 * who.tone))
    colour = _spotted(colour, surface, seed, who)
    height = marks.height
    hairs = skin_marks.hair(surface, seed, who.hair)[:, None] * (0.55 + 0.25 * who.tone)
    hair_colour = np.array(_hair_colour(who, random), np.float32)
    colour = colour * (1 - 0.75 * hairs) + hair_colour * 0.75 * hairs
    if who.tattooed:
        ink = skin_marks.tattoo(surface, seed)[:, None] * random.uniform(0.55, 0.9)
        colour = colour * (1 - ink) + _INK * ink * (1 - 0.5 * who.tone)
    if who.dirt > 0:
        film = np.clip(noise.space_octaves(p * 60, seed + 70, 3) + 1.1 * marks.dark - 0.2, 0, 1)[:, None]
        colour = colour * (1 - who.dirt * film * np.array([0.5, 0.55, 0.6], np.float32))
    colour, gloss, height = _nailed(colour, height, surface, seed, who, random)
    roughness = (1.0 + 0.12 * speckle[:, 0] + 0.1 * (1 - dorsal[:, 0]) - 0.12 * marks.red) * gloss
    linear = np.clip(colour, 0.004, 1.0) ** 2.2
    return Skin(
        albedo=surface.filled(surface.image(linear.astype(np.float32))),
        roughness=surface.filled(surface.image(roughness.astype(np.float32)), 4),
        height=surface.filled(surface.image(height.astype(np.float32)), 8),
    )


def tone(share: float) -> NDArray[np.float64]:
    """sRGB (3,) of skin, 0 the lightest .. 1 the darkest."""
    place = min(max(share, 0.0), 1.0) * (len(_TONES) - 1)
    index = min(int(place), len(_TONES) - 2)
    return _TONES[index] + (place - index) * (_TONES[index + 1] - _TONES[index])


def _base(surface: Atlas, who: Person, random: np.random.Generator) -> FloatArray:
    """sRGB (N, 3): the tone of the back of the hand, running into the paler, pinker palm."""
    back = np.clip(tone(who.tone) * (1 + random.normal(size=3) * np.array([0.02, 0.03, 0.045])), 0, 1)
    rosy = np.array([0.87, 0.62, 0.54])
    paler = np.clip(0.12 + 0.75 * (who.tone - 0.3), 0.12, 0.62)
    palm = back * (1 - paler) + rosy * (0.55 + 0.45 * back.mean()) * paler
    edge = np.clip(surface.dorsal + 0.12 * noise.space(surface.position * 70, 5), 0, 1)[:, None]
    return (palm + (back - palm) * edge).astype(np.float32)


def _hair_colour(who: Person, random: np.random.Generator) -> tuple[float, float, float]:
    if who.age > 0.75 and random.random() < 0.5:
        return (0.6, 0.58, 0.55)
    if who.tone < 0.3 and random.random() < 0.45:
        return (0.55, 0.4, 0.24)
    return (0.1, 0.07, 0.055)


def _spotted(colour: FloatArray, surface: Atlas, seed: int, who: Person) -> FloatArray:
    """Freckles, age spots and a mole or two."""
    p = surface.position
    freckles = np.clip((noise.space(p * 240, seed + 61) - 0.62) * 6, 0, 1) * np.clip(who.spots, 0, 1.2)
    large = np.clip((noise.space(p * 90, seed + 62) - 0.72) * 8, 0, 1) * max(who.age - 0.45, 0) * 1.6
    spots = ((0.3 * freckles + 0.35 * large) * surface.dorsal)[:, None]
    colour = colour * (1 - spots * np.array([0.55, 0.8, 1.0], np.float32))
    random = np.random.default_rng([seed, 63])
    for i in random.integers(0, len(p), int(random.integers(0, 4))):
        mole = np.exp(-(((p - p[i]) ** 2).sum(1) / random.uniform(0.0006, 0.0014) ** 2))[:, None]
        colour = colour * (1 - 0.65 * mole)
    return colour.astype(np.float32)


def _nailed(
    colour: FloatArray, height: FloatArray, surface: Atlas, seed: int, who: Person, random: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Nails: bed, half-moon, free edge or polish; their shine; the fold of skin about them."""
    nail = surface.nail
    distance = np.min(
        [np.linalg.norm(surface.position - axis[3], axis=1) for axis in surface.finger_axis.values()], axis=0
    )
    solid = np.clip(nail * 2 - 0.5, 0, 1)[:, None]
    bed = np.array([0.86, 0.66, 0.6]) * (1 - 0.42 * who.tone) * (1 + random.normal(size=3) * 0.03)
    painted = np.broadcast_to(bed, (len(nail), 3)).copy()
    # The free edge is what lies within a couple of millimetres of the fingertip.
    edge = np.clip((0.0032 + 0.0015 * random.normal() - distance) / 0.0008, 0, 1)[:, None]
    painted = painted * (1 - 0.7 * edge) + np.array([0.92, 0.88, 0.82]) * (1 - 0.2 * who.tone) * 0.7 * edge
    shine = 0.62
    if who.polish is not None:
        painted = np.broadcast_to(np.array(_POLISH[who.polish]) / 255.0, painted.shape) * (1 + random.normal() * 0.05)
        shine = 0.4
    stripes = noise.space(surface.position * np.array([80, 80, 1400], np.float32), seed + 80)[:, None]
    painted = painted * (1 + 0.02 * stripes)
    rim = np.exp(-(((nail - 0.45) / 0.25) ** 2))[:, None] * (nail > 0.03)[:, None]
    colour = colour * (1 - 0.16 * rim)
    colour = colour * (1 - solid) + painted * solid
    gloss = 1.0 + (shine - 1.0) * solid[:, 0]
    return colour.astype(np.float32), gloss.astype(np.float32), height * (1 - solid[:, 0]) + 0.0003 * nail


def to_texture(skin: Skin) -> Texture:
    """The drawable levels of a baked skin."""
    size = len(skin.albedo)
    packed = np.empty((size, size, 6), np.float32)
    packed[..., :3] = np.sqrt(skin.albedo) * 255.0
    packed[..., 3] = skin.roughness * 128.0
    packed[..., 4] = 128.0 + np.gradient(skin.height, axis=1) * size * SLOPE_STEPS
    packed[..., 5] = 128.0 + np.gradient(skin.height, axis=0) * size * SLOPE_STEPS
    return pyramid(packed)


def pyramid(packed: FloatArray, levels: int = _LEVELS) -> Texture:
    """Levels (s, s, C) uint8 of a texture, each the mean of four texels of the one before."""
    out = []
    for _ in range(levels):
        out.append(np.ascontiguousarray(np.clip(packed + 0.5, 0, 255).astype(np.uint8)))
        packed = np.stack(
            [
                cv2.resize(packed[..., c], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
                for c in range(packed.shape[2])
            ],
            axis=-1,
        )
    return tuple(out)


@lru_cache(maxsize=1)
def _mesh_name() -> str:
    """Changes with the hand model, so that no skin is read for another mesh."""
    mesh = render_hand("right")
    state = hashlib.blake2b(digest_size=4)
    for array in (mesh.template, mesh.face_uv, mesh.faces):
        state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()


@lru_cache(maxsize=128)
def texture(seed: int, size: int | None = None) -> Texture:
    """The drawable levels of a skin, from the cache if it was baked before."""
    size = size or TEXTURE_SIZE
    baked: list[Texture] = []

    def level(index: int) -> NDArray[np.uint8]:
        if not baked:
            baked.append(to_texture(bake(seed, size)))
        return baked[0][index]

    name = f"skin-{_VERSION}-{_mesh_name()}-{seed}-{size}"
    return tuple(cache.array(f"{name}-{k}", lambda k=k: level(k)) for k in range(_LEVELS))  # type: ignore[misc]


def material(look: Look) -> Material:
    """The hands' material: bare skin, or a glove."""
    if look.glove is not None:
        return _glove(look.glove)
    return Material(
        texture=texture(look.skin) if look.skin_texture is None else look.skin_texture,
        colour=look.skin_tint,
        roughness=float(np.clip(0.56 - 0.14 * look.skin_gloss, 0.2, 0.7)),
        reflectance=0.028,
        bump=1.0,
        skin=1.0,
        translucency=0.35,
    )


@lru_cache(maxsize=16)
def _glove(seed: int) -> Material:
    """Latex, leather, wool or a work glove, in one colour or coated at the fingers."""
    random = np.random.default_rng([seed, 41])
    size = 256
    surface = atlas(size)
    kind = random.integers(4)
    hue = random.uniform(0, 1, 3)
    colour = {
        0: np.array([0.35, 0.5, 0.75]) if random.random() < 0.5 else np.array([0.85, 0.85, 0.8]),
        1: np.array([0.18, 0.12, 0.08]) * random.uniform(0.3, 2.0),
        2: hue * 0.6 + 0.05,
        3: np.array([0.7, 0.7, 0.65]),
    }[int(kind)]
    cloth = noise.space(surface.position * (900 if kind == 2 else 250), seed)
    shade = colour * (1 + 0.12 * cloth[:, None] + 0.06 * noise.space_octaves(surface.position * 50, seed + 1)[:, None])
    if kind == 3:
        coated = np.clip((-surface.position[:, 0] - 0.03 - 0.05 * surface.dorsal) / 0.006, 0, 1)[:, None]
        shade = shade * (1 - coated) + hue * 0.5 * coated
    bare = surface.weight[:, -1:] if random.random() < 0.5 else np.zeros_like(surface.weight[:, -1:])
    skin_colour = _base(surface, person(seed), random) ** 2.2
    shade = shade * (1 - bare) + skin_colour * bare
    baked = Skin(
        albedo=surface.filled(surface.image(np.clip(shade, 0.005, 0.95).astype(np.float32))),
        roughness=np.ones((size, size), np.float32),
        height=surface.filled(surface.image((0.0004 * cloth).astype(np.float32))),
    )
    return Material(
        texture=to_texture(baked),
        roughness=(0.35, 0.5, 0.9, 0.75)[int(kind)],
        reflectance=0.04 if kind < 2 else 0.02,
        bump=0.6,
    )
