# SPDX-License-Identifier: GPL-3.0-or-later
"""A take onto a character's own armature, whatever its rest pose, scale, rotation modes and other animation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import ArrayLike, NDArray

from ..engine import rotations
from ..engine.errors import BadInputError
from ..engine.hand.names import Side
from ..engine.rigs.detect import Detection, detect
from ..engine.rigs.preset import BoneMap, RigPreset, filled
from ..engine.rigs.retarget import finger_rotations
from ..engine.take import State, Take
from . import actions, baked_keys, channels, character_arm, character_hand, rest_skeleton, timing
from .baked_keys import BAKED, BODY, Edited
from .channels import BoneChannel, KeyType, ValueChannel, Written
from .character_arm import Anchor, Body, Place, Reach, WristMotion
from .character_controls import Switches, preset_of
from .character_hand import Hand
from .character_rig import Rig

Array = NDArray[np.float64]
Channels = list[BoneChannel | ValueChannel]

__all__ = ["Anchor", "Baked", "Choices", "Edited", "Place", "Reach", "WristMotion", "bake", "recognise"]

_KEY_TYPES: Final = {State.SEEN: KeyType.SEEN, State.FILLED: KeyType.FILLED, State.CORRECTED: KeyType.CORRECTED}


@dataclass(frozen=True)
class Choices:
    """How a take goes onto a character."""

    reach: Reach = Reach.FINGERS
    wrist: WristMotion = WristMotion.KEEP
    """for the fingers alone"""
    twist: float = 0.0
    """share, 0 to 1, of the wrist's twist that the forearm takes over; not for the fingers alone"""
    contact: bool = True
    """keep touching what touches in the take"""
    place: Place = field(default_factory=Place)
    """for hands in space"""
    edited: Edited = Edited.ASK
    """what becomes of keys that were changed since the last bake"""


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
    choices: Choices | None = None,
    within: tuple[float, float] | None = None,
) -> Baked:
    """Key a take on the mapped bones at scene frames (T,), in the armature's current action.

    Only mapped bones change, and only in the range of the keys or in what of it lies `within` (first, last).
    Controls that would bend the fingers a second time are set to rest there, and the rig's switches between IK and FK
    are keyed so that the keys show. A second bake starts from what the first one found on the body.
    """
    how = Choices() if choices is None else choices
    # A script may have moved or scaled the character a line before.
    bpy.context.view_layer.update()
    skeleton = rest_skeleton.read(armature)
    times = np.asarray(frames, dtype=np.float64)
    chosen = _chosen(times, within)
    hands = character_hand.hands_of(take, armature, skeleton, maps)
    if how.edited is Edited.ASK:
        baked_keys.refuse_changed(armature)
    kept = baked_keys.changed_poses(armature) if how.edited is Edited.KEEP else {}
    baked_keys.restore_body(armature)
    body = _body(Rig(scene, armature, skeleton), take, hands, times, how)
    baked = Baked(notes=body.notes)
    rate = timing.scene_rate(scene)
    for side, hand in body.hands.items():
        present = hand.present & chosen
        if not present.any():
            continue
        shown = times[present]
        items = baked_keys.with_kept(_channels(skeleton, hand, body, present), kept, shown, rate)
        carrying = [channel.bone for channel in body.channels.get(side, [])]
        bones = [item.bone for item in items if isinstance(item, BoneChannel)]
        types = [_KEY_TYPES[State(state)] for state in take.track(side).state[present]]
        switches = _switches(armature, body.switches.get(side, {}), len(shown))
        paths = [(switch.data_path, switch.index) for switch in switches]
        baked_keys.remember(armature, BODY, carrying, shown, paths=paths)
        items += switches
        baked.written[side] = channels.write(
            armature, shown, items, key_types=types, action_name=f"{armature.name} Hands"
        )
        _neutralise(armature, preset_of(hand.bones), side, shown)
        baked_keys.remember(armature, BAKED, bones, shown)
        _note(baked, side, hand.bones)
    return baked


def _chosen(times: Array, within: tuple[float, float] | None) -> NDArray[np.bool_]:
    if within is None:
        return np.ones(len(times), dtype=bool)
    inside = (times >= within[0] - 1e-6) & (times <= within[1] + 1e-6)
    if not inside.any():
        raise BadInputError(
            f"No frame of the take falls between {within[0]:g} and {within[1]:g}; change the range or the offset."
        )
    return inside


def _body(rig: Rig, take: Take, hands: Mapping[Side, Hand], times: Array, how: Choices) -> Body:
    presets = {side: preset_of(hand.bones) for side, hand in hands.items()}
    if how.reach is Reach.SPACE:
        return character_arm.in_space(rig, take, hands, times, how.place, presets, contact=how.contact, twist=how.twist)
    if how.reach is Reach.WRIST:
        return character_arm.wrists_turned(rig, take, hands, times, how.twist, presets, contact=how.contact)
    if how.contact:
        hands = character_hand.with_pinches(take, hands)
    return character_arm.fingers_only(rig, hands, times, how.wrist, presets)


def _channels(skeleton: rest_skeleton.RestSkeleton, hand: Hand, body: Body, present: NDArray[np.bool_]) -> Channels:
    turns = finger_rotations(skeleton, hand.bones, hand.fit, hand.rotation[present]).rotation
    items: Channels = [BoneChannel(name, turn) for name, turn in turns.items()]
    for channel in body.channels.get(hand.side, []):
        place = None if channel.location is None else channel.location[present]
        turn = None if channel.rotation is None else channel.rotation[present]
        items.append(BoneChannel(channel.bone, turn, place))
    return items


def _switches(armature: bpy.types.Object, switches: Switches, count: int) -> list[ValueChannel]:
    """Custom properties that must be keyed for the mapped bones to show, such as Rigify's IK_FK."""
    items = []
    for bone, (name, value) in switches.items():
        path = f'{armature.pose.bones[bone].path_from_id()}["{bpy.utils.escape_identifier(name)}"]'
        items.append(ValueChannel(path, np.full(count, value), group=bone))
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
            items: Channels = [BoneChannel(bone.name, still)]
            items += [ValueChannel(scale, np.ones(len(ends)), bone.name, axis) for axis in range(3)]
            channels.write(armature, ends, items)


def _note(baked: Baked, side: Side, bones: BoneMap) -> None:
    if bones.missing:
        baked.notes.append(f"The {side} hand has no {', '.join(bones.missing)}; the rest was baked.")
    written = baked.written[side]
    if written.locked:
        baked.notes.append(f"Locked and left alone: {', '.join(sorted(set(written.locked))[:4])}.")
