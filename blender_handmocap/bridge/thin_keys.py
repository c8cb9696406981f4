# SPDX-License-Identifier: GPL-3.0-or-later
"""Fewer keys on a rig that a take was put on; the take itself keeps every frame."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..engine import rotations
from ..engine.errors import BadInputError
from ..engine.hand.names import JOINT_COUNT
from ..engine.polish import thinning
from . import baked_keys, channels, hand_rig, rotation_modes
from .baked_keys import BAKED, Key
from .channels import BoneChannel
from .take_on_rig import FRAMES_MARK

Array = NDArray[np.float64]
Frames = NDArray[np.intp]

_ARM: Final = 0.09
"""metres: a place may be off by what the allowed turn moves at a palm's length"""


class Thinning(Enum):
    """How the frames that keep a key are found."""

    ERROR = "ERROR"
    """each bone has as few as its error allows"""
    TOGETHER = "TOGETHER"
    """the same, all fingers of a hand on the same frames"""
    POSES = "POSES"
    """holds and extremes, all fingers on the same frames"""


@dataclass(frozen=True)
class Thinned:
    """Keys before and after."""

    before: int
    after: int


def thin(armature: bpy.types.Object, how: Thinning, most: float, *, rate: float) -> Thinned:
    """Keep keys of what a take wrote on an armature so that nothing is off by more than `most` radians.

    Hand rigs and characters alike. Works on the keys as they are: put the take on again for more than there are.
    """
    times, names = _written(armature)
    groups = _groups(armature, names)
    before = after = 0
    for bones in groups:
        dense = {name: _dense(armature, name, times) for name in bones}
        kept = _kept(dense, times / rate, how, most)
        for name in bones:
            before += len(times) * dense[name].columns
            after += len(kept[name]) * dense[name].columns
            _write(armature, name, dense[name], times, kept[name])
    baked_keys.remember(armature, BAKED, names, times)
    return Thinned(before, after)


def _written(armature: bpy.types.Object) -> tuple[Array, list[str]]:
    """The scene frames and the bones a take was put on."""
    animation = armature.animation_data
    action = animation.action if animation is not None else None
    if action is not None and hand_rig.side_of(armature) is not None and FRAMES_MARK in action:
        names = hand_rig.bone_names(armature)[:JOINT_COUNT]
        frames = np.array(action[FRAMES_MARK], dtype=np.float64)
        keyed = _keyed_times(armature, names[0], frames)
        return keyed, names
    stored = baked_keys.recalled(armature, BAKED)
    if not stored:
        raise BadInputError(f"No take was put on {armature.name}; apply or bake one first.")
    times = np.unique(np.concatenate([entry.times for entry in stored.values()]))
    bones = dict.fromkeys(bone for key in stored if (bone := baked_keys.bone_of(key[0])) is not None)
    return times, [bone for bone in bones if bone in armature.pose.bones]


def _keyed_times(armature: bpy.types.Object, bone: str, frames: Array) -> Array:
    curves = baked_keys.curves_of(armature)
    path = armature.pose.bones[bone].path_from_id("location")
    curve = curves.get((path, 0))
    if curve is None or not len(curve.keyframe_points):
        raise BadInputError(f"{armature.name} has no keys of a take; apply one first.")
    first, last = curve.range()
    return frames[(frames >= first - 1e-3) & (frames <= last + 1e-3)]


def _groups(armature: bpy.types.Object, names: list[str]) -> list[list[str]]:
    """The bones of each hand: those that share a keyed hand, told by the ends of their names on a character."""
    if hand_rig.side_of(armature) is not None:
        return [names]
    left = [name for name in names if _is_left(name)]
    return [group for group in (left, [name for name in names if name not in left]) if group]


def _is_left(name: str) -> bool:
    words = name.replace(":", ".").replace("_", ".").split(".")
    return any(word in ("L", "l", "Left", "left") or word.startswith(("Left", "left")) for word in words) or (
        len(name) > 1 and name[0] == "l" and name[1].isupper()
    )


@dataclass(frozen=True)
class _Dense:
    """A bone's motion at every frame."""

    rotation: Array
    """(T, 4)"""
    location: Array | None
    """(T, 3)"""

    @property
    def columns(self) -> int:
        return 4 + (3 if self.location is not None else 0)


