# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bake wrote and what stood there before, kept in the action itself.

With it the next bake starts from the body's own motion instead of from the last bake's, and knows which keys the
user has changed since. Curves are told by data path and index, their values at the times of the bake.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..engine import rotations
from ..engine.errors import BadInputError
from ..engine.rigs.easing import eased_curve
from . import actions, channels, rotation_modes
from .channels import BoneChannel, ValueChannel

Array = NDArray[np.float64]
Key = tuple[str, int]
"""(data path, index)"""

BAKED: Final = "handmocap_baked"
BODY: Final = "handmocap_body"
"""Custom properties of an action."""
_SAME: Final = 2e-4
"""Values this near are the ones that were written; F-curves hold single precision."""
_EASE: Final = 0.15
"""seconds around a changed key in which the new motion leads over to it"""


class Edited(Enum):
    """What becomes of keys that were changed since the last bake."""

    ASK = "ASK"
    KEEP = "KEEP"
    REPLACE = "REPLACE"


@dataclass(frozen=True)
class Stored:
    """The values of one curve at some times."""

    times: Array
    values: Array
    """empty where there was no curve"""
    still: float | None = None
    """the property's own value; None in files that do not hold it"""


def _pack(numbers: Array) -> bytes:
    return zlib.compress(np.asarray(numbers, dtype=np.float32).tobytes())


def _unpack(data: bytes) -> Array:
    return np.frombuffer(zlib.decompress(data), np.float32).astype(np.float64)


def _action(armature: bpy.types.Object) -> bpy.types.Action | None:
    animation = armature.animation_data
    return None if animation is None else animation.action


def curves_of(armature: bpy.types.Object) -> dict[Key, bpy.types.FCurve]:
    """The F-curves of an armature's action."""
    owner = actions.existing_channels(armature)
    return {} if owner is None else {(curve.data_path, curve.array_index): curve for curve in owner.fcurves}


def remember(
    armature: bpy.types.Object, mark: str, bones: Iterable[str], times: Array, *, paths: Iterable[Key] = ()
) -> None:
    """Keep what some bones' rotations and locations are at times (T,), and the properties at `paths` of the armature.

    Adds to what is kept under the mark. A channel without a curve is remembered as such, with its value as it stands.
    """
    actions.channels(armature, f"{armature.name} Hands")
    action = _action(armature)
    kept = dict(action[mark]) if mark in action else {}
    curves = curves_of(armature)
    for key in [*(key for name in bones for key in _keys_of(armature.pose.bones[name])), *paths]:
        curve = curves.get(key)
        values = np.zeros(0) if curve is None else np.array([curve.evaluate(time) for time in times])
        kept[f"{key[0]}|{key[1]}"] = {
            "times": _pack(times),
            "values": _pack(values),
            "still": _value(armature, key),
        }
    if kept:
        action[mark] = kept


def _keys_of(bone: bpy.types.PoseBone) -> list[Key]:
    turn = rotation_modes.data_path(bone.rotation_mode)
    size = 4 if bone.rotation_mode in rotation_modes.DATA_PATHS else 3
    keys = [(bone.path_from_id(turn), index) for index in range(size)]
    return keys + [(bone.path_from_id("location"), index) for index in range(3)]


def recalled(armature: bpy.types.Object, mark: str) -> dict[Key, Stored]:
    """What is kept under a mark in the armature's action."""
    action = _action(armature)
    if action is None or mark not in action:
        return {}
    out = {}
    for name, entry in action[mark].items():
        path, _, index = name.rpartition("|")
        out[path, int(index)] = Stored(_unpack(entry["times"]), _unpack(entry["values"]), entry.get("still"))
    return out


def forget(armature: bpy.types.Object, mark: str) -> None:
    """Nothing is kept under the mark any more."""
    action = _action(armature)
    if action is not None and mark in action:
        del action[mark]


def restore_body(armature: bpy.types.Object) -> None:
    """Put back what the last bake found on the bones of the body."""
    owner = actions.existing_channels(armature)
    curves = curves_of(armature)
    for (path, index), stored in recalled(armature, BODY).items():
        if len(stored.values):
            channels.write(armature, stored.times, [ValueChannel(path, stored.values, index=index)])
        elif (path, index) in curves:
            owner.fcurves.remove(curves[path, index])
            # Without its curve a property would stay as the curve left it.
            if stored.still is not None:
                _set_value(armature, (path, index), stored.still)
    forget(armature, BODY)
    armature.update_tag()
    bpy.context.view_layer.update()


