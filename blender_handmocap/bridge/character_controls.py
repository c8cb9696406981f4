# SPDX-License-Identifier: GPL-3.0-or-later
"""Arms that answer to an IK control for the hand instead of to their own bones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import bpy
import numpy as np
from numpy.typing import NDArray

from ..engine import rotations
from ..engine.hand.names import Side
from ..engine.rigs.preset import BoneMap, RigPreset, filled
from ..engine.rigs.presets import PRESETS
from .channels import BoneChannel
from .character_hand import Hand
from .character_rig import Rig, transposed
from .rig_motion import BoneProperty, RigMotion

Array = NDArray[np.float64]
Switches = Mapping[str, tuple[str, float]]


@dataclass(frozen=True)
class ArmControls:
    """What moves one arm of a rig."""

    wrist: str
    """the bone whose place is that of the hand, whatever moves the arm"""
    target: str = ""
    """the IK control that takes the hand to a place; empty where the rig has none"""
    to_bones: Switches = field(default_factory=dict)
    """bone -> (custom property, value) for the arm's own bones to show"""
    to_target: Switches = field(default_factory=dict)
    """the same for the IK control"""

    @property
    def bones(self) -> list[str]:
        """The bones whose motion says what the arm does."""
        return [self.wrist, *([self.target] if self.target else [])]

    @property
    def properties(self) -> list[BoneProperty]:
        """The custom properties that say what moves the arm."""
        return [(bone, name) for bone, (name, _) in self.to_target.items()] if self.target else []

    def answers_to_target(self, motion: RigMotion, frames: NDArray[np.bool_]) -> bool:
        """Whether the IK control moves the arm in most of these frames (T,)."""
        return self._by_target({key: motion.values[key][frames] for key in self.properties})

    def answers_to_target_now(self, armature: bpy.types.Object) -> bool:
        """Whether the IK control moves the arm at this moment."""
        bones = armature.pose.bones
        return self._by_target({(bone, name): np.array([bones[bone][name]]) for bone, name in self.properties})

    def _by_target(self, values: Mapping[BoneProperty, Array]) -> bool:
        if not self.target:
            return False
        nearer = [
            np.abs(values[bone, name] - value) < np.abs(values[bone, name] - self.to_bones[bone][1])
            for bone, (name, value) in self.to_target.items()
        ]
        return not nearer or bool(np.mean(nearer) > 0.5)

    def switches(self, by_target: bool) -> Switches:
        """What must be keyed so that the keys show."""
        return self.to_target if by_target else self.to_bones


def preset_of(bones: BoneMap) -> RigPreset | None:
    """The preset that a map was made with; None for a guessed one or the user's own."""
    return next((preset for preset in PRESETS if preset.name == bones.preset), None)


def controls_of(armature: bpy.types.Object, preset: RigPreset | None, side: Side, wrist: str) -> ArmControls:
    """What moves the arm of a hand, as far as the rig's preset knows and the rig has it; `wrist` is the mapped bone."""
    if preset is None:
        return ArmControls(wrist)
    bones = armature.pose.bones
    target, shown = filled(preset.target, side), filled(preset.shown_wrist, side)
    to_bones, to_target = (_there(armature, switches, side) for switches in (preset.switches, preset.target_switches))
    return ArmControls(
        wrist=shown if shown in bones else wrist,
        target=target if target in bones else "",
        to_bones=to_bones,
        to_target={bone: switch for bone, switch in to_target.items() if bone in to_bones},
    )


def _there(armature: bpy.types.Object, switches: Switches, side: Side) -> Switches:
    found = {filled(pattern, side): switch for pattern, switch in switches.items()}
    return {
        bone: (name, value)
        for bone, (name, value) in found.items()
        if bone in armature.pose.bones and name in armature.pose.bones[bone]
    }


def on_target(rig: Rig, motion: RigMotion, hand: Hand, target: str, wanted: Array, where: Array) -> BoneChannel:
    """The IK control so that the wrist is at `where` (T, 3), turned to `wanted` (T, 3, 3); armature space."""
    turned = wanted @ rig.rest(hand.wrist).T @ rig.rest(target)
    offset = rig.rest(target).T @ (rig.head(target) - rig.head(hand.wrist))
    head = where + (turned @ offset[:, None])[..., 0]
    away = head - motion.carried[target][:, :3, 3]
    location = np.linalg.solve(motion.shift[target], away[..., None])[..., 0]
    basis = transposed(motion.carried_rotation(target)) @ turned
    return BoneChannel(target, rotations.continuous(rotations.quaternion_from_matrix(basis)), location)
