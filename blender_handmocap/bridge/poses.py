# SPDX-License-Identifier: GPL-3.0-or-later
"""A single pose on a hand rig: shown, keyed at a frame, kept as an asset."""

from __future__ import annotations

from enum import Enum
from typing import Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..engine import rotations
from ..engine.hand.names import JOINT_COUNT, SIDES, Side
from ..engine.take import Take
from . import actions, channels, hand_rig, rotation_modes
from .channels import BoneChannel
from .hand_rig import HandRig

Array = NDArray[np.float64]

_MIRROR: Final = np.array([-1.0, 1.0, 1.0])


class PosedPart(Enum):
    """How much of a hand takes a pose."""

    FINGERS = "FINGERS"
    """the fingers; the wrist stays"""
    WRIST = "WRIST"
    """the fingers, and the wrist's rotation as the camera saw it"""
    PLACE = "PLACE"
    """the wrist's place as well"""


def seen_pose(take: Take, side: Side) -> tuple[Array, Array, bool]:
    """Rotation (16, 4), translation (3,) of a take's first frame for a side, and whether it is the other hand's.

    The mirror image of the other hand stands in for a hand that was not seen: one hand is enough to pose both.
    """
    other = next(name for name in SIDES if name != side)
    track = take.track(side)
    if track.present[0]:
        return track.rotation[0], track.translation[0], False
    track = take.track(other)
    return rotations.mirrored(track.rotation[0]), track.translation[0] * _MIRROR, True


def show(rig: HandRig, rotation: Array, translation: Array, part: PosedPart) -> None:
    """Pose a rig without keys: a take's rotation (16, 4) and translation (3,) metres."""
    bones = rig.armature.pose.bones
    for item in _channels(rig, rotation, translation, part):
        mode = bones[item.bone].rotation_mode
        value = rotation_modes.from_quaternions(item.rotation, mode)[0]
        setattr(bones[item.bone], rotation_modes.data_path(mode), value)
        if item.location is not None:
            bones[item.bone].location = item.location[0]


def key(rig: HandRig, frame: float, rotation: Array, translation: Array, part: PosedPart) -> None:
    """The same as keys at one frame of the rig's action."""
    items = _channels(rig, rotation, translation, part)
    channels.write(rig.armature, [frame], items, interpolation="BEZIER", action_name=rig.armature.name)


def is_keyed(rig: HandRig, scene: bpy.types.Scene) -> bool:
    """Whether a pose must be keyed to stay: the rig is animated, or Blender keys by itself."""
    animation = rig.armature.animation_data
    moved = animation is not None and (animation.action is not None or bool(animation.nla_tracks))
    return moved or scene.tool_settings.use_keyframe_insert_auto


def save_asset(rig: HandRig, name: str, *, with_wrist: bool) -> bpy.types.Action:
    """The pose a rig shows now as a pose asset of this file; the rig's own action stays."""
    animation = rig.armature.animation_data_create()
    before = animation.action, getattr(animation, "action_slot", None)
    shown = [(bone, bone.matrix_basis.copy()) for bone in rig.armature.pose.bones]
    names = hand_rig.bone_names(rig.armature)[:JOINT_COUNT]
    bones = [rig.armature.pose.bones[name] for name in names]
    turns = np.array([bone.matrix_basis.to_quaternion() for bone in bones], dtype=np.float64)[:, None]
    action = bpy.data.actions.new(name)
    try:
        actions.assign(rig.armature, action)
        items = [BoneChannel(bone, turns[i]) for i, bone in enumerate(names) if i or with_wrist]
        channels.write(rig.armature, [1.0], items)
    finally:
        animation.action = before[0]
        if before[1] is not None:
            animation.action_slot = before[1]
        for bone, matrix in shown:
            bone.matrix_basis = matrix
    action.asset_mark()
    action.asset_data.tags.new("HandMocap", skip_if_exists=True)
    action.asset_data.description = f"A pose of the {rig.side} hand"
    action.asset_generate_preview()
    return action


def _channels(rig: HandRig, rotation: Array, translation: Array, part: PosedPart) -> list[BoneChannel]:
    frames = hand_rig.rig_frames(rig.armature)
    names = hand_rig.bone_names(rig.armature)[:JOINT_COUNT]
    turned = frames.bone_rotations(rotation)
    items = [BoneChannel(name, turned[joint][None]) for joint, name in enumerate(names) if joint]
    if part is not PosedPart.FINGERS:
        place = frames.bone_location(translation)[None] if part is PosedPart.PLACE else None
        items.insert(0, BoneChannel(names[0], turned[0][None], place))
    return items
