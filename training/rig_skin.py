# SPDX-License-Identifier: GPL-3.0-or-later
"""The skin of the rig in Blender: one of the renderer's painted skins as two pictures in models/.

    python -m training.rig_skin

`skin_colour.jpg` is the albedo, sRGB. `skin_surface.jpg` holds height in its red channel (0 is -HEIGHT, 255 is
+HEIGHT) and roughness in its green one (255 is 1). Everything is painted on the CC0 hand from a seed; the nails are
MPFB2's mask, CC0. The renderer packs its atlas in its own way, so each face is carried over to the hand's own UVs.
Run it again whenever models/hand.npz has new UVs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.free import free_surface
from training.footage import skin
from training.footage.surface import render_hand

FloatArray = NDArray[np.float32]

MODELS: Final = Path(__file__).resolve().parent.parent / "blender_handmocap" / "models"
SEED: Final = 2
"""A hand of a light middle tone without hair, marks or varnish."""
SIZE: Final = 1024
HEIGHT: Final = 0.0004
"""Metres; bridge/skin_material.py knows it too."""
ROUGHNESS: Final = 0.5
"""What the renderer's roughness factor multiplies."""
_QUALITY: Final = 90
_MARGIN: Final = 1.5
"""Texels that a face is painted beyond its edge, so that lookups there find no seam."""


def main() -> None:
    """Paint, carry over, write."""
    baked = skin.bake(SEED, SIZE)
    colour = np.clip(baked.albedo, 0.0, 1.0) ** (1.0 / 2.2)
    height = np.clip(0.5 + 0.5 * baked.height / HEIGHT, 0.0, 1.0)
    roughness = np.clip(baked.roughness * ROUGHNESS, 0.0, 1.0)
    surface = np.stack([height, roughness, np.zeros_like(height)], axis=-1)
    _write(MODELS / "skin_colour.jpg", carried_over(colour.astype(np.float32)))
    _write(MODELS / "skin_surface.jpg", carried_over(surface.astype(np.float32)))


def carried_over(atlas: FloatArray) -> FloatArray:
    """The renderer's atlas (S, S, C) as a picture (S, S, C) for the UVs of hand.npz, v upwards."""
    surface = free_surface()
    quad_uv = surface.uv[np.concatenate([surface.quad_uv, surface.arm_quad_uv])]
    target = np.concatenate([quad_uv[:, [0, 1, 2]], quad_uv[:, [0, 2, 3]]]) * [1.0, -1.0] + [0.0, 1.0]
    source = render_hand("right").face_uv[: len(target)]
    size = atlas.shape[0]
    # What no face covers, such as the cap of the wrist, is plain skin.
    covered = atlas[atlas.sum(-1) > 0.0]
    picture = np.tile(np.median(covered, axis=0).astype(np.float32), (size, size, 1))
    # Faces first with their margin, then without, so that no margin covers a neighbour.
    for margin in (_MARGIN, 0.0):
        for corners, places in zip(target * size - 0.5, source * size - 0.5, strict=True):
            _carry(picture, atlas, corners, places, margin)
    return picture


def _carry(picture: FloatArray, atlas: FloatArray, corners: NDArray, places: NDArray, margin: float) -> None:
    low = np.maximum(np.floor(corners.min(0) - margin).astype(int), 0)
    high = np.minimum(np.ceil(corners.max(0) + margin).astype(int) + 1, picture.shape[0])
    edges = np.stack([corners[1] - corners[0], corners[2] - corners[0]], axis=1)
    if abs(np.linalg.det(edges)) < 1e-9 or (high <= low).any():
        return
    x, y = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
    shares = np.einsum("ij,jhw->ihw", np.linalg.inv(edges), np.stack([x, y]) - corners[0][:, None, None])
    shares = np.stack([1.0 - shares.sum(0), *shares])
    # A share falls to zero at the edge opposite its corner, at one over the triangle's height a texel.
    area = abs(np.linalg.det(edges))
    lengths = np.linalg.norm(corners[[2, 0, 1]] - corners[[1, 2, 0]], axis=1)
    inside = (shares * (area / lengths)[:, None, None] >= -margin).all(0)
    wanted = np.einsum("ihw,ic->hwc", shares, places).astype(np.float32)
    found = cv2.remap(atlas, wanted[..., 0], wanted[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    picture[low[1] : high[1], low[0] : high[0]][inside] = found[inside]


def _write(path: Path, rgb: NDArray[np.floating]) -> None:
    picture = cv2.cvtColor((rgb * 255.0 + 0.5).astype(np.uint8), cv2.COLOR_RGB2BGR)
    # Full colour resolution: the channels of the surface picture have nothing to do with each other.
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    if not cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY, *sampling]):
        raise OSError(f"{path} could not be written")


if __name__ == "__main__":
    main()