def _dense(armature: bpy.types.Object, name: str, times: Array) -> _Dense:
    path = armature.pose.bones[name].path_from_id("location")
    curves = baked_keys.curves_of(armature)
    location = None
    if any((path, axis) in curves for axis in range(3)):
        now = armature.pose.bones[name].location
        location = np.stack(
            [
                np.array([curves[path, axis].evaluate(time) for time in times])
                if (path, axis) in curves
                else np.full(len(times), now[axis])
                for axis in range(3)
            ],
            axis=-1,
        )
    rotation = baked_keys.rotations_at(armature, name, times)
    return _Dense(rotations.continuous(rotation), location)


def _kept(dense: dict[str, _Dense], time: Array, how: Thinning, most: float) -> dict[str, Frames]:
    curves = {
        name: [(bone.rotation, most), *([(bone.location, most * _ARM)] if bone.location is not None else [])]
        for name, bone in dense.items()
    }
    if how is Thinning.ERROR:
        return {name: thinning.keys_within(mine, time) for name, mine in curves.items()}
    if how is Thinning.TOGETHER:
        shared = thinning.keys_within([curve for mine in curves.values() for curve in mine], time)
    else:
        shared = thinning.poses(np.stack([bone.rotation for bone in dense.values()], axis=1), time)
    return dict.fromkeys(dense, shared)


def _write(armature: bpy.types.Object, name: str, dense: _Dense, times: Array, kept: Frames) -> None:
    bone = armature.pose.bones[name]
    span = (float(times[0]), float(times[-1]))
    whole = BoneChannel(name, dense.rotation[kept], None if dense.location is None else dense.location[kept])
    channels.write(armature, times[kept], [whole], interpolation="BEZIER", keep_range=span)
    path = bone.path_from_id(rotation_modes.data_path(bone.rotation_mode))
    values = rotation_modes.from_quaternions(dense.rotation, bone.rotation_mode)
    _give_slopes(armature, path, values, times, kept)
    if dense.location is not None:
        _give_slopes(armature, bone.path_from_id("location"), dense.location, times, kept)


def _give_slopes(armature: bpy.types.Object, path: str, values: Array, times: Array, kept: Frames) -> None:
    """Handles a third of the way to the neighbours, along the slope of the dense motion: exactly a cubic."""
    slope = thinning.slopes(values, times)[kept]
    curves = baked_keys.curves_of(armature)
    for index in range(values.shape[1]):
        key: Key = (path, index)
        if key in curves and not curves[key].lock:
            _shape(curves[key], times[kept], slope[:, index])


def _shape(curve: Any, times: Array, slope: Array) -> None:
    points = curve.keyframe_points
    co = np.empty(2 * len(points), np.float32)
    points.foreach_get("co", co)
    co = co.reshape(-1, 2).astype(np.float64)
    mine = np.abs(co[:, 0][:, None] - times).min(1) < 1e-3
    which = np.abs(co[mine, 0][:, None] - times).argmin(1)
    # A bone whose values changed sign on the way into the curve turns its slopes with them.
    left, right = np.empty_like(co), np.empty_like(co)
    for name, out in (("handle_left", left), ("handle_right", right)):
        flat = np.empty(2 * len(points), np.float32)
        points.foreach_get(name, flat)
        out[:] = flat.reshape(-1, 2)
    step = np.diff(times)
    before = np.concatenate([step[:1], step]) if len(step) else np.ones(1)
    after = np.concatenate([step, step[-1:]]) if len(step) else np.ones(1)
    left[mine] = co[mine] - np.stack([before[which], slope[which] * before[which]], axis=-1) / 3.0
    right[mine] = co[mine] + np.stack([after[which], slope[which] * after[which]], axis=-1) / 3.0
    kinds = {
        item.identifier: item.value for item in bpy.types.Keyframe.bl_rna.properties["handle_left_type"].enum_items
    }
    for name in ("handle_left_type", "handle_right_type"):
        kind = np.empty(len(points), np.int32)
        points.foreach_get(name, kind)
        kind[mine] = kinds["ALIGNED"]
        points.foreach_set(name, kind)
    points.foreach_set("handle_left", left.astype(np.float32).ravel())
    points.foreach_set("handle_right", right.astype(np.float32).ravel())
    curve.update()
