# SPDX-License-Identifier: GPL-3.0-or-later
"""The arm that carries a hand: reaching a place with two bones, and sharing out the wrist's twist."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..hand.names import SIDES, Side
from .preset import BoneMap
from .retarget import swing_between
from .skeleton import RestSkeleton

Array = NDArray[np.float64]

_STRETCH: Final = 0.999
"""Of its length an arm reaches at most this much, so that the elbow never snaps straight."""
_HELPER: Final = re.compile(r"twist|roll|mch|(?<![a-z])ik(?![a-z])", re.IGNORECASE)
"""names of bones in the line of an arm that only help to deform it"""
_HEAD_WORDS: Final = ("head", "c_head")


@dataclass(frozen=True)
class Arm:
    """The bones of an actual rig that carry one hand."""

    upper: int
    lower: int
    wrist: int


def arm_of(skeleton: RestSkeleton, bones: BoneMap) -> Arm | None:
    """The upper arm and the forearm above a mapped wrist: as named, else the two bones above it that are no helpers."""
    if "wrist" not in bones.bones:
        return None
    wrist = skeleton.index[bones.bones["wrist"]]
    above = [bone for bone in skeleton.ancestors(wrist) if not _HELPER.search(skeleton.names[bone])]
    lower = skeleton.index.get(bones.bones.get("forearm", ""), above[0] if above else -1)
    above = [bone for bone in skeleton.ancestors(lower) if not _HELPER.search(skeleton.names[bone])] if above else []
    upper = skeleton.index.get(bones.bones.get("upper_arm", ""), above[0] if above else -1)
    in_line = upper in skeleton.ancestors(lower) and lower in skeleton.ancestors(wrist) if upper >= 0 else False
    return Arm(upper, lower, wrist) if in_line else None


def anchor_bones(skeleton: RestSkeleton, maps: Mapping[Side, BoneMap]) -> dict[str, str]:
    """`chest`: where the arms meet; `head`: the bone that is called so. What is not found is left out."""
    found: dict[str, str] = {}
    wrists = [skeleton.index[maps[side].bones["wrist"]] for side in SIDES if "wrist" in maps.get(side, _NONE).bones]
    if len(wrists) == 2:
        other = set(skeleton.ancestors(wrists[1]))
        shared = next((bone for bone in skeleton.ancestors(wrists[0]) if bone in other), None)
        if shared is not None:
            found["chest"] = skeleton.names[shared]
    heads = [name for name in skeleton.names if name.lower().rpartition(":")[2].rstrip(".x") in _HEAD_WORDS]
    if heads:
        found["head"] = min(heads, key=len)
    return found


_NONE: Final = BoneMap(side="left", bones={})


@dataclass(frozen=True)
class Reached:
    """How an arm turns to put its wrist somewhere; T frames, world or armature axes as given."""

    upper: Array
    """(T, 3, 3) turn of the upper arm about the shoulder, on top of its pose"""
    lower: Array
    """(T, 3, 3) turn of the forearm about the elbow, on top of its pose"""
    short: Array
    """(T,) how far the wrist stays from where it should be"""


def reach(shoulder: Array, elbow: Array, wrist: Array, target: Array, bend: Array) -> Reached:
    """Turns that take a wrist (T, 3) to `target` (T, 3) with the elbow on the side where it is now.

    `bend` (T, 3) says where a straight arm's elbow goes.
    """
    a, b = np.linalg.norm(elbow - shoulder, axis=-1), np.linalg.norm(wrist - elbow, axis=-1)
    line, wanted = wrist - shoulder, target - shoulder
    distance = np.linalg.norm(wanted, axis=-1)
    kept = np.clip(distance, np.abs(a - b) + 1e-6, (a + b) * _STRETCH)
    along = wanted / np.maximum(distance, 1e-9)[:, None]
    turn = swings_between(line, wanted)
    side = (turn @ (elbow - shoulder)[..., None])[..., 0]
    side -= along * (side * along).sum(-1, keepdims=True)
    hint = bend - along * (bend * along).sum(-1, keepdims=True)
    # A nearly straight arm says little about its elbow's side: there the hint decides, and nothing jumps between.
    known = np.linalg.norm(side, axis=-1, keepdims=True) / (a + b)[:, None]
    hint /= np.maximum(np.linalg.norm(hint, axis=-1, keepdims=True), 1e-9)
    side = side / (a + b)[:, None] + hint * np.clip(0.1 - known, 0.0, 0.1)
    side /= np.maximum(np.linalg.norm(side, axis=-1, keepdims=True), 1e-9)
    x = (a * a - b * b + kept * kept) / (2.0 * kept)
    height = np.sqrt(np.maximum(a * a - x * x, 0.0))
    new_elbow = shoulder + along * x[:, None] + side * height[:, None]
    new_wrist = shoulder + along * kept[:, None]
    upper = swings_between(elbow - shoulder, new_elbow - shoulder)
    carried = (upper @ (wrist - elbow)[..., None])[..., 0]
    lower = swings_between(carried, new_wrist - new_elbow) @ upper
    return Reached(upper, lower, np.linalg.norm(target - new_wrist, axis=-1))


def swings_between(source: Array, target: Array) -> Array:
    """The smallest rotations (T, 3, 3) that turn vectors (T, 3) into the directions of others (T, 3)."""
    a = source / np.maximum(np.linalg.norm(source, axis=-1, keepdims=True), 1e-12)
    b = target / np.maximum(np.linalg.norm(target, axis=-1, keepdims=True), 1e-12)
    axis, cosine = np.cross(a, b), (a * b).sum(-1)
    sine = np.linalg.norm(axis, axis=-1)
    angle = np.arctan2(sine, cosine)
    out = rotations.matrix_from_vector(axis * (angle / np.where(sine > 1e-9, sine, 1.0))[:, None])
    for frame in np.flatnonzero((sine <= 1e-9) & (cosine < 0.0)):
        out[frame] = swing_between(a[frame], b[frame])
    return out


def twist_about(turn: Array, axis: Array) -> Array:
    """(T,) radians that rotations (T, 3, 3) turn about a unit axis (3,), unwrapped over time."""
    q = rotations.quaternion_from_matrix(turn)
    angle = 2.0 * np.arctan2(q[:, 1:] @ axis, q[:, 0])
    return np.unwrap((angle + np.pi) % (2.0 * np.pi) - np.pi)
