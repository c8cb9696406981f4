# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user changed on the hands after a take was applied: it becomes the take's corrections, never lost."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..engine import review, rotations
from ..engine.errors import BadInputError
from ..engine.hand.names import JOINT_COUNT, SIDES, Side
from ..engine.take import CorrectionKind, HandTrack, Take
from . import actions, baked_keys, camera_path, edit_layer, hand_rig, rotation_modes
from .hand_rig import HandRig
from .take_on_rig import FRAMES_MARK, bone_channels

Array = NDArray[np.float64]


class Changes(Enum):
    """What becomes of keys that were changed on the hands when their take is made anew."""

    CORRECT = "CORRECT"
    """they are corrections of the new take; frames around follow"""
    LAYER = "LAYER"
    """they lie over the new take, in a layer of their own"""
    ASK = "ASK"
    """nothing is done before the user has said"""


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

    Keys, and the layer of changes, count wherever they differ from the take; at the current frame also a pose that
    was not keyed.
    """
    changed: set[int] = set()
    for side, rig in rigs.items():
        for index, (turned, placed) in _changed_poses(take, side, rig, current_frame).items():
            take, count = review.posed(take, side, index, turned, placed)
            if count:
                changed.add(index)
    return take, len(changed)


def into_layer(take: Take, rigs: Mapping[Side, HandRig], current_frame: float) -> int:
    """Put everything that was changed on the rigs into a layer of its own; the number of frames changed."""
    count: set[int] = set()
    for side, rig in rigs.items():
        poses = {
            index: pose
            for index, pose in _changed_poses(take, side, rig, current_frame, layered=False).items()
            if review.posed(take, side, index, *pose)[1] and take.track(side).present[index]
        }
        if not poses:
            continue
        modes = {
            rig.armature.pose.bones[name].rotation_mode for name in hand_rig.bone_names(rig.armature)[:JOINT_COUNT]
        }
        if modes != {"QUATERNION"}:
            raise BadInputError(
                f"A layer needs bones that turn by quaternions, and some of {rig.armature.name} do not; "
                "set their rotation mode back, or let changes become corrections."
            )
        _write_layer(take, side, rig, poses)
        count |= set(poses)
    return len(count)


def _write_layer(take: Take, side: Side, rig: HandRig, poses: Mapping[int, tuple[Array, Array]]) -> None:
    frames, axes = frames_of(rig, take), hand_rig.rig_frames(rig.armature)
    placed = camera_path.in_world(take).track(side)
    own = bone_channels(placed, rig)
    row = np.cumsum(placed.present) - 1
    rotation = np.tile(rotations.IDENTITY, (len(frames), JOINT_COUNT, 1))
    place = np.zeros((len(frames), 3))
    changed = {joint: np.zeros(len(frames), dtype=bool) for joint in range(JOINT_COUNT + 1)}
    for index, (turned, where) in poses.items():
        fixed = review.posed(take, side, index, turned, where)[0].corrections
        mine = fixed[(fixed["frame"] == index) & (fixed["side"] == SIDES.index(side))]
        world = _in_world(take, index, turned, where)
        now, location = axes.bone_rotations(world[0]), axes.bone_location(world[1])
        for record in mine:
            if record["kind"] == CorrectionKind.ROTATION:
                joint = int(record["index"])
                was = own[joint].rotation[row[index]]
                rotation[index, joint] = rotations.multiply(now[joint], rotations.conjugate(was))
                changed[joint][index] = True
            elif record["kind"] == CorrectionKind.TRANSLATION:
                place[index] = location - own[0].location[row[index]]
                changed[JOINT_COUNT][index] = True
    edit_layer.write(rig, frames, rotation, place, changed)


def _in_world(take: Take, index: int, rotation: Array, translation: Array) -> tuple[Array, Array]:
    """A pose (16, 4), (3,) in the camera of a frame as the rigs show it."""
    track = HandTrack.absent(len(take))
    track.rotation[index], track.translation[index] = rotation, translation
    placed = camera_path.in_world(take.with_tracks(left=track)).left
    return placed.rotation[index], placed.translation[index]


def _changed_poses(
    take: Take, side: Side, rig: HandRig, current_frame: float, *, layered: bool = True
) -> dict[int, tuple[Array, Array]]:
    """Frame index -> pose (16, 4), (3,) in the frame's camera, wherever a rig may show another one than the take.

    `layered` False: what it would show without its layer of changes.
    """
    frames = frames_of(rig, take)
    rotation, translation = camera_path.seen_by_camera(take, *keyed_motion(rig, frames, layered=layered))
    present = take.track(side).present
    touched = _touched(rig, frames, layered=layered) & present
    poses = {int(i): (rotation[i], translation[i]) for i in np.flatnonzero(touched)}
    here = int(np.abs(frames - current_frame).argmin())
    now = (
        _posed_now(rig, current_frame, frames[here], layered=layered) if _is_near(frames[here], current_frame) else None
    )
    if now is not None:
        turned_now, placed_now = camera_path.seen_by_camera(take, *(values[None] for values in now), index=here)
        poses[here] = turned_now[0], placed_now[0]
    return poses


def _is_near(frame: float, current_frame: float) -> bool:
    return abs(frame - current_frame) <= 1.0


def _touched(rig: HandRig, frames: Array, *, layered: bool) -> NDArray[np.bool_]:
    """(T,) frames whose keys may have been changed: all, or where thinned keys are not what the thinning left."""
    stored = baked_keys.recalled(rig.armature, baked_keys.BAKED)
    if not stored:
        return np.ones(len(frames), dtype=bool)
    different = baked_keys.changed(rig.armature)
    times = np.concatenate([np.zeros(0), *different.values()])
    found = np.abs(frames[:, None] - times).min(1, initial=np.inf) < 1e-3
    if layered:
        turns, place = edit_layer.added(rig, frames)
        found |= (rotations.angle_between(turns, rotations.IDENTITY) > 0.0).any(1) | place.any(1)
    return np.asarray(found)


def keyed_motion(rig: HandRig, frames: Array, *, layered: bool = True) -> tuple[Array, Array]:
    """What the rig's keys and its layer say at frames (T,): a take's rotation (T, 16, 4) and translation (T, 3)."""
    names = hand_rig.bone_names(rig.armature)[:JOINT_COUNT]
    owner = actions.existing_channels(rig.armature)
    curves = {(c.data_path, c.array_index): c for c in owner.fcurves} if owner is not None else {}
    turns = np.empty((len(frames), JOINT_COUNT, 4))
    for joint, name in enumerate(names):
        bone = rig.armature.pose.bones[name]
        values = _values(curves, bone, rotation_modes.data_path(bone.rotation_mode), frames)
        turns[:, joint] = rotation_modes.to_quaternions(values, bone.rotation_mode)
    location = _values(curves, rig.armature.pose.bones[names[0]], "location", frames)
    if layered:
        layer, moved = edit_layer.added(rig, frames)
        turns, location = rotations.multiply(layer, turns), location + moved
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


def _pose_now(rig: HandRig, without_layer_at: float | None = None) -> tuple[Array, Array]:
    """The pose (16, 4), (3,) that is shown now; without what the layer adds at a frame, when one is given."""
    names = hand_rig.bone_names(rig.armature)[:JOINT_COUNT]
    bones = [rig.armature.pose.bones[name] for name in names]
    turns = np.array([bone.matrix_basis.to_quaternion() for bone in bones], dtype=np.float64)
    place = np.array(bones[0].location, dtype=np.float64)
    if without_layer_at is not None:
        layer, moved = edit_layer.added(rig, np.array([without_layer_at]))
        turns, place = rotations.multiply(rotations.conjugate(layer[0]), turns), place - moved[0]
    axes = hand_rig.rig_frames(rig.armature)
    return axes.take_rotations(turns), axes.take_translation(place)


def _posed_now(rig: HandRig, current_frame: float, take_frame: float, *, layered: bool) -> tuple[Array, Array] | None:
    """The pose (16, 4), (3,) of the take's frame nearest to the current one, with what was posed and not keyed.

    Only bones that show another pose than their keys have it from the view: a take's frame may lie between two scene
    frames, where the others are elsewhere. None when the keys show everything.
    """
    keyed, keyed_place = (values[0] for values in keyed_motion(rig, np.array([current_frame])))
    shown, shown_place = _pose_now(rig)
    turned = rotations.angle_between(shown, keyed) >= review.SAME_ROTATION
    is_moved = np.linalg.norm(shown_place - keyed_place) >= review.SAME_PLACE
    if not (turned.any() or is_moved):
        return None
    rotation, place = (values[0] for values in keyed_motion(rig, np.array([take_frame]), layered=layered))
    now, now_place = _pose_now(rig, None if layered else current_frame)
    return np.where(turned[:, None], now, rotation), now_place if is_moved else place
