# SPDX-License-Identifier: GPL-3.0-or-later
"""Channels to keys, in bulk: rotations and locations of bones, and single numbers, into the current action.

Only the written range changes: keys before its first and after its last frame stay with handles and all, as do other
channels. What the user locked (a bone's transform, an F-curve, a channel group) is not written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import bpy
import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import actions, rotation_modes

Array = NDArray[np.float64]
IntArray = NDArray[np.int32]


class KeyType(Enum):
    """How a key is marked in the Dope Sheet."""

    SEEN = "KEYFRAME"
    FILLED = "BREAKDOWN"
    CORRECTED = "EXTREME"


@dataclass(frozen=True)
class BoneChannel:
    """What one bone does over T frames, in its own axes."""

    bone: str
    rotation: Array | None = None
    """(T, 4) unit quaternions w,x,y,z"""
    location: Array | None = None
    """(T, 3) armature units"""


@dataclass(frozen=True)
class ValueChannel:
    """One animated number over T frames."""

    data_path: str
    values: Array
    """(T,)"""
    group: str = ""
    index: int = 0


@dataclass
class Written:
    """What a call wrote and what it left alone."""

    curves: int = 0
    keys: int = 0
    locked: list[str] = field(default_factory=list)
    """bones or channels with locks that were respected"""
    missing: list[str] = field(default_factory=list)
    """bones that the armature does not have"""


def write(
    animated: Any,
    frames: ArrayLike,
    items: Iterable[BoneChannel | ValueChannel],
    *,
    key_types: Iterable[KeyType] | None = None,
    interpolation: str = "LINEAR",
    keep_range: tuple[float, float] | None = None,
    action_name: str = "HandMocap",
) -> Written:
    """Key items at ascending `frames` (T,) (fractions allowed) in the action of an object or other datablock.

    `keep_range` widens the range whose old keys go to (first, last); by default it is that of `frames`. Use `LINEAR`
    for a key a frame: between sampled quaternions it is the most faithful and Blender need not fit handles.
    """
    written = Written()
    times = np.asarray(frames, dtype=np.float64)
    if len(times) == 0:
        return written
    first, last = keep_range or (float(times[0]), float(times[-1]))
    block = _Block(
        times=times,
        first=min(first, float(times[0])),
        last=max(last, float(times[-1])),
        types=_enum_values("type", [t.value for t in key_types] if key_types is not None else ["KEYFRAME"], len(times)),
        interpolation=_enum_values("interpolation", [interpolation], len(times)),
    )
    owner = _Owner(actions.channels(animated, action_name))
    for item in items:
        if isinstance(item, BoneChannel):
            _write_bone(animated, owner, block, item, written)
        else:
            owner.write(block, item.data_path, item.values[:, None], item.group, [item.index], written)
    return written


@dataclass(frozen=True)
class _Block:
    """What all written curves share."""

    times: Array
    first: float
    last: float
    types: IntArray
    interpolation: IntArray


class _Owner:
    """The F-curves and groups of an action or channelbag, looked up by dictionary: its own `find` is a linear scan."""

    def __init__(self, channels: Any) -> None:
        self._channels = channels
        self._curves = {(curve.data_path, curve.array_index): curve for curve in channels.fcurves}
        self._groups = {group.name: group for group in channels.groups}

    def before(self, block: _Block, data_path: str, size: int) -> Array | None:
        """The last values (size,) keyed before the block, None unless every component has some."""
        values = np.empty(size)
        for index in range(size):
            curve = self._curves.get((data_path, index))
            if curve is None or not len(curve.keyframe_points) or curve.keyframe_points[0].co[0] >= block.first:
                return None
            values[index] = curve.evaluate(np.nextafter(np.float32(block.first), np.float32(-np.inf)))
        return values

    def write(
        self, block: _Block, data_path: str, values: Array, group: str, indices: Iterable[int], written: Written
    ) -> None:
        """Key the columns of values (T, n) as components `indices` of a property."""
        for column, index in enumerate(indices):
            curve = self._curves.get((data_path, index)) or self._new(data_path, index, group)
            if curve.lock or (curve.group is not None and curve.group.lock):
                written.locked.append(f"{data_path}[{index}]")
                continue
            _write_curve(curve, block, values[:, column])
            written.curves += 1
            written.keys += len(block.times)

    def _new(self, data_path: str, index: int, group: str) -> bpy.types.FCurve:
        curve = self._channels.fcurves.new(data_path, index=index)
        self._curves[data_path, index] = curve
        if group:
            if group not in self._groups:
                self._groups[group] = self._channels.groups.new(group)
            curve.group = self._groups[group]
        return curve


def _write_bone(animated: Any, owner: _Owner, block: _Block, item: BoneChannel, written: Written) -> None:
    bone = animated.pose.bones.get(item.bone)
    if bone is None:
        written.missing.append(item.bone)
        return
    if item.rotation is not None:
        _write_rotation(bone, owner, block, item.rotation, written)
    if item.location is not None:
        free = [axis for axis in range(3) if not bone.lock_location[axis]]
        if len(free) < 3:
            written.locked.append(bone.name)
        owner.write(block, bone.path_from_id("location"), item.location[:, free], bone.name, free, written)


def _write_rotation(bone: bpy.types.PoseBone, owner: _Owner, block: _Block, rotation: Array, written: Written) -> None:
    mode = bone.rotation_mode
    path = bone.path_from_id(rotation_modes.data_path(mode))
    size = 4 if mode in rotation_modes.DATA_PATHS else 3
    free = list(range(size))
    locks = list(bone.lock_rotation)
    if any(locks) or (size == 4 and bone.lock_rotations_4d and bone.lock_rotation_w):
        written.locked.append(bone.name)
        if all(locks):
            return
        if size == 3:
            free = [axis for axis in range(3) if not locks[axis]]
        elif bone.lock_rotations_4d:
            free = [axis for axis, lock in enumerate([bone.lock_rotation_w, *locks]) if not lock]
        else:
            rotation = _with_locked_angles(bone, rotation, locks)
    values = rotation_modes.from_quaternions(rotation, mode, before=owner.before(block, path, size))
    owner.write(block, path, values[:, free], bone.name, free, written)


def _with_locked_angles(bone: bpy.types.PoseBone, rotation: Array, locks: list[bool]) -> Array:
    """Rotations whose locked angles are the bone's present ones: what Blender does when one rotates such a bone."""
    mode = bone.rotation_mode
    now = rotation_modes.to_quaternions(np.array(getattr(bone, rotation_modes.data_path(mode)))[None], mode)
    present = rotation_modes.from_quaternions(now, "XYZ")[0]
    angles = rotation_modes.from_quaternions(rotation, "XYZ")
    angles[:, locks] = present[locks]
    return rotation_modes.to_quaternions(angles, "XYZ")


