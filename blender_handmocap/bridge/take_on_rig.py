# SPDX-License-Identifier: GPL-3.0-or-later
"""A Take onto hand rigs: one action a take, with a slot a side where Blender has slots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import bpy
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..engine.hand.names import JOINT_COUNT, SIDE_SUFFIX, Side
from ..engine.take import HandTrack, State, Take
from . import actions, channels, hand_rig, rotation_modes
from .channels import BoneChannel, KeyType, ValueChannel, Written
from .hand_rig import HandRig

Array = NDArray[np.float64]

CONFIDENCE: Final = "confidence"
"""Custom property of a hand's armature object that carries the take's confidence as an F-curve."""
TAKE_MARK: Final = "handmocap_take"
"""Custom property of an action: the take it was made from."""
FRAMES_MARK: Final = "handmocap_frames"
"""Custom property of an action: the scene frame of each of the take's frames."""

PASSING_MARK: Final = "handmocap_passing"
"""Custom property of an action: it holds only the first seconds of a take that is still being captured."""

_KEY_TYPES: Final = {
    State.SEEN: KeyType.SEEN,
    State.FILLED: KeyType.FILLED,
    State.CORRECTED: KeyType.CORRECTED,
}


def apply(
    take: Take,
    rigs: Mapping[Side, HandRig],
    frames: ArrayLike,
    *,
    name: str,
    push_down: bool = False,
    keep_shape: bool = False,
    passing: bool = False,
) -> dict[Side, Written]:
    """Key a take on rigs at scene frames (T,), in new actions named after it, and give the rigs its shape.

    Frames in which a hand is absent get no keys. What animated a rig before stays in the file; with `push_down` it
    goes on playing from an NLA strip under the new action. A `passing` take is marked for `drop_passing`.
    """
    times = np.asarray(frames, dtype=np.float64)
    written: dict[Side, Written] = {}
    shared = bpy.data.actions.new(name) if actions.HAS_SLOTS else None
    for side, rig in rigs.items():
        if push_down:
            actions.push_down(rig.armature)
        action = shared or bpy.data.actions.new(f"{name}.{SIDE_SUFFIX[side]}")
        action.use_fake_user = True
        action[TAKE_MARK], action[FRAMES_MARK] = name, times.tolist()
        if passing:
            action[PASSING_MARK] = True
        actions.assign(rig.armature, action, slot=f"Hand.{SIDE_SUFFIX[side]}")
        if not keep_shape:
            hand_rig.reshape(rig.armature, betas=take.betas, size=take.size)
        written[side] = _key(take.track(side), rig, times)
    return written


def is_nobodys_work(action: bpy.types.Action | None) -> bool:
    """Whether an action is none, or holds only the first seconds of a take that is still being captured."""
    return action is None or PASSING_MARK in action


def drop_passing(rigs: Iterable[HandRig]) -> bool:
    """Remove the actions of a take of first seconds; whether there were any."""
    animations = [rig.armature.animation_data for rig in rigs]
    passing = {a.action for a in animations if a is not None and a.action is not None and PASSING_MARK in a.action}
    for action in passing:
        bpy.data.actions.remove(action)
    return bool(passing)


def _key(track: HandTrack, rig: HandRig, times: Array) -> Written:
    present = track.present
    armature = rig.armature
    _declare_confidence(armature)
    items: list[BoneChannel | ValueChannel] = list(bone_channels(track, rig))
    types = [_KEY_TYPES[State(state)] for state in track.state[present]]
    written = channels.write(armature, times[present], items, key_types=types)
    # What a user has fixed is beyond doubt.
    sure = np.where(track.state == State.CORRECTED, 1.0, np.where(present, track.confidence, 0.0))
    confidence = ValueChannel(f'["{CONFIDENCE}"]', sure, group="HandMocap")
    channels.write(armature, times, [confidence])
    return written


def bone_channels(track: HandTrack, rig: HandRig) -> list[BoneChannel]:
    """Channels of the frames in which the hand is present, in the axes of the rig's own bones."""
    frames = hand_rig.rig_frames(rig.armature)
    names = hand_rig.bone_names(rig.armature)[:JOINT_COUNT]
    rotation = frames.bone_rotations(track.rotation[track.present])
    location = frames.bone_location(track.translation[track.present])
    return [BoneChannel(name, rotation[:, joint], location if joint == 0 else None) for joint, name in enumerate(names)]


def show_pose(rig: HandRig, rotation: ArrayLike, translation: ArrayLike) -> None:
    """Pose a rig without keys: a take's rotation (16, 4) and translation (3,) metres."""
    frames = hand_rig.rig_frames(rig.armature)
    names = hand_rig.bone_names(rig.armature)[:JOINT_COUNT]
    bones = rig.armature.pose.bones
    for name, quaternion in zip(names, frames.bone_rotations(rotation), strict=True):
        mode = bones[name].rotation_mode
        values = rotation_modes.from_quaternions(quaternion[None], mode)[0]
        setattr(bones[name], rotation_modes.data_path(mode), values)
    bones[names[0]].location = frames.bone_location(translation)


def _declare_confidence(armature: bpy.types.Object) -> None:
    if CONFIDENCE in armature:
        return
    armature[CONFIDENCE] = 0.0
    armature.id_properties_ui(CONFIDENCE).update(
        min=0.0, max=1.0, description="How sure HandMocap is of this hand, 0 to 1"
    )
