# SPDX-License-Identifier: GPL-3.0-or-later
"""A hand as a few dozen spheres: what collision and contact are computed with.

The spheres are found on the mesh itself, so any hand has them: the largest ball inside the
mesh that touches each vertex (a medial ball), thinned to the few that together fill the hand.
Each is fixed to one joint, and follows the shape through the vertices it touches.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .model import Array, HandModel, PosedHand, RestHand
from .names import CONTACT_PARTS, FINGERS, JOINT_COUNT, TIP_JOINTS

RUNTIME_COUNT: Final = 64
"""Spheres of the collision term of the fitter."""

NO_PART: Final = 255
"""Label of spheres that belong to none of CONTACT_PARTS: the phalanges between palm and tip."""

_LARGEST: Final = 0.020
_SMALLEST: Final = 0.0025
_PROTRUSION: Final = 0.0006
"""A ball may stand out of the mesh by this much (metres for a mean adult hand), or creases would starve it."""
_TOUCH: Final = 0.0020
"""A vertex this near to a ball's surface is touched by it."""
_SHRINKS: Final = 12
_TOUCHED_VERTICES: Final = 12
_MEAN_PALM: Final = 0.090
"""The palm length the lengths above are meant for."""
_FINGER_WORTH: Final = 4.0
"""Skin of a finger counts this much more than skin of the palm: it is where hands touch."""
_ARM_WORTH: Final = 0.1
_ARM_START: Final = 0.012
"""Metres from the wrist joint towards the elbow."""
_CANDIDATES: Final = 900


@dataclass(frozen=True)
class Spheres:
    """S spheres of one rest hand."""

    joint: NDArray[np.intp]
    """(S,) the joint each is fixed to"""
    offset: Array
    """(S, 3) centre from that joint at rest, canonical axes, metres"""
    radius: Array
    """(S,) metres"""
    part: NDArray[np.uint8]
    """(S,) index into CONTACT_PARTS, or NO_PART"""

    def __len__(self) -> int:
        return len(self.joint)

    def centres(self, posed: PosedHand) -> Array:
        """(T, S, 3) centres in camera axes of a hand posed from the same rest hand."""
        turned = posed.orientation[:, self.joint] @ self.offset[:, :, None]
        return posed.joints[:, self.joint] + turned[..., 0]


def fitted_spheres(model: HandModel, rest: RestHand | None = None, *, count: int = RUNTIME_COUNT) -> Spheres:
    """About `count` spheres that fill the hand (fewer where fewer fill it), for one shape and size.

    Which spheres there are is decided once on the model's mean shape; for other shapes only
    centres and radii follow, so spheres keep their meaning from shape to shape.
    """
    plan = _plan(_Key(model), count)
    hand = model.rest() if rest is None else rest
    vertices = model.rest_vertices(hand)
    middle = vertices[plan.touched].mean(1)
    centre = middle + plan.shift * hand.scale
    spread = np.linalg.norm(vertices[plan.touched] - middle[:, None], axis=-1).mean(1)
    return Spheres(
        joint=plan.joint,
        offset=centre - hand.joints[plan.joint],
        radius=plan.radius * spread / plan.spread,
        part=plan.part,
    )


class _Key:
    """A model as a key of the cache: two reads of one file are the same hand."""

    def __init__(self, model: HandModel) -> None:
        self.model = model
        self.identity = (model.sha256, model.side)

    def __hash__(self) -> int:
        return hash(self.identity)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.identity == other.identity


@dataclass(frozen=True)
class _Plan:
    joint: NDArray[np.intp]
    touched: NDArray[np.intp]
    """(S, 12) vertices whose mean carries the centre"""
    shift: Array
    """(S, 3) centre minus that mean"""
    radius: Array
    spread: Array
    """(S,) mean distance of the touched vertices from their mean"""
    part: NDArray[np.uint8]