def _enum_values(property_name: str, names: list[str], count: int) -> IntArray:
    values = {item.identifier: item.value for item in bpy.types.Keyframe.bl_rna.properties[property_name].enum_items}
    numbers = np.array([values[name] for name in names], np.int32)
    return np.full(count, numbers[0], np.int32) if len(numbers) == 1 else numbers


_KEPT: Final = (
    # property, numbers a key, type: all that makes a key what it is
    ("co", 2, np.float32),
    ("handle_left", 2, np.float32),
    ("handle_right", 2, np.float32),
    ("amplitude", 1, np.float32),
    ("back", 1, np.float32),
    ("period", 1, np.float32),
    ("interpolation", 1, np.int32),
    ("easing", 1, np.int32),
    ("handle_left_type", 1, np.int32),
    ("handle_right_type", 1, np.int32),
    ("type", 1, np.int32),
)


def _write_curve(curve: bpy.types.FCurve, block: _Block, values: Array) -> None:
    points = curve.keyframe_points
    co = np.column_stack([block.times, values]).astype(np.float32)
    head, tail = _outside(points, block) if len(points) else ({}, {})
    before = len(head["co"]) if head else 0
    after = len(tail["co"]) if tail else 0
    points.clear()
    points.add(before + len(co) + after)
    if not before + after:
        points.foreach_set("co", co.ravel())
        points.foreach_set("interpolation", block.interpolation)
        if block.types.any():
            points.foreach_set("type", block.types)
        curve.update()
        return
    written = {"co": co, "interpolation": block.interpolation, "type": block.types}
    for name, width, dtype in _KEPT:
        data = np.empty((len(points), width), dtype)
        points.foreach_get(name, data.ravel())
        data[:before], data[before + len(co) :] = head[name], tail[name]
        if name in written:
            data[before : before + len(co)] = written[name].reshape(-1, width)
        elif name.startswith("handle_") and width == 2:
            data[before : before + len(co)] = co
        points.foreach_set(name, data.ravel())
    curve.update()


def _outside(points: Any, block: _Block) -> tuple[dict[str, Any], dict[str, Any]]:
    """All there is to know of the keys before and after the block."""
    kept = {}
    for name, width, dtype in _KEPT:
        data = np.empty((len(points), width), dtype)
        points.foreach_get(name, data.ravel())
        kept[name] = data
    times = kept["co"][:, 0]
    before = times < np.float32(block.first)
    after = times > np.float32(block.last)
    return {n: d[before] for n, d in kept.items()}, {n: d[after] for n, d in kept.items()}
