# SPDX-License-Identifier: GPL-3.0-or-later
"""Side, order in depth and touch, against frames labelled by eye."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.hand.names import SIDES, Side

from . import skin
from .figures import Figures
from .hands import Clip, Label, Seen, SeenHand
from .measures import contact, surface
from .measures.detection import box_iou, box_of
from .pair_figures import mesh_of, recorded_contacts
from .table import SPAN, Table

Array = NDArray[np.float64]

ON_THE_BOX: Final = 0.2
"""A prediction lies on a labelled hand from this IoU of their boxes on."""
TOUCH_MM: Final = 5.0
"""Hands touch where their meshes come this near; of parts this counts for a method that reports no contacts."""


def label_figures(result: Figures, table: Table, labels: Sequence[dict[int, Label]]) -> None:
    """Add the figures of labelled frames.

    both_found    share of the frames in which each labelled hand has a prediction of its side on its box
    side_right    share of the predictions lying on a labelled hand that are of its side: a prediction belongs to the
                  labelled hand whose wrist its own wrist is nearer to
    nearer_right  share of the frames with an order in which the method's meshes show it; both hands missing is wrong
    touch_precision, touch_recall    over frames: skin on skin, by the meshes or a reported contact, and true
    parts_recall  share of the labelled touching pairs of parts that the method's meshes or contacts show
    hidden_precision, hidden_recall    over keypoints: hidden by the method's meshes, and labelled so; a hand that is
                  not there hides nothing
    """
    sides: list[float] = []
    both: list[float] = []
    order: list[float] = []
    units: dict[str, list[int]] = {"side": [], "both": [], "order": []}
    said, true = [], []
    behind, truly_behind = [], []
    parts_hit = parts_all = 0
    for number, (clip, frames, seen) in enumerate(zip(table.clips, labels, table.seen, strict=True)):
        camera = _camera(clip, seen)
        for index, label in frames.items():
            unit = number * 1_000_000 + index // SPAN
            hands = seen.of(index)
            right = _sides(hands, label)
            sides += right
            units["side"] += [unit] * len(right)
            pair = _pair(hands, label)
            both.append(float(pair is not None))
            units["both"].append(unit)
            meshes = None if pair is None else [mesh_of(hand, seen) for hand in pair]
            known = meshes is not None and meshes[0] is not None and meshes[1] is not None
            left_mesh, right_mesh = meshes if known and meshes is not None else (None, None)
            if label.nearer is not None:
                order.append(_order_right(left_mesh, right_mesh, label.nearer, camera))
                units["order"].append(unit)
            behind.append(np.zeros((2, 21), bool) if pair is None else _hidden(pair, left_mesh, right_mesh))
            truly_behind.append(np.array([np.isin(np.arange(21), label.hidden[side]) for side in SIDES]))
            contacts = _contacts(left_mesh, right_mesh, seen, index)
            if label.touch is not None:
                said.append(contacts is not None and bool(contacts[0]))
                true.append(label.touch)
            if label.parts is not None:
                parts_all += int(label.parts.sum())
                parts_hit += 0 if contacts is None else int((label.parts & contacts[1]).sum())
    result.mean("both_found", np.array(both), np.array(units["both"]))
    result.mean("side_right", np.array(sides), np.array(units["side"]))
    result.mean("nearer_right", np.array(order), np.array(units["order"]))
    hits = np.array(said, bool) & np.array(true, bool)
    result.set("touch_precision", hits.sum() / np.sum(said) if np.any(said) else None)
    result.set("touch_recall", hits.sum() / np.sum(true) if np.any(true) else None)
    result.set("parts_recall", parts_hit / parts_all if parts_all else None)
    shown, truth = np.array(behind, bool), np.array(truly_behind, bool)
    result.set("hidden_precision", (shown & truth).sum() / shown.sum() if shown.any() else None)
    result.set("hidden_recall", (shown & truth).sum() / truth.sum() if truth.any() else None)


def _camera(clip: Clip, seen: Seen) -> Camera:
    if seen.take is not None:
        K = seen.take.K if seen.take.K.ndim == 2 else seen.take.K[0]
        return Camera(K=K, dist=seen.take.dist, width=0, height=0)
    first = next(clip.pictures(), None)
    height, width = (480, 640) if first is None else first[1].shape[:2]
    return Camera.estimated(width, height)


def _sides(hands: Sequence[SeenHand], label: Label) -> list[float]:
    """For each prediction that lies on a labelled hand: 1 if of the right side."""
    right = []
    for hand in hands:
        own: Side = min(SIDES, key=lambda side: float(np.linalg.norm(hand.points2d[0] - label.wrists[side])))
        if box_iou(box_of(hand.points2d), label.boxes[own]) >= ON_THE_BOX:
            right.append(float(hand.side == own))
    return right


def _pair(hands: Sequence[SeenHand], label: Label) -> list[SeenHand] | None:
    """The prediction on each labelled hand, left first; None unless both are there."""
    pair = []
    for side in SIDES:
        own = [hand for hand in hands if hand.side == side]
        overlaps = [box_iou(box_of(hand.points2d), label.boxes[side]) for hand in own]
        if not overlaps or max(overlaps) < ON_THE_BOX:
            return None
        pair.append(own[int(np.argmax(overlaps))])
    return pair


def _order_right(left: Array | None, right: Array | None, nearer: Side, camera: Camera) -> float:
    if left is None or right is None:
        return 0.0
    share = contact.nearer_in_front(left, camera.project(left), right, camera.project(right))
    return float(("left" if share > 0.5 else "right") == nearer)


def _hidden(pair: Sequence[SeenHand], left: Array | None, right: Array | None) -> NDArray[np.bool_]:
    """(2, 21) which points of both hands, left first, their meshes hide."""
    if left is None or right is None or min(float(mesh[:, 2].min()) for mesh in (left, right)) <= 0.0:
        return np.zeros((2, 21), bool)
    return np.stack(
        [
            np.any(
                [
                    surface.hidden(hand.points3d, mesh, skin.triangles(side), skin.flesh_mm() * (side == hand.side))
                    for side, mesh in zip(SIDES, (left, right), strict=True)
                ],
                axis=0,
            )
            for hand in pair
        ]
    )


def _contacts(left: Array | None, right: Array | None, seen: Seen, index: int) -> tuple[bool, NDArray[np.bool_]] | None:
    """Whether the hands touch, and by which parts (6, 6)."""
    recorded = None
    if seen.take is not None and len(seen.take.contacts):
        recorded = recorded_contacts(seen.take, index)
    if left is None or right is None:
        return None if recorded is None else (bool(recorded.any()), recorded)
    touching = contact.touching_points(left, right, skin.triangles("right"), gap_mm=TOUCH_MM)
    back = contact.touching_points(right, left, skin.triangles("left"), gap_mm=TOUCH_MM)
    parts = contact.touching_regions(touching, skin.regions(), skin.regions())
    parts = parts | contact.touching_regions(back, skin.regions(), skin.regions()).T
    sunk = contact.penetration(left, skin.triangles("left"), right, skin.triangles("right")).depth_mm > 0.0
    # Contacts are recorded of some parts only; hands touch with other skin as well.
    touch = bool(len(touching.left_vertex) or len(back.left_vertex) or sunk)
    return (touch, parts) if recorded is None else (touch or bool(recorded.any()), recorded)
