# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user changed on a hand as an NLA layer of its own, which stays when the take under it is replaced.

The layer lies in a strip beneath the take's action, and the action is combined with it: a bone shows layer * take,
a place layer + take, Euler angles likewise. The strip says something of every bone at every time (nothing but where
it was changed), so that strips further down show through no more than they do without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..engine import rotations
from ..engine.hand.names import JOINT_COUNT
from ..engine.rigs.easing import ramp
from . import actions, channels, hand_rig, rotation_modes, timing
from .channels import BoneChannel
from .hand_rig import HandRig

Array = NDArray[np.float64]

TRACK: Final = "HandMocap Edits"
_EASE: Final = 0.2
"""seconds around a changed frame in which the layer comes and goes"""


def write(rig: HandRig, frames: Array, rotation: Array, place: Array, changed: Mapping[int, NDArray[np.bool_]]) -> None:
    """Put changes into a hand's layer, beside what it adds already, at scene frames (T,).

    rotation (T, 16, 4) and place (T, 3) of the wrist, in the bones' own axes, are what was changed about the take
    alone; they count where `changed`, joint -> (T,), says so (joint JOINT_COUNT is the wrist's place), and are led
    over to around.
    """
    layer, moved_before = added(rig, frames)
    remove(rig.armature)
    armature, names = rig.armature, hand_rig.bone_names(rig.armature)[:JOINT_COUNT]
    seconds = frames / timing.scene_rate(bpy.context.scene)
    items: list[BoneChannel] = []
    for joint, name in enumerate(names):
        here = changed.get(joint, np.zeros(len(frames), bool))
        turn = _led_over(rotations.vector_from_quaternion(rotation[:, joint]), here, seconds)
        moved = _led_over(place, changed.get(JOINT_COUNT, np.zeros(len(frames), bool)), seconds) if joint == 0 else None
        total = rotations.multiply(layer[:, joint], rotations.quaternion_from_vector(turn))
        place_total = None if moved is None else moved_before + moved
        items.append(BoneChannel(name, rotations.continuous(total), place_total))
    animation = armature.animation_data
    before = animation.action, getattr(animation, "action_slot", None)
    action = bpy.data.actions.new(f"{armature.name} Edits")
    try:
        actions.assign(armature, action)
        channels.write(armature, frames, items)
        slot = getattr(animation, "action_slot", None)
    finally:
        animation.action = before[0]
        if before[1] is not None:
            animation.action_slot = before[1]
    track = animation.nla_tracks.new()
    track.name = TRACK
    strip = track.strips.new(TRACK, int(np.floor(frames[0])), action)
    if actions.HAS_SLOTS:
        strip.action_slot = slot
    strip.blend_type, strip.extrapolation = "REPLACE", "HOLD"
    animation.action_blend_type = "COMBINE"


def _take_name(armature: bpy.types.Object) -> str:
    action = armature.animation_data.action
    return armature.name if action is None else action.name


def _led_over(wanted: Array, changed: NDArray[np.bool_], seconds: Array) -> Array:
    """(T, 3) exactly what is wanted where it was changed, and nothing farther away than it takes to ease."""
    if not changed.any():
        return np.zeros_like(wanted)
    at = seconds[changed]
    between = np.stack([np.interp(seconds, at, wanted[changed, axis]) for axis in range(3)], axis=-1)
    return between * ramp(changed, seconds, _EASE)[:, None]


def remove(armature: bpy.types.Object) -> None:
    """Take the layer away; the action plays by itself again."""
    animation = armature.animation_data
    track = _track(armature)
    if track is None:
        return
    layers = [strip.action for strip in track.strips if strip.action is not None]
    animation.nla_tracks.remove(track)
    animation.action_blend_type = "REPLACE"
    for action in layers:
        if not action.users:
            bpy.data.actions.remove(action)


def put_away(armature: bpy.types.Object) -> None:
    """Let the layer rest, muted and under another name: the take it belongs to is no longer shown."""
    track = _track(armature)
    if track is not None:
        track.name, track.mute = f"{TRACK} of {_take_name(armature)}", True
        armature.animation_data.action_blend_type = "REPLACE"


def shown(armature: bpy.types.Object) -> bool:
    """Whether a hand shows a layer of changes."""
    track = _track(armature)
    return track is not None and not track.mute and bool(track.strips)


def added(rig: HandRig, frames: Array) -> tuple[Array, Array]:
    """What the layer adds at scene frames (T,): rotation (T, 16, 4) and place (T, 3), in the bones' own axes."""
    turns = np.tile(rotations.IDENTITY, (len(frames), JOINT_COUNT, 1))
    place = np.zeros((len(frames), 3))
    if not shown(rig.armature):
        return turns, place
    curves = _curves(rig.armature)
    for joint, name in enumerate(hand_rig.bone_names(rig.armature)[:JOINT_COUNT]):
        bone = rig.armature.pose.bones[name]
        mode = bone.rotation_mode
        size = 4 if mode in rotation_modes.DATA_PATHS else 3
        path = bone.path_from_id(rotation_modes.data_path(mode))
        if (path, 0) in curves:
            values = np.stack([_values(curves[path, i], frames) for i in range(size)], axis=-1)
            turns[:, joint] = rotation_modes.to_quaternions(values, mode)
        path = bone.path_from_id("location")
        if joint == 0 and (path, 0) in curves:
            place = np.stack([_values(curves[path, axis], frames) for axis in range(3)], axis=-1)
    return turns, place


def _values(curve: Any, frames: Array) -> Array:
    return np.array([curve.evaluate(frame) for frame in frames])


def _curves(armature: bpy.types.Object) -> dict[tuple[str, int], Any]:
    track = _track(armature)
    strip = track.strips[0] if track is not None and track.strips else None
    if strip is None or strip.action is None:
        return {}
    owner: Any = strip.action
    if actions.HAS_SLOTS:
        owner = strip.action.layers[0].strips[0].channelbag(strip.action_slot)
    return {} if owner is None else {(curve.data_path, curve.array_index): curve for curve in owner.fcurves}


def _track(armature: bpy.types.Object) -> Any | None:
    animation = armature.animation_data
    if animation is None:
        return None
    return next((track for track in animation.nla_tracks if track.name == TRACK), None)
