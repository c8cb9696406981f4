# SPDX-License-Identifier: GPL-3.0-or-later
"""Two-hand pictures from crops of real single hands, with exact side and order (RGB2Hands, appendix B).

A cut-out is a real hand with the mask and depth of our mesh fitted to it. Pasted nearest last, they
give real skin and real light, and exactly which hand lies before which; 2D keypoints are the fit's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from blender_handmocap.engine.hand.names import KEYPOINT_COUNT, Side

from .render import SIDE_LABEL

Array = NDArray[np.float64]
FloatArray = NDArray[np.float32]

_FEATHER: Final = 1.2
"""pixels over which a pasted hand's edge runs into what lies behind it"""


@dataclass(frozen=True)
class Cutout:
    """One real hand, cut by the mask of our mesh fitted to it."""

    image: NDArray[np.uint8]
    """(h, w, 3) RGB"""
    mask: FloatArray
    """(h, w) 0..1 share of each pixel that is this hand"""
    depth: FloatArray
    """(h, w) metres where the mask is not 0"""
    side: Side
    keypoints2d: Array
    """(21, 2) pixels"""
    visible: NDArray[np.bool_]
    """(21,) seen in this picture"""
    points3d: Array | None = None
    """(21, 3) metres, if it is known: axes of a camera that looks at the hand, depth as in `depth`"""
    surface: FloatArray | None = None
    """(h, w, 3) metres, if it is known: which point of the canonical right hand at rest is seen where the mask is"""

    def mirrored(self) -> Cutout:
        """The other side's hand."""
        last = self.image.shape[1] - 1
        return replace(
            self,
            image=np.ascontiguousarray(self.image[:, ::-1]),
            mask=np.ascontiguousarray(self.mask[:, ::-1]),
            depth=np.ascontiguousarray(self.depth[:, ::-1]),
            side="left" if self.side == "right" else "right",
            keypoints2d=np.stack([last - self.keypoints2d[:, 0], self.keypoints2d[:, 1]], axis=1),
            points3d=None if self.points3d is None else self.points3d * [-1.0, 1.0, 1.0],
            surface=None if self.surface is None else np.ascontiguousarray(self.surface[:, ::-1]),
        )

    def nearer(self, metres: float) -> Cutout:
        """The cut-out with so much taken off its depth."""
        points = None if self.points3d is None else self.points3d - [0.0, 0.0, metres]
        return replace(self, depth=self.depth - np.float32(metres), points3d=points)

    def moved(self, matrix: ArrayLike, width: int, height: int) -> Cutout:
        """The cut-out turned, scaled and shifted by an affine map (2, 3) on a canvas."""
        warp = np.asarray(matrix, dtype=np.float64)
        size = (width, height)
        points, surface = self.points3d, self.surface
        if points is not None:
            turn = np.eye(3)
            turn[:2, :2] = warp[:, :2] / np.sqrt(np.linalg.det(warp[:, :2]))
            points = points @ turn.T
        if surface is not None:
            surface = cv2.warpAffine(surface, warp, size, flags=cv2.INTER_NEAREST)
        return replace(
            self,
            image=cv2.warpAffine(self.image, warp, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
            mask=cv2.warpAffine(self.mask, warp, size, flags=cv2.INTER_LINEAR),
            depth=cv2.warpAffine(self.depth, warp, size, flags=cv2.INTER_NEAREST),
            keypoints2d=self.keypoints2d @ warp[:, :2].T + warp[:, 2],
            points3d=points,
            surface=surface,
        )


@dataclass(frozen=True)
class Composite:
    """Real hands pasted over each other."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB"""
    side: NDArray[np.uint8]
    """(H, W) 0 no hand, 1 left, 2 right"""
    cutouts: tuple[Cutout, ...]
    """as they were pasted"""
    visible: tuple[NDArray[np.bool_], ...]
    """for each cut-out (21,): seen in its own picture, and no nearer hand pasted over it"""

    @property
    def keypoints2d(self) -> tuple[Array, ...]:
        """For each cut-out (21, 2)."""
        return tuple(piece.keypoints2d for piece in self.cutouts)

    @property
    def sides(self) -> tuple[Side, ...]:
        """Which hand each cut-out is."""
        return tuple(piece.side for piece in self.cutouts)


def composed(backdrop: NDArray[np.uint8], cutouts: Sequence[Cutout], *, by_pixel: bool = True) -> Composite:
    """Paste cut-outs of the backdrop's size over it.

    Where two overlap the nearer one is seen: pixel by pixel after their depth, or, with `by_pixel`
    False, one whole hand before the other after the median depth.
    """
    height, width = backdrop.shape[:2]
    image = backdrop.astype(np.float32)
    nearest = np.full((height, width), np.inf, np.float32)
    owner = np.full((height, width), -1, np.int32)
    order = sorted(range(len(cutouts)), key=lambda i: -_middle_depth(cutouts[i]))
    for i in order:
        piece = cutouts[i]
        solid = piece.mask > 0.5
        front = solid & (piece.depth < nearest) if by_pixel else solid
        share = cv2.GaussianBlur(front.astype(np.float32), (0, 0), _FEATHER / 2)
        # The feather must neither leave the hand's own mask nor show its old background.
        share = np.minimum(share, np.where(owner >= 0, 1.0, piece.mask)) * np.maximum(piece.mask, front)
        image += (piece.image - image) * share[:, :, None]
        nearest = np.where(front, piece.depth, nearest)
        owner = np.where(front, i, owner)
    side = np.zeros((height, width), np.uint8)
    visible = []
    for i, piece in enumerate(cutouts):
        side[owner == i] = SIDE_LABEL[piece.side]
        columns, rows = np.rint(piece.keypoints2d).astype(np.int64).T
        inside = (columns >= 0) & (rows >= 0) & (columns < width) & (rows < height)
        seen = np.zeros(KEYPOINT_COUNT, bool)
        # A keypoint just off its hand's outline is hidden only if another hand is there.
        on = owner[rows[inside], columns[inside]]
        seen[inside] = (on == i) | (on < 0)
        visible.append(seen & piece.visible)
    return Composite(
        image=np.clip(image + 0.5, 0, 255).astype(np.uint8),
        side=side,
        cutouts=tuple(cutouts),
        visible=tuple(visible),
    )


def _middle_depth(piece: Cutout) -> float:
    solid = piece.mask > 0.5
    return float(np.median(piece.depth[solid])) if solid.any() else 0.0


def matched_light(piece: Cutout, other: Cutout, strength: float = 0.7) -> Cutout:
    """The cut-out with its mean colour drawn towards that of the other, so that both could be one person's."""

    def mean(cut: Cutout) -> Array:
        weight = cut.mask[:, :, None]
        return (cut.image * weight).sum((0, 1)) / max(float(weight.sum()), 1e-6)

    factor = (mean(other) / np.maximum(mean(piece), 1.0)) ** strength
    return replace(piece, image=np.clip(piece.image * factor + 0.5, 0, 255).astype(np.uint8))
