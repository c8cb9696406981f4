# SPDX-License-Identifier: GPL-3.0-or-later
"""A take onto a character's own armature, whatever its rest pose, scale, rotation modes and other animation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import ArrayLike, NDArray

from ..engine import rotations
from ..engine.errors import BadInputError
from ..engine.hand.free import free_hand
from ..engine.hand.names import SIDES, Side
from ..engine.rigs.detect import Detection, detect
from ..engine.rigs.preset import BoneMap, RigPreset, filled
from ..engine.rigs.presets import PRESETS
from ..engine.rigs.retarget import HandFit, finger_rotations, fit_hand
from ..engine.rigs.skeleton import RestSkeleton
from ..engine.take import HandTrack, State, Take
from . import actions, channels, rest_skeleton
from .channels import BoneChannel, KeyType, ValueChannel, Written
from .frames import WORLD_FROM_CAMERA

Array = NDArray[np.float64]

_KEY_TYPES: Final = {State.SEEN: KeyType.SEEN, State.FILLED: KeyType.FILLED, State.CORRECTED: KeyType.CORRECTED}


class Reach(Enum):
    """How much of the hand the character takes over."""

    FINGERS = "FINGERS"
    """the fingers alone; the wrist stays with whatever animates it"""
    WRIST = "WRIST"
    """the fingers and the rotation of the wrist in the world"""


@dataclass
class Baked:
    """What a bake wrote."""

    written: dict[Side, Written] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """sentences for the user"""


def recognise(armature: bpy.types.Object) -> Detection | None:
    """The preset that fits an armature best, or a guess; None when it has no hands that can be told."""
    found = detect(rest_skeleton.read(armature))
    return found[0] if found else None


def bake(
    scene: bpy.types.Scene,
    take: Take,
    armature: bpy.types.Object,
    maps: Mapping[Side, BoneMap],
    frames: ArrayLike,
    *,
    reach: Reach = Reach.FINGERS,
) -> Baked:
    """Key a take on the mapped bones at scene frames (T,), in the armature's current action.

    Only mapped bones change, and only in the range of the keys. Controls that would bend the fingers a second time
    are set to rest there, and for the wrist the rig's switch from IK to FK is keyed.
    """
    skeleton = rest_skeleton.read(armature)
    times = np.asarray(frames, dtype=np.float64)
    baked = Baked()
    for side in SIDES:
        track = take.track(side)
        if side not in maps or not maps[side].bones or not track.present.any():
            continue
        gone = [name for name in maps[side].bones.values() if name not in skeleton.index]
        if gone:
            raise BadInputError(f"{armature.name} has no bone {gone[0]}; choose another in the bone list.")
        fit = fit_hand(skeleton, maps[side], free_hand(side))
        baked.written[side] = _bake_side(scene, track, armature, skeleton, maps[side], fit, times, reach)
        _note(baked, side, maps[side])
    if not baked.written:
        raise BadInputError("The take holds no hand that the character has bones for; choose them in the bone list.")
    return baked


def _bake_side(
    scene: bpy.types.Scene,
    track: HandTrack,
    armature: bpy.types.Object,
    skeleton: RestSkeleton,
    bones: BoneMap,
    fit: HandFit,
    times: Array,
    reach: Reach,
) -> Written:
    present = track.present
    rotation, shown = track.rotation[present], times[present]
    turns = dict(finger_rotations(skeleton, bones, fit, rotation).rotation)
    preset = next((preset for preset in PRESETS if preset.name == bones.preset), None)
    items: list[BoneChannel | ValueChannel] = []
    if reach is Reach.WRIST:
        turns[bones.bones["wrist"]] = _wrist_turns(scene, armature, skeleton, bones, fit, rotation, shown)
        items += _switches(armature, preset, bones.side, len(shown))
    items += [BoneChannel(name, turn) for name, turn in turns.items()]
    types = [_KEY_TYPES[State(state)] for state in track.state[present]]
    written = channels.write(armature, shown, items, key_types=types, action_name=f"{armature.name} Hands")
    _neutralise(armature, preset, bones.side, shown)
    return written


def _wrist_turns(
    scene: bpy.types.Scene,
    armature: bpy.types.Object,
    skeleton: RestSkeleton,
    bones: BoneMap,
    fit: HandFit,
    rotation: Array,
    times: Array,
) -> Array:
    """(T, 4) the wrist bone's rotation that turns the hand in the world as it was seen, whatever carries the bone."""
    name = bones.bones["wrist"]
    rest = skeleton.axes[skeleton.index[name]]
    seen = WORLD_FROM_CAMERA @ rotations.matrix_from_quaternion(rotation[:, 0])
    world, carried = _carriers(scene, armature, name, times)
    wanted = np.swapaxes(world, -1, -2) @ seen @ fit.palm.T @ rest
    return rotations.continuous(rotations.quaternion_from_matrix(np.swapaxes(carried, -1, -2) @ wanted))