@lru_cache(maxsize=8)
def _plan(key: _Key, count: int) -> _Plan:
    model = key.model
    if model.side == "left":
        return _mirrored(_plan(_Key(model.mirrored()), count))
    unit = model.palm_length / _MEAN_PALM
    rest = model.rest()
    vertices = model.rest_vertices(rest)
    normals, areas = _normals_and_areas(vertices, model.triangles)
    # The flat end of the wrist is a cut, not skin.
    skin = vertices[:, 0] < vertices[:, 0].max() - 0.004 * unit
    worth = areas * np.where(model.weights[:, 0] > 0.5, 1.0, _FINGER_WORTH) * skin
    worth[vertices[:, 0] > _ARM_START * unit] *= _ARM_WORTH
    centre, radius = _medial_balls(vertices, normals, unit)
    usable = np.flatnonzero(skin & (radius > _SMALLEST * unit))
    usable = usable[np.argsort(-(worth * radius)[usable], kind="stable")[: max(_CANDIDATES, 4 * count)]]
    gap = _distances(centre[usable], vertices) - radius[usable, None]
    chosen = usable[_cover(gap, worth, count, unit)]
    distance = _distances(centre[chosen], vertices)
    touched = np.abs(distance - radius[chosen, None]).argsort(1, kind="stable")[:, :_TOUCHED_VERTICES]
    joint = model.weights[touched].mean(1).argmax(1)
    middle = vertices[touched].mean(1)
    part = np.full(JOINT_COUNT, NO_PART, np.uint8)
    part[0] = CONTACT_PARTS.index("palm")
    for finger, tip in zip(FINGERS, TIP_JOINTS, strict=True):
        part[tip] = CONTACT_PARTS.index(f"{finger}_tip")
    return _Plan(
        joint=joint,
        touched=touched,
        shift=centre[chosen] - middle,
        radius=radius[chosen],
        spread=np.linalg.norm(vertices[touched] - middle[:, None], axis=-1).mean(1),
        part=part[joint],
    )


def _mirrored(plan: _Plan) -> _Plan:
    return _Plan(
        joint=plan.joint,
        touched=plan.touched,
        shift=plan.shift * np.array([-1.0, 1.0, 1.0]),
        radius=plan.radius,
        spread=plan.spread,
        part=plan.part,
    )


def _normals_and_areas(vertices: Array, triangles: NDArray[np.int32]) -> tuple[Array, Array]:
    """Outward unit normals (V, 3) and the area (V,) that each vertex stands for."""
    corners = vertices[triangles]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    areas = np.zeros(len(vertices))
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], cross)
        np.add.at(areas, triangles[:, corner], np.linalg.norm(cross, axis=1) / 6.0)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12), areas


def _distances(first: Array, second: Array) -> Array:
    """(A, 3), (B, 3) -> (A, B)."""
    return np.sqrt(np.maximum(_squared_distances(first, second), 0.0))


def _squared_distances(first: Array, second: Array) -> Array:
    return (first**2).sum(1)[:, None] + (second**2).sum(1) - 2.0 * first @ second.T


def _medial_balls(vertices: Array, normals: Array, unit: float) -> tuple[Array, Array]:
    """The largest ball (V, 3), (V,) behind each vertex that the other vertices leave room for."""
    everyone = np.arange(len(vertices))
    radius = np.full(len(vertices), _LARGEST * unit)
    active = everyone
    for _ in range(_SHRINKS):
        centre = vertices[active] - normals[active] * (radius[active] - _PROTRUSION * unit)[:, None]
        squared = _squared_distances(centre, vertices)
        nearest = squared.argmin(1)
        room = np.sqrt(np.maximum(squared[np.arange(len(active)), nearest], 0.0))
        inside = (room < radius[active] - _PROTRUSION * unit - 1e-6) & (nearest != active)
        active, nearest = active[inside], nearest[inside]
        if not len(active):
            break
        # The ball through the vertex and the intruder, with its centre on the vertex's normal.
        away = vertices[active] - vertices[nearest]
        along = np.maximum((away * normals[active]).sum(1), 1e-9)
        smaller = (away**2).sum(1) / (2.0 * along) + _PROTRUSION * unit
        radius[active] = np.minimum(smaller, radius[active] * 0.98)
    return vertices - normals * (radius - _PROTRUSION * unit)[:, None], radius


def _cover(gap: Array, weight: Array, count: int, unit: float) -> NDArray[np.intp]:
    """Greedy cover: rows of gap (A, V) = distance from ball to vertex that leave least skin uncovered.

    What is won by a ball is how much nearer it brings the union to each vertex, so that the
    first balls fill the hand and the later ones round it off.
    """
    reach = np.clip(gap, 0.0, 0.010 * unit).astype(np.float32)
    best = np.full(gap.shape[1], 0.010 * unit, np.float32)
    mass = weight.astype(np.float32)
    chosen: list[int] = []
    while len(chosen) < count:
        gain = np.maximum(best - reach, 0.0) @ mass
        pick = int(gain.argmax())
        if gain[pick] <= 0.0:
            break
        chosen.append(pick)
        best = np.minimum(best, reach[pick])
    return np.array(chosen, dtype=np.intp)
