# SPDX-License-Identifier: GPL-3.0-or-later
"""What the maps of both hands' crops said, in the form the solver works with: rays, everything right-handed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..camera import Camera
from ..hand.names import KEYPOINT_COUNT, SIDES
from ..take import MAP_SIZE, MapsTrack, Take
from .kinematics import POINT_ORDER
from .observations import Seen, undistorted
from .spatial import Array
from .terms.silhouette import distance_field

CELLS_A_CROP: Final = 224.0
"""pixels of the crop the maps are of"""


@dataclass(frozen=True)
class SeenMaps:
    """K hands of a window that maps speak of, each as a right hand, and what is said of its P pairs."""

    hand: NDArray[np.intp]
    """(K,) which hand of the window, rising"""
    rays: Array
    """(2, V, K) where each point of the skin is seen, at unit depth"""
    ray_sigma: Array
    """(V, K) in the same unit; infinite: not seen"""
    depth: Array
    """(V, K) behind the wrist along `sight`, palm lengths; NaN: not seen"""
    sight: Array
    """(3, K) unit ray of the crop"""
    field: NDArray[np.float32]
    """(K, 56, 56) see terms.silhouette"""
    to_cell: Array
    """(K, 2, 3) image positions (x, y, 1) to cells of the field"""
    points: Seen
    """K hands: the model's own 21 points"""
    between: Array
    """(P,) depth of the left wrist behind the right one along `between_sight`, palm lengths; NaN: nothing said"""
    between_sight: Array
    """(3, P) camera axes"""
    vertices: NDArray[np.int32]
    """(V,) of the right free hand's mesh, whose points are matched"""
    betas: Array
    """(10,) shape of the free hand"""
    palm: float
    """metres"""

    def take(self, index: NDArray[np.intp], pairs: NDArray[np.intp]) -> SeenMaps:
        """Of the hands `index` (n,), rising, which are then called 0..n-1, and of `pairs`."""
        at = np.searchsorted(index, self.hand)
        kept = np.flatnonzero(index[np.minimum(at, len(index) - 1)] == self.hand) if len(index) else at[:0]
        return replace(
            self,
            hand=at[kept],
            rays=self.rays[..., kept],
            ray_sigma=self.ray_sigma[:, kept],
            depth=self.depth[:, kept],
            sight=self.sight[:, kept],
            field=self.field[kept],
            to_cell=self.to_cell[kept],
            points=self.points.take(kept),
            between=self.between[pairs],
            between_sight=self.between_sight[:, pairs],
        )