def _carriers(scene: bpy.types.Scene, armature: bpy.types.Object, name: str, times: Array) -> tuple[Array, Array]:
    """The armature's world rotation and the bone's rotation before its own (armature space), each (T, 3, 3)."""
    if not _moves(armature):
        world, carried = _carrier(armature, name)
        return np.broadcast_to(world, (len(times), 3, 3)), np.broadcast_to(carried, (len(times), 3, 3))
    current = scene.frame_current, scene.frame_subframe
    worlds, carries = [], []
    for time in times:
        whole = int(np.floor(time))
        scene.frame_set(whole, subframe=float(time - whole))
        world, carried = _carrier(armature, name)
        worlds.append(world)
        carries.append(carried)
    scene.frame_set(current[0], subframe=current[1])
    return np.array(worlds), np.array(carries)


def _carrier(armature: bpy.types.Object, name: str) -> tuple[Array, Array]:
    evaluated = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
    bone = evaluated.pose.bones[name]
    rest = bone.bone.matrix_local
    if bone.parent is None or not bone.bone.use_inherit_rotation:
        carried = rest
    else:
        carried = bone.parent.matrix @ bone.parent.bone.matrix_local.inverted() @ rest
    return _rotation(evaluated.matrix_world), _rotation(carried)


def _rotation(matrix: Matrix) -> Array:
    return rotations.nearest_rotation(np.array(matrix.to_3x3(), dtype=np.float64))


def _moves(armature: bpy.types.Object) -> bool:
    """Whether anything may carry the wrist along over time."""
    objects = [armature]
    while objects[-1].parent is not None:
        objects.append(objects[-1].parent)
    animated = any(
        obj.animation_data is not None
        and (obj.animation_data.action is not None or obj.animation_data.nla_tracks or obj.animation_data.drivers)
        for obj in objects
    )
    return animated or any(obj.constraints for obj in objects) or any(b.constraints for b in armature.pose.bones)


def _switches(armature: bpy.types.Object, preset: RigPreset | None, side: Side, count: int) -> list[ValueChannel]:
    """Custom properties that must be keyed for the mapped bones to show, such as Rigify's IK_FK."""
    items = []
    for pattern, (name, value) in (preset.switches if preset is not None else {}).items():
        bone = armature.pose.bones.get(filled(pattern, side))
        if bone is not None and name in bone:
            path = f'{bone.path_from_id()}["{bpy.utils.escape_identifier(name)}"]'
            items.append(ValueChannel(path, np.full(count, value), group=bone.name))
    return items


def _neutralise(armature: bpy.types.Object, preset: RigPreset | None, side: Side, times: Array) -> None:
    """Rest, over the range, for controls that bend the fingers a second time; nothing where they are at rest anyway."""
    owner = actions.existing_channels(armature)
    for pattern in preset.hold_neutral if preset is not None else ():
        bone = armature.pose.bones.get(filled(pattern, side))
        if bone is None:
            continue
        animated = owner is not None and any(curve.data_path.startswith(bone.path_from_id()) for curve in owner.fcurves)
        bone.matrix_basis = Matrix.Identity(4)
        if animated:
            ends = times[[0, -1]] if len(times) > 1 else times
            still = np.tile(rotations.IDENTITY, (len(ends), 1))
            scale = bone.path_from_id("scale")
            items: list[BoneChannel | ValueChannel] = [BoneChannel(bone.name, still)]
            items += [ValueChannel(scale, np.ones(len(ends)), bone.name, axis) for axis in range(3)]
            channels.write(armature, ends, items)


def _note(baked: Baked, side: Side, bones: BoneMap) -> None:
    if bones.missing:
        baked.notes.append(f"The {side} hand has no {', '.join(bones.missing)}; the rest was baked.")
    written = baked.written[side]
    if written.locked:
        baked.notes.append(f"Locked and left alone: {', '.join(sorted(set(written.locked))[:4])}.")
