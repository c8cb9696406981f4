# SPDX-License-Identifier: GPL-3.0-or-later
"""What carries the fingers: the wrist's turn, the forearm's share of it, and hands put somewhere in space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..engine import rotations
from ..engine.errors import BadInputError
from ..engine.hand.names import Side
from ..engine.rigs.arm import Arm, anchor_bones, arm_of, reach, twist_about
from ..engine.rigs.preset import RigPreset
from ..engine.rigs.skeleton import RestSkeleton
from ..engine.take import Take
from .channels import BoneChannel
from .character_controls import ArmControls, Switches, controls_of, on_target
from .character_hand import Hand, with_pinches, with_touches
from .character_rig import Rig, rotation_channel, transposed
from .character_touch import brought_together
from .frames import WORLD_FROM_CAMERA, world_points
from .rig_motion import RigMotion

Array = NDArray[np.float64]

_FORWARD, _DOWN = 0.55, 0.1
"""Where the hands' usual place is, in arm lengths from between the shoulders."""
_TOO_SHORT: Final = 0.01
"""Of its length an arm may lack this much before it is told."""


class Reach(Enum):
    """How much of the hand the character takes over."""

    FINGERS = "FINGERS"
    """the fingers alone; the wrist stays with whatever animates it"""
    WRIST = "WRIST"
    """the fingers and the rotation of the wrist in the world"""
    SPACE = "SPACE"
    """the hands where they were seen, relative to each other and to the character"""


class WristMotion(Enum):
    """What happens to the wrist when only the fingers are taken over."""

    KEEP = "KEEP"
    ADD = "ADD"
    """how the take's wrist turns away from its first pose is added to what the body does"""


class Anchor(Enum):
    """What placed hands go along with."""

    CHEST = "CHEST"
    HEAD = "HEAD"
    STILL = "STILL"
    """nothing: they stay where the chest is at rest"""


@dataclass(frozen=True)
class Place:
    """Where hands in space go."""

    anchor: Anchor = Anchor.CHEST
    tilt: float = 0.0
    """radians; above zero the hands' space leans towards the character, as if filmed from higher up"""
    scale: float = 1.0
    """factor on the distances between and of the hands, beside the character's own size"""
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """metres to the character's left, its back, and up"""


@dataclass
class Body:
    """What else than fingers is keyed; T frames."""

    hands: dict[Side, Hand]
    """with wrists as they are to be: joint 0 to the world where it is known"""
    channels: dict[Side, list[BoneChannel]] = field(default_factory=dict)
    switches: dict[Side, Switches] = field(default_factory=dict)
    """bone -> (custom property, value) that must be keyed for the channels to show"""
    notes: list[str] = field(default_factory=list)


def fingers_only(
    rig: Rig,
    hands: Mapping[Side, Hand],
    times: Array,
    wrist: WristMotion,
    presets: Mapping[Side, RigPreset | None],
) -> Body:
    """Nothing of the body, or the take's turning of the wrist added to the body's."""
    body = Body(dict(hands))
    if wrist is WristMotion.KEEP:
        return body
    controls = _controls(rig, hands, presets)
    motion = _motion(rig, [hand.wrist for hand in hands.values()], times, controls)
    for side, hand in hands.items():
        bone = controls[side].target if controls[side].answers_to_target(motion, hand.present) else hand.wrist
        rest = rig.rest(bone)
        base = transposed(motion.carried_rotation(bone)) @ motion.rotation(bone)
        root = rotations.matrix_from_quaternion(hand.rotation[:, 0])
        first = root[np.flatnonzero(hand.present)[0]]
        to_bone = rest.T @ hand.fit.palm
        added = to_bone @ (first.T @ root) @ to_bone.T
        body.channels[side] = [rotation_channel(bone, base @ added)]
    return body


def _controls(
    rig: Rig, hands: Mapping[Side, Hand], presets: Mapping[Side, RigPreset | None]
) -> dict[Side, ArmControls]:
    return {side: controls_of(rig.armature, presets[side], side, hand.wrist) for side, hand in hands.items()}


def _motion(rig: Rig, bones: list[str], times: Array, controls: Mapping[Side, ArmControls]) -> RigMotion:
    """What some bones do, and all that says what moves the arms."""
    mine = [bone for control in controls.values() for bone in control.bones]
    asked = [key for control in controls.values() for key in control.properties]
    return rig.motion([*bones, *mine], times, asked)


