# SPDX-License-Identifier: GPL-3.0-or-later
"""All terms of single hands that maps of both hands give rise to, evaluated together; each has its own file."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..hand.free import free_hand
from .kinematics import FIRST_ANGLE, POINT_ORDER, Chain, HandState
from .seen_maps import SeenMaps
from .settings import FitSettings
from .skin_points import HandRows, SkinPoints
from .spatial import Array
from .terms import dense, depth_within, gaussians, reprojection, silhouette
from .terms.collision import SphereSet

_EVERY = 8
"""of the mesh's vertices that may lie on the outline one is looked at"""
_WRIST = 0.005
"""metres before the wrist joint, towards the fingers, where the outline begins: behind it the arm goes on"""


@lru_cache(maxsize=1)
def outline_vertices() -> NDArray[np.intp]:
    """Vertices of the right free hand that are compared with outlines, some 180 of them."""
    return np.flatnonzero(free_hand("right").template[:, 0] < -_WRIST)[::_EVERY]


class MapTerms:
    """The terms of K hands, as a window's hands `seen.hand`."""

    def __init__(self, seen: SeenMaps, chain: Chain, spheres: SphereSet, settings: FitSettings) -> None:
        """`chain` is the model's own, without offsets to a detector's points; `spheres` are that hand's."""
        self.seen, self.chain, self.spheres, self.settings = seen, chain, spheres, settings
        hand = free_hand("right")
        rest = hand.rest(seen.betas, seen.palm)
        self.matches = SkinPoints.on_chain(hand, rest, seen.vertices, chain)
        self.outline = SkinPoints.on_chain(hand, rest, outline_vertices(), chain)

    def evaluate(self, state: HandState) -> list[HandRows]:
        """Terms that are switched on, of the window's hands `state`; hands numbered as the window does."""
        seen, settings, chain = self.seen, self.settings, self.chain
        if not seen.hand.size:
            return []
        part = state.take(seen.hand)
        posed = chain.pose(part)
        out: list[HandRows] = []
        if math.isfinite(settings.dense_doubt):
            sigma = seen.ray_sigma * settings.dense_doubt
            out.append(
                dense.evaluate(self.matches, chain, posed, part.translation, seen.rays, sigma, settings.dense_robust)
            )
        if math.isfinite(settings.silhouette_sigma):
            out.append(
                silhouette.evaluate(
                    self.outline,
                    self.spheres,
                    chain,
                    posed,
                    part.translation,
                    seen.field,
                    seen.to_cell,
                    sigma=settings.silhouette_sigma,
                    robust=settings.silhouette_robust,
                )
            )
        if math.isfinite(settings.within_sigma):
            out.append(
                depth_within.evaluate(
                    self.matches,
                    chain,
                    posed,
                    seen.depth,
                    seen.sight,
                    palm=seen.palm,
                    sigma=settings.within_sigma,
                    robust=settings.within_robust,
                )
            )
        if math.isfinite(settings.map_points_doubt):
            out.append(self._points(part))
        return [replace(rows, hand=seen.hand[rows.hand], cost=self._scattered(rows.cost, state.count)) for rows in out]

    def _points(self, part: HandState) -> HandRows:
        """The model's own points on the rays through their heatmaps' peaks."""
        seen, settings, chain = self.seen.points, self.settings, self.chain
        used = np.isin(POINT_ORDER, settings.map_points)
        said = replace(
            seen,
            ray_sigma=seen.ray_sigma * settings.map_points_doubt,
            ray_weight=seen.ray_weight * used[:, None],
        )
        posed = chain.pose(part)
        count, rows = part.count, len(reprojection.POINT)
        wrench, residual = np.empty((count, rows, 6)), np.empty((count, rows))
        cost = reprojection.evaluate(posed.points, part.translation, said, settings.map_points_robust, wrench, residual)
        slopes = np.zeros((count, rows, chain.size))
        chain.slopes(posed, reprojection.POINT, wrench, slopes, np.empty((count, rows, chain.angle_count)))
        flat = slopes[..., : FIRST_ANGLE + chain.angle_count].reshape(count * rows, -1)
        return HandRows(cost, np.repeat(np.arange(count), rows), residual.ravel(), flat)

    def _scattered(self, cost: Array, count: int) -> Array:
        out = np.zeros(count)
        out[self.seen.hand] = cost
        return out


def fingers_apart(spheres: SphereSet, chain: Chain, state: HandState, sigma: float) -> HandRows:
    """Gaussians between the fingers of every hand of a window."""
    return gaussians.within(spheres, chain, chain.pose(state), sigma)
