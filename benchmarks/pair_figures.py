# SPDX-License-Identifier: GPL-3.0-or-later
"""Contact and penetration of both hands' meshes, frame by frame."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.take import Take

from . import skin
from .figures import Figures
from .hands import Seen, SeenHand
from .measures import caps, contact
from .table import PairRow, Table

Array = NDArray[np.float64]

CONTACT_FROM: Final = 0.5
"""A method that says how likely a contact is means it from here on."""


def contact_figures(result: Figures, table: Table) -> None:
    """Contact precision and recall, distance between truly touching skin, penetration depth and volume."""
    rows = [row for row in table.pairs if row.truth_frame.contact is not None]
    if not rows:
        return
    unit = table.unit(rows)
    truth = np.stack([row.truth_frame.contact for row in rows if row.truth_frame.contact is not None])
    said = np.zeros_like(truth)
    apart = np.full(len(rows), np.nan)
    every: list[Array] = []
    depth, volume = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for i, row in enumerate(rows):
        touching = row.truth_frame.skin
        touches = touching is not None and len(touching.left_vertex) > 0
        meshes = _meshes(row, table)
        if meshes is None:
            if touches:
                apart[i] = caps.CAPS["touching_distance_mm"]
                every.append(np.full(len(touching.left_vertex) if touching else 0, caps.CAPS["touching_distance_mm"]))
            continue
        left, right = meshes
        said[i] = _said(row, table, left, right)
        hit = contact.penetration(left, skin.triangles("left"), right, skin.triangles("right"))
        depth[i], volume[i] = hit.depth_mm, hit.volume_mm3
        if touching is not None and touches:
            distances = contact.touching_distances_mm(left, right, touching)
            apart[i] = min(float(np.median(distances)), caps.CAPS["touching_distance_mm"])
            every.append(distances)
    result.set("contact_precision", contact.precision(said, truth))
    result.set("contact_recall", contact.recall(said, truth))
    result.mean("touching_distance_mm", apart, unit)
    if every:
        points = np.minimum(np.concatenate(every), caps.CAPS["touching_distance_mm"])
        result.set("touching_distance_median_mm", float(np.median(points)))
        result.set("touching_distance_p90_mm", float(np.percentile(points, 90)))
    result.mean("penetration_depth_mm", depth, unit)
    result.set("penetration_depth_max_mm", float(np.nanmax(depth)) if np.isfinite(depth).any() else None)
    result.mean("penetration_volume_mm3", volume, unit)


def _meshes(row: PairRow, table: Table) -> tuple[Array, Array] | None:
    left, right = (mesh_of(hand, table.seen[row.clip]) for hand in row.seen)
    return None if left is None or right is None else (left, right)


def mesh_of(hand: SeenHand | None, seen: Seen) -> Array | None:
    """(V, 3) mm: the free hand in the method's shape, or the mean shape at the method's palm length."""
    if hand is None or hand.rotation is None or not hand.placed or not np.isfinite(hand.points3d[0]).all():
        return None
    take = seen.take
    betas = np.zeros(10) if take is None else take.betas
    size = hand.palm_mm / 1000.0 if take is None else take.size
    wrist = hand.points3d[None, 0] / 1000.0
    return skin.vertices_mm(hand.side, hand.rotation[None], wrist, betas, size)[0]


def _said(row: PairRow, table: Table, left: Array, right: Array) -> NDArray[np.bool_]:
    """(6, 6) the contacts a method reports, or, if it reports none as such, those its meshes show."""
    take = table.seen[row.clip].take
    if take is not None and len(take.contacts):
        return recorded_contacts(take, row.truth_frame.index)
    return skin.contact_of(left, right)[1]


def recorded_contacts(take: Take, frame: int) -> NDArray[np.bool_]:
    """(6, 6) the contacts a Take reports for a source frame."""
    parts = np.zeros((6, 6), bool)
    at = np.flatnonzero(take.frame == frame)
    records = take.contacts[np.isin(take.contacts["frame"], at) & (take.contacts["probability"] >= CONTACT_FROM)]
    parts[records["left_part"], records["right_part"]] = True
    return parts