def wrists_turned(
    rig: Rig,
    take: Take,
    hands: Mapping[Side, Hand],
    times: Array,
    twist: float,
    presets: Mapping[Side, RigPreset | None],
    *,
    contact: bool,
) -> Body:
    """The wrists turned in the world as they were seen, whatever carries them; arms moved only where hands touch."""
    body = Body(with_pinches(take, hands) if contact else dict(hands))
    arms = {side: arm_of(rig.skeleton, hand.bones) for side, hand in hands.items()}
    twisting = {
        side: _twisting_bone(rig, arm, presets[side]) if arm is not None and twist > 0.0 else None
        for side, arm in arms.items()
    }
    names = [hand.wrist for hand in hands.values()] + [name for name in twisting.values() if name is not None]
    names += [rig.skeleton.names[bone] for arm in arms.values() if arm for bone in (arm.upper, arm.lower)]
    controls = _controls(rig, hands, presets)
    motion = _motion(rig, names, times, controls)
    by_target = {side: controls[side].answers_to_target(motion, hand.present) for side, hand in hands.items()}
    wrists = {side: controls[side].wrist for side in hands}
    movable = all(by_target[side] or arms[side] is not None for side in hands)
    touching = brought_together(rig, take, hands, motion, arms, wrists, movable, body.notes) if contact else {}
    body.hands |= touching
    for side, hand in hands.items():
        seen = WORLD_FROM_CAMERA @ rotations.matrix_from_quaternion(hand.rotation[:, 0])
        wanted = transposed(motion.turned) @ seen @ hand.fit.palm.T @ rig.rest(hand.wrist)
        bone, arm = twisting[side], arms[side]
        where = motion.posed[wrists[side]][:, :3, 3]
        if side in touching:
            where = motion.in_armature(touching[side].translation)
        body.switches[side] = controls[side].switches(by_target[side])
        if by_target[side]:
            # The rig hands the wrist's twist down its forearm by itself.
            body.channels[side] = [on_target(rig, motion, hand, controls[side].target, wanted, where)]
            continue
        if side in touching and arm is not None:
            share = None if bone is None else (bone, twist)
            body.channels[side] = _on_arm(rig, motion, hand, arm, wanted, where, share, body.notes)
        else:
            body.channels[side] = _twisted(rig, motion, hand, wanted, bone, twist)
        if twist > 0.0 and bone is None:
            body.notes.append(f"The {side} forearm was not found, so it takes over no twist.")
    return body


def _twisting_bone(rig: Rig, arm: Arm, preset: RigPreset | None) -> str:
    """The last bone of the forearm where the line of the arm has more than one; a control rig's own forearm."""
    parent = rig.skeleton.parents[arm.wrist]
    in_line = arm.lower in rig.skeleton.ancestors(parent)
    return rig.skeleton.names[parent if in_line and (preset is None or not preset.target) else arm.lower]


def _twisted(
    rig: Rig, motion: RigMotion, hand: Hand, wanted: Array, bone: str | None, share: float
) -> list[BoneChannel]:
    """The wrist at `wanted` (T, 3, 3) in armature space, part of its twist handed to a bone of the forearm."""
    carried = motion.carried_rotation(hand.wrist)
    if bone is None:
        return [rotation_channel(hand.wrist, transposed(carried) @ wanted)]
    forearm = motion.rotation(bone)
    turned, carried = _with_twist(rig, hand, wanted, bone, share, forearm=forearm, carried=carried)
    return [
        rotation_channel(bone, transposed(motion.carried_rotation(bone)) @ turned),
        rotation_channel(hand.wrist, transposed(carried) @ wanted),
    ]


def _with_twist(
    rig: Rig, hand: Hand, wanted: Array, bone: str, share: float, *, forearm: Array, carried: Array
) -> tuple[Array, Array]:
    """A forearm bone (T, 3, 3) with its share of the wrist's twist, and what then carries the wrist; armature space."""
    axis = rig.head(hand.wrist) - rig.head(bone)
    axis /= np.linalg.norm(axis)
    # The wrist's turn away from the resting hand, told in the forearm's own axes.
    rest_to_rest = rig.rest(bone).T @ rig.rest(hand.wrist)
    local_axis = rig.rest(bone).T @ axis
    angle = twist_about(transposed(forearm) @ wanted @ rest_to_rest.T, local_axis) * share
    turned = forearm @ rotations.matrix_from_vector(local_axis * angle[:, None])
    return turned, turned @ transposed(forearm) @ carried


