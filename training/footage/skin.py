# SPDX-License-Identifier: GPL-3.0-or-later
"""Skins: baked once a seed, kept on disk."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .bodies import Material, Texture
from .scene import Look


@lru_cache(maxsize=8)
def texture(seed: int) -> Texture:
    """Texture levels of a skin."""
    rng = np.random.default_rng(seed)
    tone = rng.random()
    colour = (1 - tone) * np.array([0.62, 0.38, 0.28]) + tone * np.array([0.10, 0.05, 0.03])
    level = np.full((64, 64, 6), 128, np.uint8)
    level[..., :3] = np.sqrt(colour) * 255
    return (level,)


def material(look: Look) -> Material:
    """The hands' material."""
    return Material(
        texture=texture(look.skin), colour=look.skin_tint, roughness=0.45, reflectance=0.028, skin=1.0,
        translucency=0.5,
    )  # fmt: skip
