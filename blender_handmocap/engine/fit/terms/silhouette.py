# SPDX-License-Identifier: GPL-3.0-or-later
"""Silhouette: the outline of the posed hand lies on the outline of what was seen of it.

After Wang et al. 2020, eq. 5. Residual of a point of the skin that is seen edge-on, with nothing of its own
hand beyond: its distance from the seen outline (in sides of the crop, positive outside) over sigma, times
how nearly edge-on it is, robust. Where the picture shows the other hand the distance is 0: the outline may
be hidden there.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..kinematics import Chain, Posed
from ..skin_points import HandRows, SkinPoints
from ..spatial import Array
from .collision import SphereSet
from .robust import geman_mcclure

_NEAREST = 0.02
_EDGE_ON = 0.35
"""cosine of normal and line of sight up to which a point may lie on the outline"""
_BEYOND = 0.004
"""metres off the skin: what lies there must not be the hand itself"""


def distance_field(mine: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(H, W) sides of the map from the outline of `mine` (H, W), negative inside, and 0 in the other hand.

    Without any cell of this hand it is 0 everywhere.
    """
    size = mine.shape[0]
    if not mine.any():
        return np.zeros(mine.shape, np.float32)
    outside = cv2.distanceTransform((~mine).astype(np.uint8), cv2.DIST_L2, 5)
    inside = cv2.distanceTransform(mine.astype(np.uint8), cv2.DIST_L2, 5)
    # The outline lies between the cells, half a cell from the middles of both.
    field = np.where(mine, 0.5 - inside, outside - 0.5) / size
    return np.where(other, 0.0, field).astype(np.float32)


def evaluate(
    skin: SkinPoints,
    spheres: SphereSet,
    chain: Chain,
    posed: Posed,
    translation: Array,
    field: NDArray[np.float32],
    to_cell: Array,
    *,
    sigma: float,
    robust: float,
) -> HandRows:
    """B hands at translation (3, B); field (B, H, W); to_cell (B, 2, 3) takes image positions (x, y, 1) to cells.

    `spheres` tell what the hand itself covers.
    """
    carried = skin.carried(posed)
    place = skin.mean(carried) + translation[:, None]
    count = translation.shape[-1]
    normal = skin.facing(posed)
    facing = (normal * place).sum(0) / np.maximum(np.sqrt((place * place).sum(0)), 1e-9)
    inverse = 1.0 / np.maximum(place[2], _NEAREST)
    image = place[:2] * inverse
    cell = np.einsum("bij,jvb->ivb", to_cell[:, :, :2], image) + to_cell[:, :, 2].T[:, None]
    size = field.shape[1]
    within = ((cell >= 0.0) & (cell < size - 1.0)).all(0)
    edge = (np.abs(facing) < _EDGE_ON) & within & (place[2] > _NEAREST)
    point, hand = np.nonzero(edge & _outermost(spheres, posed, translation, place, normal))
    if not point.size:
        return HandRows.nothing(count, 6 + chain.angle_count)
    value, across, down = _read(field, hand, *cell[:, point, hand])
    weight = 1.0 - np.abs(facing[point, hand]) / _EDGE_ON
    away = value / sigma
    cost, root = geman_mcclure(away * away, weight, robust)
    # Slope of the field by the image position, then by the point.
    slope = np.einsum("nji,jn->in", to_cell[hand][:, :, :2], np.stack([across, down]))
    steep = slope * (root / sigma * inverse[point, hand])
    along = np.stack([steep[0], steep[1], -(steep * image[:, point, hand]).sum(0)])
    rows = skin.slopes(chain, posed, carried, point, hand, along)
    total = np.bincount(hand, cost, minlength=count).astype(np.float64)
    return HandRows(total, hand, away * root, rows)


def _outermost(spheres: SphereSet, posed: Posed, translation: Array, place: Array, normal: Array) -> NDArray[np.bool_]:
    """(V, B) whether a picture shows nothing of the hand just outside points `place` (3, V, B)."""
    centre = spheres.centres(posed) + translation[:, None]
    beyond = place + _BEYOND * normal
    # As discs in the picture: a sphere's outline is nearly one.
    middle = centre[:2] / np.maximum(centre[2], _NEAREST)
    radius = spheres.radius[:, None] / np.maximum(centre[2], _NEAREST)
    image = beyond[:2] / np.maximum(beyond[2], _NEAREST)
    covered = np.zeros(image.shape[1:], bool)
    for k in range(len(spheres.radius)):
        away = image - middle[:, None, k]
        covered |= (away * away).sum(0) < radius[k] ** 2
    return ~covered


def _read(field: NDArray[np.float32], hand: NDArray[np.intp], x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Values (n,) of fields at cells (x, y), between cells linear, and their slopes by x and y."""
    column, row = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    u, v = x - column, y - row
    a, b = field[hand, row, column].astype(np.float64), field[hand, row, column + 1].astype(np.float64)
    c, d = field[hand, row + 1, column].astype(np.float64), field[hand, row + 1, column + 1].astype(np.float64)
    top, bottom = a + (b - a) * u, c + (d - c) * u
    return top + (bottom - top) * v, (b - a) * (1.0 - v) + (d - c) * v, bottom - top