def in_space(
    rig: Rig,
    take: Take,
    hands: Mapping[Side, Hand],
    times: Array,
    place: Place,
    presets: Mapping[Side, RigPreset | None],
    *,
    contact: bool,
    twist: float = 0.0,
) -> Body:
    """The hands where they were seen, on the character's scale, carried by its arms or its IK controls."""
    arms = {side: arm_of(rig.skeleton, hand.bones) for side, hand in hands.items()}
    controls = _controls(rig, hands, presets)
    targets = {side: control.target for side, control in controls.items()}
    lost = [side for side in hands if arms[side] is None]
    if lost:
        raise BadInputError(
            f"The {lost[0]} arm of {rig.armature.name} was not found; choose forearm and upper arm in the bone list."
        )
    anchors = anchor_bones(rig.skeleton, {side: hand.bones for side, hand in hands.items()})
    chest = anchors.get("chest") or _above(rig.skeleton, next(arm for arm in arms.values() if arm is not None).upper)
    anchor = {Anchor.CHEST: chest, Anchor.HEAD: anchors.get("head", "")}.get(place.anchor, chest)
    if not anchor:
        raise BadInputError(f"{rig.armature.name} has no head bone that can be told; anchor the hands to the chest.")
    names = [anchor, *(rig.skeleton.names[bone] for arm in arms.values() if arm for bone in (arm.upper, arm.lower))]
    names += [hand.wrist for hand in hands.values()]
    twisting = {
        side: _twisting_bone(rig, arm, presets[side])
        for side, arm in arms.items()
        if arm is not None and twist > 0.0 and not targets[side]
    }
    names += list(twisting.values())
    motion = _motion(rig, names, times, controls)
    placed = _placed(rig, take, hands, arms, motion, anchor, place)
    if contact:
        placed = with_touches(take, placed)
    body = Body(placed)
    for side, hand in placed.items():
        arm, target = arms[side], targets[side]
        assert arm is not None
        wanted = transposed(motion.turned) @ rotations.matrix_from_quaternion(hand.rotation[:, 0])
        wanted = wanted @ hand.fit.palm.T @ rig.rest(hand.wrist)
        where = motion.in_armature(hand.translation)
        body.switches[side] = controls[side].switches(bool(target))
        if target:
            body.channels[side] = [on_target(rig, motion, hand, target, wanted, where)]
            continue
        share = (twisting[side], twist) if side in twisting else None
        body.channels[side] = _on_arm(rig, motion, hand, arm, wanted, where, share, body.notes)
    return body


def _above(skeleton: RestSkeleton, bone: int) -> str:
    parents = skeleton.ancestors(bone)
    return skeleton.names[parents[min(1, len(parents) - 1)]] if parents else ""


def _placed(
    rig: Rig,
    take: Take,
    hands: Mapping[Side, Hand],
    arms: Mapping[Side, Arm | None],
    motion: RigMotion,
    anchor: str,
    place: Place,
) -> dict[Side, Hand]:
    """The hands in the world: the take's space laid in front of the character, going along with its anchor."""
    skeleton = rig.skeleton
    facing = _facing(rig, arms, motion.turned[0])
    shoulders = [skeleton.heads[arm.upper] for arm in arms.values() if arm is not None]
    length = float(np.mean([rig.length(arm) for arm in arms.values() if arm is not None]))
    usual = np.mean(shoulders, axis=0) + facing @ np.array([0.0, -_FORWARD, -_DOWN]) * length
    if len(shoulders) == 1:
        usual = usual - facing @ np.array([1.0 if "left" in hands else -1.0, 0.0, 0.0]) * 0.2 * length
    rest_anchor = skeleton.heads[skeleton.index[anchor]]
    if place.anchor is Anchor.STILL:
        follow = np.broadcast_to(np.eye(3), (len(motion.world), 3, 3))
        origin = np.broadcast_to(usual, (len(motion.world), 3))
    else:
        follow = motion.rotation(anchor) @ rig.rest(anchor).T
        origin = motion.posed[anchor][:, :3, 3] + (follow @ (usual - rest_anchor)[:, None])[..., 0]
    lean = rotations.matrix_from_vector(np.array([place.tilt, 0.0, 0.0]))
    space = follow @ facing @ lean
    both = [world_points(hand.translation)[hand.present] for hand in hands.values()]
    middle = np.median(np.concatenate(both), axis=0)
    factor = place.scale * float(np.mean([hand.rest.palm_length for hand in hands.values()])) / take.size
    turned = motion.turned
    shift = turned @ follow @ facing @ np.asarray(place.shift)
    base = motion.in_world(origin) + shift
    out = {}
    for side, hand in hands.items():
        away = (world_points(hand.translation) - middle) * factor
        where = base + (turned @ space @ away[..., None])[..., 0]
        root = turned @ space @ WORLD_FROM_CAMERA @ rotations.matrix_from_quaternion(hand.rotation[:, 0])
        rotation = hand.rotation.copy()
        rotation[:, 0] = rotations.continuous(rotations.quaternion_from_matrix(root))
        out[side] = replace(hand, rotation=rotation, translation=where)
    return out