def _value(armature: bpy.types.Object, key: Key) -> float:
    found = armature.path_resolve(key[0])
    return float(found[key[1]] if hasattr(found, "__len__") else found)


def _set_value(armature: bpy.types.Object, key: Key, value: float) -> None:
    found = armature.path_resolve(key[0])
    if hasattr(found, "__len__"):
        found[key[1]] = value
        return
    owner, _, name = key[0].rpartition('["')
    custom = bpy.utils.unescape_identifier(name.removesuffix('"]'))
    bone = armature.path_resolve(owner)
    bone[custom] = type(bone[custom])(value)


def changed(armature: bpy.types.Object) -> dict[str, Array]:
    """Bone -> the times (n,) at which its keys are not what the last bake wrote."""
    stored = recalled(armature, BAKED)
    if not stored:
        return {}
    curves = curves_of(armature)
    found: dict[str, list[Array]] = {}
    for key, was in stored.items():
        curve = curves.get(key)
        if curve is None or not len(was.values):
            continue
        now = np.array([curve.evaluate(time) for time in was.times])
        bone = bone_of(key[0])
        different = was.times[np.abs(now - was.values) > _SAME * np.maximum(1.0, np.abs(was.values))]
        if bone is not None and len(different):
            found.setdefault(bone, []).append(different)
    return {bone: np.unique(np.concatenate(parts)) for bone, parts in found.items() if bone in armature.pose.bones}


def changed_poses(armature: bpy.types.Object) -> dict[str, tuple[Array, Array]]:
    """Bone -> the times (n,) of `changed` and what its keys say there, quaternions (n, 4)."""
    return {bone: (times, rotations_at(armature, bone, times)) for bone, times in changed(armature).items()}


def refuse_changed(armature: bpy.types.Object) -> None:
    """Ask, in one sentence, what is to become of changed keys."""
    found = changed(armature)
    if not found:
        return
    names = ", ".join(sorted(found)[:3]) + (" and others" if len(found) > 3 else "")
    frames = np.unique(np.concatenate(list(found.values())))
    raise BadInputError(
        f"Keys of {names} were changed since the last bake (frames {frames[0]:g} to {frames[-1]:g}); "
        "choose under Changed Keys whether to keep or replace them, then bake again."
    )


def rotations_at(armature: bpy.types.Object, bone: str, times: Array) -> Array:
    """(n, 4) what a bone's keys say at some times."""
    pose_bone = armature.pose.bones[bone]
    path = pose_bone.path_from_id(rotation_modes.data_path(pose_bone.rotation_mode))
    now = np.array(getattr(pose_bone, rotation_modes.data_path(pose_bone.rotation_mode)), dtype=np.float64)
    curves = curves_of(armature)
    columns = [
        np.array([curves[path, i].evaluate(time) for time in times])
        if (path, i) in curves
        else np.full(len(times), value)
        for i, value in enumerate(now)
    ]
    return rotation_modes.to_quaternions(np.stack(columns, axis=-1), pose_bone.rotation_mode)


def with_kept(
    items: Iterable[BoneChannel | ValueChannel], kept: Mapping[str, tuple[Array, Array]], times: Array, rate: float
) -> list[BoneChannel | ValueChannel]:
    """Channels at times (T,) that keep changed poses: bone -> (times (n,), quaternions (n, 4)).

    A kept pose stays exactly; the frames around lead over to it.
    """
    out: list[BoneChannel | ValueChannel] = []
    for item in items:
        if not isinstance(item, BoneChannel) or item.rotation is None or item.bone not in kept:
            out.append(item)
            continue
        when, poses = kept[item.bone]
        at = np.abs(times[None] - when[:, None]).argmin(1)
        near = np.abs(times[at] - when) < 0.5
        at, poses = at[near], poses[near]
        wanted, weight = np.zeros((len(times), 3)), np.zeros(len(times))
        wanted[at] = rotations.vector_from_quaternion(rotations.multiply(rotations.conjugate(item.rotation[at]), poses))
        weight[at] = 1.0
        eased = eased_curve(wanted, weight, times / rate, _EASE)
        turned = rotations.multiply(item.rotation, rotations.quaternion_from_vector(eased))
        turned[at] = poses
        out.append(BoneChannel(item.bone, rotations.continuous(turned), item.location))
    return out


def bone_of(path: str) -> str | None:
    """The bone that a data path belongs to."""
    if not path.startswith('pose.bones["'):
        return None
    name: Any = path[len('pose.bones["') : path.rindex('"]')]
    return bpy.utils.unescape_identifier(name)
