# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user changed on the hands after a take was applied: it becomes the take's corrections, never lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..engine import review
from ..engine.errors import BadInputError
from ..engine.hand.names import JOINT_COUNT, Side
from ..engine.take import Take
from . import actions, baked_keys, camera_path, hand_rig, rotation_modes
from .hand_rig import HandRig
from .take_on_rig import FRAMES_MARK

Array = NDArray[np.float64]


def frames_of(rig: HandRig, take: Take) -> Array:
    """The scene frames (T,) at which the take's frames were applied to a rig."""
    animation = rig.armature.animation_data
    action = animation.action if animation is not None else None
    if action is None or FRAMES_MARK not in action or len(action[FRAMES_MARK]) != len(take):
        raise BadInputError(f"{rig.armature.name} does not show the selected take; apply it first.")
    return np.array(action[FRAMES_MARK], dtype=np.float64)


def index_at(frames: Array, frame: float) -> int:
    """The take's frame nearest to a scene frame."""
    index = int(np.abs(frames - frame).argmin())
    if abs(frames[index] - frame) > 1.0:
        raise BadInputError(
            f"Frame {frame:g} lies outside the take ({frames[0]:g} to {frames[-1]:g}); go to one of its frames."
        )
    return index


def with_edits(take: Take, rigs: Mapping[Side, HandRig], current_frame: float) -> tuple[Take, int]:
    """The take with everything that was changed on the rigs as corrections, and the number of frames changed.

    Keys count wherever they differ from the take; at the current frame also a pose that was not keyed.
    """
    changed: set[int] = set()
    for side, rig in rigs.items():
        frames = frames_of(rig, take)
        rotation, translation = camera_path.seen_by_camera(take, *keyed_motion(rig, frames))
        present = take.track(side).present
        touched = _touched(rig, frames) & present
        poses = {int(i): (rotation[i], translation[i]) for i in np.flatnonzero(touched)}
        here = int(np.abs(frames - current_frame).argmin())
        if abs(frames[here] - current_frame) <= 1.0 and (present[here] or _is_posed(rig, frames[here])):
            now = (values[None] for values in _pose_now(rig))
            turned_now, placed_now = camera_path.seen_by_camera(take, *now, index=here)
            poses[here] = turned_now[0], placed_now[0]
        for index, (turned, placed) in poses.items():
            take, count = review.posed(take, side, index, turned, placed)
            if count:
                changed.add(index)
    return take, len(changed)


def _touched(rig: HandRig, frames: Array) -> NDArray[np.bool_]:
    """(T,) frames whose keys may have been changed: all, or where thinned keys are not what the thinning left."""
    stored = baked_keys.recalled(rig.armature, baked_keys.BAKED)
    if not stored:
        return np.ones(len(frames), dtype=bool)
    different = baked_keys.changed(rig.armature)
    times = np.concatenate([np.zeros(0), *different.values()])
    return (
        (np.abs(frames[:, None] - times).min(1, initial=np.inf) < 1e-3) if len(times) else np.zeros(len(frames), bool)
    )


def keyed_motion(rig: HandRig, frames: Array) -> tuple[Array, Array]:
    """What the rig's keys say at frames (T,): a take's rotation (T, 16, 4) and translation (T, 3)."""
    names = hand_rig.bone_names(rig.armature)[:JOINT_COUNT]
    owner = actions.existing_channels(rig.armature)
    curves = {(c.data_path, c.array_index): c for c in owner.fcurves} if owner is not None else {}
    turns = np.empty((len(frames), JOINT_COUNT, 4))
    for joint, name in enumerate(names):
        bone = rig.armature.pose.bones[name]
        values = _values(curves, bone, rotation_modes.data_path(bone.rotation_mode), frames)
        turns[:, joint] = rotation_modes.to_quaternions(values, bone.rotation_mode)
    location = _values(curves, rig.armature.pose.bones[names[0]], "location", frames)
    axes = hand_rig.rig_frames(rig.armature)
    return axes.take_rotations(turns), axes.take_translation(location)


def _values(curves: Mapping[tuple[str, int], Any], bone: bpy.types.PoseBone, name: str, frames: Array) -> Array:
    path, now = bone.path_from_id(name), np.array(getattr(bone, name), dtype=np.float64)
    columns = []
    for index, value in enumerate(now):
        curve = curves.get((path, index))
        still = np.full(len(frames), value)
        columns.append(still if curve is None else np.array([curve.evaluate(frame) for frame in frames]))
    return np.stack(columns, axis=-1)


def _pose_now(rig: HandRig) -> tuple[Array, Array]:
    names = hand_rig.bone_names(rig.armature)[:JOINT_COUNT]
    bones = [rig.armature.pose.bones[name] for name in names]
    turns = np.array([bone.matrix_basis.to_quaternion() for bone in bones], dtype=np.float64)
    axes = hand_rig.rig_frames(rig.armature)
    return axes.take_rotations(turns), axes.take_translation(np.array(bones[0].location, dtype=np.float64))


def _is_posed(rig: HandRig, frame: float) -> bool:
    """Whether the pose shown is another than the keys' at this frame."""
    rotation, translation = keyed_motion(rig, np.array([frame]))
    turned, placed = _pose_now(rig)
    same = review.rotations.angle_between(turned, rotation[0]).max() < review.SAME_ROTATION
    return not (same and np.linalg.norm(placed - translation[0]) < review.SAME_PLACE)