def _facing(rig: Rig, arms: Mapping[Side, Arm | None], turned: Array) -> Array:
    """(3, 3) columns in armature space at rest: the character's left, its back, and up."""
    up = turned.T @ np.array([0.0, 0.0, 1.0])
    heads = {side: rig.skeleton.heads[arm.upper] for side, arm in arms.items() if arm is not None}
    if len(heads) == 2:
        left = heads["left"] - heads["right"]
    else:
        side, head = next(iter(heads.items()))
        centre = np.median(rig.skeleton.heads, axis=0)
        left = (head - centre) * (1.0 if side == "left" else -1.0)
    left = left - up * (left @ up)
    length = float(np.linalg.norm(left))
    if length < 1e-9:
        raise BadInputError(
            f"{rig.armature.name} does not stand upright, so its front cannot be told; turn it upright."
        )
    left /= length
    return np.stack([left, np.cross(up, left), up], axis=1)


def _on_arm(
    rig: Rig,
    motion: RigMotion,
    hand: Hand,
    arm: Arm,
    wanted: Array,
    where: Array,
    twist: tuple[str, float] | None,
    notes: list[str],
) -> list[BoneChannel]:
    """Upper arm and forearm turned so that the wrist gets where it should be, the elbow staying on its side.

    `twist`: the bone that takes over a share of the wrist's twist, and that share.
    """
    upper, lower = (rig.skeleton.names[bone] for bone in (arm.upper, arm.lower))
    at = {name: motion.posed[name][:, :3, 3] for name in (upper, lower, hand.wrist)}
    back_and_down = _facing(rig, {hand.side: arm}, motion.turned[0]) @ np.array([0.0, 0.3, -1.0])
    bend = np.broadcast_to(back_and_down, where.shape)
    turn = reach(at[upper], at[lower], at[hand.wrist], where, bend)
    length = np.linalg.norm(at[lower] - at[upper], axis=-1) + np.linalg.norm(at[hand.wrist] - at[lower], axis=-1)
    short = (turn.short > _TOO_SHORT * length) & hand.present
    if short.any():
        notes.append(
            f"The {hand.side} arm is too short in {int(short.sum())} frames; lower the scale or shift the hands."
        )
    # What lies between shoulder and elbow turns with the upper arm, what lies behind the elbow with the forearm.
    turned = {upper: turn.upper @ motion.rotation(upper), lower: turn.lower @ motion.rotation(lower)}
    carried = {
        upper: motion.carried_rotation(upper),
        lower: turn.upper @ motion.carried_rotation(lower),
        hand.wrist: turn.lower @ motion.carried_rotation(hand.wrist),
    }
    if twist is not None:
        bone, share = twist
        turned.setdefault(bone, turn.lower @ motion.rotation(bone))
        carried.setdefault(bone, turn.lower @ motion.carried_rotation(bone))
        turned[bone], carried[hand.wrist] = _with_twist(
            rig, hand, wanted, bone, share, forearm=turned[bone], carried=carried[hand.wrist]
        )
    turned[hand.wrist] = wanted
    return [rotation_channel(bone, transposed(carried[bone]) @ turned[bone]) for bone in turned]
