# SPDX-License-Identifier: GPL-3.0-or-later
"""What was seen, in the form the solver works with: rays, not pixels, and everything right-handed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..camera import Camera
from ..hand.free import free_hand
from ..hand.model import RestHand
from ..hand.names import Side
from ..see.definitions import offsets
from ..take import Take
from .kinematics import PALM_POINTS, POINT_ORDER, Chain, IntArray
from .settings import FitSettings
from .spatial import Array

_LEAST_PIXEL_SIGMA = 0.3
"""pixels: no detector places a point better than this"""


@dataclass(frozen=True)
class Seen:
    """Observations of B hands, each as a right hand; points in `kinematics.POINT_ORDER`.

    A point that was not seen has weight 0 and harmless numbers.
    """

    rays: Array
    """(2, 21, B) undistorted image position at unit depth"""
    ray_sigma: Array
    """(21, B) in the same unit"""
    ray_weight: Array
    """(21, B) 0..1"""
    points: Array
    """(3, 21, B) metres about the mean of the palm's points, camera axes"""
    point_sigma: Array
    """(21, B) metres"""
    point_weight: Array
    """(21, B) 0..1"""

    @property
    def count(self) -> int:
        return self.rays.shape[-1]

    def take(self, index: IntArray | NDArray[np.bool_]) -> Seen:
        """The hands of an index (or boolean) array."""
        return Seen(*(array[..., index] for array in self.arrays()))

    def arrays(self) -> tuple[Array, ...]:
        return (self.rays, self.ray_sigma, self.ray_weight, self.points, self.point_sigma, self.point_weight)


def concatenate(parts: list[Seen]) -> Seen:
    """Several batches as one."""
    return Seen(*(np.concatenate(arrays, axis=-1) for arrays in zip(*(p.arrays() for p in parts), strict=True)))


def definition_shift(definition: str, rest: RestHand) -> Array:
    """(21, 3) offsets for `Chain` from the model's points to those of a definition, for a hand of this size."""
    # The table was measured on the free hand: what counts is how much larger this hand is than that one.
    return offsets(definition) * (rest.palm_length / free_hand("right").palm_length)


def undistorted(pixels: ArrayLike, matrix: ArrayLike, distortion: ArrayLike) -> Array:
    """Pixels (T, N, 2) -> image positions (T, N, 2) at unit depth, NaN kept; matrix (3, 3) or (T, 3, 3)."""
    points = np.asarray(pixels, dtype=np.float64)
    matrices, lens = np.asarray(matrix, dtype=np.float64), np.asarray(distortion, dtype=np.float64)
    known = np.isfinite(points).all(-1)
    out = np.full(points.shape, np.nan)
    # A moving camera has a matrix a frame, a fixed one serves all frames at once.
    groups = [slice(None)] if matrices.ndim == 2 else [slice(t, t + 1) for t in range(len(points))]
    for group in groups:
        camera = Camera(K=matrices if matrices.ndim == 2 else matrices[group][0], dist=lens, width=1, height=1)
        part = out[group]
        part[known[group]] = camera.rays(points[group][known[group]])[:, :2]
    return out


def of_track(take: Take, side: Side, frames: IntArray, chain: Chain, settings: FitSettings) -> Seen:
    """What a take holds of one hand's frames (B,)."""
    track = take.track(side)
    return seen_hands(
        np.full(len(frames), side == "left"),
        chain,
        settings,
        pixels=track.seen2d[frames],
        pixel_sigma=track.seen2d_sigma[frames],
        points=track.seen3d[frames],
        point_sigma=track.seen3d_sigma[frames],
        visibility=track.visibility[frames],
        camera=take.K if take.K.ndim == 2 else take.K[frames],
        distortion=take.dist,
    )


def seen_hands(
    left: NDArray[np.bool_],
    chain: Chain,
    settings: FitSettings,
    *,
    pixels: Array,
    pixel_sigma: Array,
    points: Array,
    point_sigma: Array,
    visibility: Array,
    camera: Array,
    distortion: Array,
) -> Seen:
    """Build from arrays with the batch first, as a take's track holds them.

    pixels (B, 21, 2) and pixel_sigma (B, 21) px; points (B, 21, 3) and point_sigma (B, 21) relative
    to the wrist in palm bones; visibility (B, 21); NaN where not seen. `left` (B,) hands are mirrored.
    """
    mirror = np.where(left, -1.0, 1.0)[:, None]
    visible = visibility[:, POINT_ORDER]
    visible = np.clip(np.where(np.isfinite(visible), visible, 0.0), 0.0, 1.0)

    rays = undistorted(pixels, camera, distortion)[:, POINT_ORDER]
    rays[..., 0] *= mirror
    seen = np.isfinite(rays).all(-1)
    sigma = pixel_sigma[:, POINT_ORDER]
    stated = np.isfinite(sigma)
    if not stated.all():
        box = _box(pixels)
        usual = settings.pixel_share * np.where(np.isfinite(box), box, 1.0)
        sigma = np.where(stated, sigma, usual[:, None])
    focal = np.sqrt(np.abs(camera[..., 0, 0] * camera[..., 1, 1]))

    shape = points[:, POINT_ORDER]
    shape[..., 0] *= mirror
    known = np.isfinite(shape).all(-1)
    # The palm fixes the scale of the observed points: it has one size only.
    usable = known[:, :PALM_POINTS].all(1)
    known &= usable[:, None]
    shape = np.where(known[..., None], shape, 0.0)
    shape -= shape[:, :PALM_POINTS].mean(1, keepdims=True)
    spread = np.sqrt((shape[:, :PALM_POINTS] ** 2).sum((1, 2)))
    usable = spread > 1e-6
    scale = chain.palm_spread / np.where(usable, spread, 1.0)
    relative = point_sigma[:, POINT_ORDER]
    relative = np.where(np.isfinite(relative), relative, 0.0) * scale[:, None]
    return Seen(
        rays=np.where(seen, rays.transpose(2, 0, 1), 0.0).swapaxes(1, 2).copy(),
        ray_sigma=(np.maximum(sigma, _LEAST_PIXEL_SIGMA) / np.reshape(focal, (-1, 1))).T.copy(),
        ray_weight=(seen * visible).T.copy(),
        points=(shape * scale[:, None, None]).transpose(2, 1, 0).copy(),
        point_sigma=np.maximum(relative, settings.point_sigma).T.copy(),
        point_weight=((known & usable[:, None]) * visible).T.copy(),
    )


def _box(pixels: Array) -> Array:
    """(B,) longer side of the box of the seen points; NaN where fewer than two are."""
    known = np.isfinite(pixels).all(-1)
    low = np.where(known[..., None], pixels, np.inf).min(1)
    high = np.where(known[..., None], pixels, -np.inf).max(1)
    enough = known.sum(1) > 1
    out = np.full(len(pixels), np.nan)
    out[enough] = (high - low)[enough].max(1)
    return out