def of_take(
    take: Take,
    frame: NDArray[np.intp],
    left: NDArray[np.bool_],
    shown: NDArray[np.bool_],
    pair_frame: NDArray[np.intp],
    betas: Array,
) -> SeenMaps | None:
    """What a take's maps say of hands (B,) in frames (B,) and of the pairs in `pair_frame` (P,); None: nothing.

    Of hands that are not `shown` (B,), as where the user hid them, nothing is said. `betas` (10,): the shape of the
    free hand whose skin is matched.
    """
    maps = take.maps
    if maps is None or not np.isin(frame, maps.frame).any():
        return None
    row = _rows(maps, frame)
    hand = np.flatnonzero((row >= 0) & shown)
    row, slot = row[hand], np.where(left[hand], SIDES.index("left"), SIDES.index("right"))
    matrix = take.K if take.K.ndim == 2 else take.K[frame[hand]]
    each = np.broadcast_to(matrix, (len(hand), 3, 3))
    mirror = np.where(left[hand], -1.0, 1.0)
    focal = np.sqrt(np.abs(each[:, 0, 0] * each[:, 1, 1]))
    rays = undistorted(maps.pixels[row, slot], matrix, take.dist)
    rays[..., 0] *= mirror[:, None]
    seen = np.isfinite(rays).all(-1)
    points = undistorted(maps.points[row, slot], matrix, take.dist)[:, POINT_ORDER]
    points[..., 0] *= mirror[:, None]
    known = np.isfinite(points).all(-1)
    sigma = maps.points_sigma[row, slot][:, POINT_ORDER] / focal[:, None]
    sight = _sight(maps.crop[row], each, take.dist)
    pair_row = _rows(maps, pair_frame)
    said = (pair_row >= 0) & np.isin(pair_frame, frame[~left & shown]) & np.isin(pair_frame, frame[left & shown])
    pair_matrix = take.K if take.K.ndim == 2 else take.K[pair_frame]
    blank = np.zeros((3, KEYPOINT_COUNT, len(hand)))
    return SeenMaps(
        hand=hand,
        rays=np.where(seen[..., None], rays, 0.0).transpose(2, 1, 0),
        ray_sigma=np.where(seen, maps.sigma[row, slot] / focal[:, None], np.inf).T.copy(),
        depth=maps.depth[row, slot].T.astype(np.float64),
        sight=(sight * np.stack([mirror, np.ones_like(mirror), np.ones_like(mirror)], 1)).T.copy(),
        field=_fields(maps, row, slot),
        to_cell=_to_cell(maps.crop[row], each, mirror),
        points=Seen(
            rays=np.where(known[..., None], points, 0.0).transpose(2, 1, 0).copy(),
            ray_sigma=np.where(known, sigma, 1.0).T.copy(),
            ray_weight=known.T.astype(np.float64),
            points=blank,
            point_sigma=blank[0] + 1.0,
            point_weight=blank[0],
        ),
        between=np.where(said, maps.between[pair_row], np.nan),
        between_sight=_sight(
            maps.crop[pair_row], np.broadcast_to(pair_matrix, (len(pair_row), 3, 3)), take.dist
        ).T.copy(),
        vertices=maps.vertices,
        betas=betas,
        palm=take.size,
    )


def _rows(maps: MapsTrack, frame: NDArray[np.intp]) -> NDArray[np.intp]:
    """(n,) the row of the maps that is of each frame; -1: none."""
    at = np.minimum(np.searchsorted(maps.frame, frame), len(maps.frame) - 1)
    return np.where(maps.frame[at] == frame, at, -1)


def _sight(crop: Array, matrix: Array, distortion: Array) -> Array:
    """(n, 3) unit rays through the middles of crops (n, 5)."""
    out = np.empty((len(crop), 3))
    for k in range(len(crop)):
        ray = Camera(K=matrix[k], dist=distortion, width=1, height=1).rays(crop[k, :2])
        out[k] = ray / np.linalg.norm(ray)
    return out


def _fields(maps: MapsTrack, row: NDArray[np.intp], slot: NDArray[np.intp]) -> NDArray[np.float32]:
    regions = np.unpackbits(maps.regions[row], axis=-1).reshape(-1, len(SIDES), MAP_SIZE, MAP_SIZE) > 0
    return np.stack([distance_field(both[mine], both[1 - mine]) for both, mine in zip(regions, slot, strict=True)])


def _to_cell(crop: Array, matrix: Array, mirror: Array) -> Array:
    """(n, 2, 3) from image positions at unit depth, without the lens' distortion, to cells of the maps."""
    cosine, sine = np.cos(crop[:, 4]), np.sin(crop[:, 4])
    back = np.stack([np.stack([cosine, sine], 1), np.stack([-sine, cosine], 1)], 1) / crop[:, 2, None, None]
    linear = back @ matrix[:, :2, :2]
    shift = (back @ (matrix[:, :2, 2] - crop[:, :2])[..., None])[..., 0] + 0.5
    cell = CELLS_A_CROP / MAP_SIZE
    # A cell's middle lies between its pixels.
    out = np.concatenate([linear * MAP_SIZE, (shift * MAP_SIZE - (cell - 1.0) / 2.0 / cell)[..., None]], axis=2)
    out[:, :, 0] *= mirror[:, None]
    return np.asarray(out)
