# SPDX-License-Identifier: GPL-3.0-or-later
"""Where each texel of the skin atlas lies on the right hand at rest: what skins are painted by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.names import FINGER_JOINTS, FINGERS

from .surface import HAND_BOX, PART_COUNT, hand_model, render_hand

FloatArray = NDArray[np.float32]

NAIL_FILE: Final = Path(__file__).with_name("data") / "nails.png"
"""Nail mask over the hand's island of the atlas; from MPFB2's mpfb_fingernails.jpg, CC0."""


@dataclass(frozen=True)
class Atlas:
    """The texels that lie on the mesh, flat (N, ...), mean shape, canonical axes, metres."""

    size: int
    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    position: FloatArray
    """(N, 3)"""
    normal: FloatArray
    """(N, 3) unit, outwards"""
    weight: FloatArray
    """(N, 17) skin weights, the forearm last"""
    nail: FloatArray
    """(N,) 0..1"""
    gradient_u: FloatArray
    """(N, 3) how the atlas place u grows along the surface, a metre"""
    gradient_v: FloatArray
    """(N, 3)"""
    dorsal: FloatArray
    """(N,) 1 on the back of the hand, 0 on the palm, smooth at the sides"""
    finger_axis: dict[str, FloatArray]
    """finger -> (4, 3) its three joints and its tip"""

    def image(self, values: FloatArray, background: float = 0.0) -> FloatArray:
        """Values (N,) or (N, C) spread over the atlas (size, size[, C])."""
        out = np.full((self.size, self.size, *values.shape[1:]), background, np.float32)
        out[self.rows, self.columns] = values
        return out

    def filled(self, image: FloatArray, steps: int = 8) -> FloatArray:
        """The image with texels off the mesh near its edge taking their neighbours' mean, for smooth lookup."""
        known = np.zeros((self.size, self.size), np.float32)
        known[self.rows, self.columns] = 1.0
        out = image * (known[:, :, None] if image.ndim == 3 else known)
        for _ in range(steps):
            total = cv2.blur(known, (3, 3))
            spread = cv2.blur(out, (3, 3))
            share = np.where(total > 0, 1.0 / np.maximum(total, 1e-6), 0.0)
            spread = spread * (share[:, :, None] if image.ndim == 3 else share)
            new = (known == 0) & (total > 0)
            out[new] = spread[new]
            known[new] = 1.0
        return out


@lru_cache(maxsize=2)
def atlas(size: int) -> Atlas:
    """The atlas at `size` texels a side; made once."""
    mesh = render_hand("right")
    face, share = _faces_of_texels(mesh.face_uv.astype(np.float64), size)
    rows, columns = (index.astype(np.int32) for index in np.nonzero(face >= 0))
    face, share = face[rows, columns], share[rows, columns]

    def blended(values: NDArray[np.floating]) -> FloatArray:
        return np.einsum("nk,nkc->nc", share, values[mesh.faces[face]]).astype(np.float32)

    corners = mesh.template[mesh.faces]
    edges = corners[:, 1:] - corners[:, :1]
    area = np.cross(edges[:, 0], edges[:, 1])
    normals = np.zeros_like(mesh.template)
    np.add.at(normals, mesh.faces, area[:, None, :])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    normal = blended(normals)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    # The gradient of u solves gradient . edge = change of u along both edges, in the face's plane.
    basis = np.linalg.pinv(edges)
    change = (mesh.face_uv[:, 1:] - mesh.face_uv[:, :1]).astype(np.float64)
    gradient = np.einsum("fke,fec->fck", basis, change)[face].astype(np.float32)
    model = hand_model("right")
    weight = blended(mesh.weights)
    return Atlas(
        size=size,
        rows=rows,
        columns=columns,
        position=blended(mesh.template),
        normal=normal,
        weight=weight,
        nail=_nails(rows, columns, size) * (weight[:, : PART_COUNT - 1].sum(1) > 0.9),
        gradient_u=gradient[:, 0],
        gradient_v=gradient[:, 1],
        dorsal=np.clip(normal[:, 1] * 1.1 + 0.5, 0.0, 1.0),
        finger_axis={
            finger: np.concatenate([model.joints[list(FINGER_JOINTS[finger])], model.tips[i : i + 1]]).astype(
                np.float32
            )
            for i, finger in enumerate(FINGERS)
        },
    )


def _faces_of_texels(face_uv: NDArray[np.float64], size: int) -> tuple[NDArray[np.int32], FloatArray]:
    """The face (size, size) each texel's middle lies in, -1: none, and its barycentric shares (size, size, 3)."""
    owner = np.full((size, size), -1, np.int32)
    shares = np.zeros((size, size, 3), np.float32)
    places = face_uv * size - 0.5
    for f, (a, b, c) in enumerate(places):
        low = np.maximum(np.ceil(np.minimum(np.minimum(a, b), c)).astype(int), 0)
        high = np.minimum(np.floor(np.maximum(np.maximum(a, b), c)).astype(int), size - 1)
        if (low > high).any():
            continue
        area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
        if abs(area) < 1e-9:
            continue
        y, x = np.mgrid[low[1] : high[1] + 1, low[0] : high[0] + 1]
        wa = ((b[0] - x) * (c[1] - y) - (c[0] - x) * (b[1] - y)) / area
        wb = ((c[0] - x) * (a[1] - y) - (a[0] - x) * (c[1] - y)) / area
        wc = 1.0 - wa - wb
        inside = (wa >= -1e-9) & (wb >= -1e-9) & (wc >= -1e-9)
        owner[y[inside], x[inside]] = f
        shares[y[inside], x[inside]] = np.stack([wa, wb, wc], axis=-1)[inside]
    return owner, shares


def _nails(rows: NDArray[np.int32], columns: NDArray[np.int32], size: int) -> FloatArray:
    mask = cv2.imread(str(NAIL_FILE), cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255.0
    # The island fills its box from the top left in one scale; the mask covers the island.
    scale = min((HAND_BOX[2] - HAND_BOX[0]) / mask.shape[1], (HAND_BOX[3] - HAND_BOX[1]) / mask.shape[0])
    x = ((columns + 0.5) / size - HAND_BOX[0]) / scale - 0.5
    y = ((rows + 0.5) / size - HAND_BOX[1]) / scale - 0.5
    return sampled(mask, x, y, cv2.INTER_CUBIC).clip(0.0, 1.0)


def sampled(image: NDArray[np.generic], x: NDArray[np.floating], y: NDArray[np.floating], method: int) -> FloatArray:
    """The image at places x, y (N,) in pixels, as floats; 0 beyond its edge."""
    # OpenCV's maps may not be longer than 32767 either way.
    width = 4096
    rows = -(-len(x) // width)
    maps = np.full((2, rows * width), -10.0, np.float32)
    maps[0, : len(x)], maps[1, : len(x)] = x, y
    found = cv2.remap(image, *maps.reshape(2, rows, width), method, borderMode=cv2.BORDER_CONSTANT)
    return found.ravel()[: len(x)].astype(np.float32)
