# SPDX-License-Identifier: GPL-3.0-or-later
"""A take's rotations on another skeleton: world-space deltas from matched flat poses.

The rig's rest pose may be anything: T pose, A pose, bent fingers, any bone rolls. For each
hand a palm frame is read from its knuckles, and every finger bone is swung from where it
rests to where it points in our flat hand. From that matched flat pose on, a rig bone turns
exactly as our joint does, so twist survives and a thumbs-up is a thumbs-up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..errors import BadInputError
from ..hand.model import HandModel
from ..hand.names import FINGERS, JOINT_COUNT, JOINT_NAMES, JOINT_PARENTS, TIP_JOINTS, Side
from .preset import BoneMap
from .skeleton import RestSkeleton

Array = NDArray[np.float64]

_KNUCKLES: Final = tuple(f"{finger}1" for finger in FINGERS if finger != "thumb")


@dataclass(frozen=True)
class HandFit:
    """How our flat hand lies in a rig's rest pose."""

    side: Side
    palm: Array
    """(3, 3) canonical axes of the hand to armature space at rest"""
    swing: Mapping[str, Array]
    """role -> (3, 3) in canonical axes: from the rig's rest direction to the flat hand's"""
    scale: float
    """armature units a metre of the model's own size: wrist to knuckles, there and here"""


@dataclass(frozen=True)
class BoneRotations:
    """What to key: rotations in each bone's own rest axes (Blender's pose basis)."""

    rotation: Mapping[str, Array]
    """bone name -> (T, 4) unit quaternions w,x,y,z, sign-continuous"""


def fit_hand(skeleton: RestSkeleton, bones: BoneMap, model: HandModel) -> HandFit:
    """Read the palm frame and the swings of every mapped finger bone.

    A hand needs its wrist and at least two knuckles; without them it is refused in one sentence.
    """
    at = {role: skeleton.index[name] for role, name in bones.bones.items()}
    knuckles = [role for role in _KNUCKLES if role in at]
    if "wrist" not in at or len(knuckles) < 2:
        raise BadInputError(
            f"The rig's {bones.side} hand cannot be mapped: it needs a wrist and the first bones of two fingers; "
            "choose them in the bone list."
        )
    rest = model.rest()
    ours = {name: rest.joints[JOINT_NAMES.index(name)] for name in ("wrist", *knuckles)}
    theirs = {name: skeleton.heads[at[name]] for name in ("wrist", *knuckles)}
    # Thumb roots sit too differently from rig to rig to help with the palm.
    source = np.array([ours[name] - ours["wrist"] for name in knuckles])
    target = np.array([theirs[name] - theirs["wrist"] for name in knuckles])
    scale = float(np.linalg.norm(target, axis=1).mean() / np.linalg.norm(source, axis=1).mean())
    palm = _palm_frame(target, knuckles, bones.side) @ _palm_frame(source, knuckles, bones.side).T
    swing = {}
    for role, bone in at.items():
        if role == "wrist" or role not in JOINT_NAMES:
            continue
        flat = _flat_direction(model, role)
        resting = palm.T @ _rest_direction(skeleton, at, role, bone)
        swing[role] = swing_between(resting, flat)
    return HandFit(side=bones.side, palm=palm, swing=swing, scale=scale)


def _palm_frame(knuckles: Array, names: list[str], side: Side) -> Array:
    """(3, 3) columns: away from the fingers, out of the back of the hand, towards the thumb; from knuckles (N, 3)
    relative to the wrist, in index-to-pinky order."""
    away = -knuckles.mean(0)
    away /= np.linalg.norm(away)
    order = np.linspace(1.0, -1.0, len(names))
    thumbward = (knuckles * order[:, None]).sum(0)
    thumbward -= away * (away @ thumbward)
    length = float(np.linalg.norm(thumbward))
    if length < 1e-9:
        raise BadInputError(f"The rig's {side} knuckles lie on one line with its wrist; choose the bones by hand.")
    thumbward /= length
    back = np.cross(thumbward, away)
    if side == "left":
        # The left hand is the mirror image: its canonical fingers point along +x.
        return np.stack([-away, -back, thumbward], axis=1)
    return np.stack([away, back, thumbward], axis=1)


def _flat_direction(model: HandModel, role: str) -> Array:
    joint = JOINT_NAMES.index(role)
    rest = model.rest()
    end = rest.tips[TIP_JOINTS.index(joint)] if joint in TIP_JOINTS else rest.joints[joint + 1]
    return _unit(end - rest.joints[joint])


def _rest_direction(skeleton: RestSkeleton, at: Mapping[str, int], role: str, bone: int) -> Array:
    """Where a rig bone points: to the next bone of its finger, to the leaf that marks its tip, else along itself."""
    finger, level = role[:-1], int(role[-1])
    following = at.get(f"{finger}{level + 1}")
    if following is None and len(leaves := skeleton.children(bone)) == 1:
        following = leaves[0]
    end = skeleton.heads[following] if following is not None else skeleton.tails[bone]
    direction = end - skeleton.heads[bone]
    if np.linalg.norm(direction) < 1e-9:
        direction = skeleton.axes[bone, :, 1]
    if level == 3 and (previous := at.get(f"{finger}2")) is not None:
        # The drawn tail of a last bone may point anywhere (importers guess it): believe it only when it goes on.
        along = _unit(skeleton.heads[bone] - skeleton.heads[previous])
        if _unit(direction) @ along < _BELIEVABLE_TAIL:
            direction = along
    return _unit(direction)


_BELIEVABLE_TAIL: Final = 0.5
"""cosine: a finger's last bone does not rest bent by more than 60 degrees"""


def _unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector)


def swing_between(source: Array, target: Array) -> Array:
    """The smallest rotation (3, 3) that turns unit vector `source` into `target`."""
    axis, cosine = np.cross(source, target), float(source @ target)
    sine = float(np.linalg.norm(axis))
    if sine < 1e-9:
        if cosine > 0:
            return np.eye(3)
        other = np.eye(3)[np.abs(source).argmin()]
        axis = np.cross(source, other)
        return rotations.matrix_from_vector(_unit(axis) * np.pi)
    return rotations.matrix_from_vector(axis / sine * np.arctan2(sine, cosine))


def finger_rotations(
    skeleton: RestSkeleton, bones: BoneMap, fit: HandFit, rotation: Array, *, wrist: Array | None = None
) -> BoneRotations:
    """Pose-basis rotations of every mapped bone for a take's rotations (T, 16, 4).

    `wrist` (T, 3, 3): the hand's canonical axes in armature space, to turn the wrist bone too; None: fingers only,
    on top of whatever the wrist does. Unmapped bones between the wrist and a finger stay at rest.
    """
    local = rotations.matrix_from_quaternion(rotation)
    relative = _relative_to_wrist(local)
    at = {role: skeleton.index[name] for role, name in bones.bones.items()}
    hand = at["wrist"]
    # Everything is told relative to the resting hand: the wrist bone's own motion cancels for the fingers.
    pose: dict[int, Array] = {}
    frames = len(local)
    keyed: dict[str, Array] = {}
    for bone in _involved(skeleton, at):
        role = next((r for r, index in at.items() if index == bone), None)
        parent = skeleton.parents[bone]
        carried = (
            pose[parent] @ skeleton.axes[parent].T @ skeleton.axes[bone] if parent in pose else skeleton.axes[bone]
        )
        if bone == hand or parent not in pose:
            pose[bone] = np.broadcast_to(skeleton.axes[bone], (frames, 3, 3))
        elif role is None or role not in fit.swing:
            pose[bone] = carried
        else:
            joint = JOINT_NAMES.index(role)
            turned = fit.palm @ relative[:, joint] @ fit.swing[role] @ fit.palm.T
            pose[bone] = turned @ skeleton.axes[bone]
            basis = np.swapaxes(carried, -1, -2) @ pose[bone]
            keyed[skeleton.names[bone]] = rotations.continuous(rotations.quaternion_from_matrix(basis))
    if wrist is not None:
        turned = wrist @ fit.palm.T @ skeleton.axes[hand]
        keyed[skeleton.names[hand]] = rotations.continuous(
            rotations.quaternion_from_matrix(skeleton.axes[hand].T @ turned)
        )
    return BoneRotations(rotation=keyed)


def _relative_to_wrist(local: Array) -> Array:
    """Rotations (T, 16, 3, 3) to the parent -> from canonical axes of the hand to each joint's."""
    out = np.empty_like(local)
    out[:, 0] = np.eye(3)
    for joint in range(1, JOINT_COUNT):
        out[:, joint] = out[:, JOINT_PARENTS[joint]] @ local[:, joint]
    return out


def _involved(skeleton: RestSkeleton, at: Mapping[str, int]) -> list[int]:
    """Mapped bones and everything above them, parents first. Control rigs hang fingers beside the wrist's control."""
    found = set(at.values())
    for bone in at.values():
        found.update(skeleton.ancestors(bone))
    return sorted(found)
