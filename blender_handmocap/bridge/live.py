# SPDX-License-Identifier: GPL-3.0-or-later
"""What a live camera moves: hand rigs, or a character through its bone map. Nothing is keyed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..engine import rotations
from ..engine.hand.free import free_hand
from ..engine.hand.names import SIDES, Side
from ..engine.rigs.preset import BoneMap
from ..engine.rigs.retarget import HandFit, finger_rotations, fit_hand
from ..engine.rigs.skeleton import RestSkeleton
from . import hand_rig, rest_skeleton, rotation_modes, take_on_rig
from .character_controls import controls_of, preset_of
from .frames import WORLD_FROM_CAMERA

Array = NDArray[np.float64]


@dataclass
class LiveTarget:
    """Holds names, never Blender's objects: a live capture outlives undo and renaming."""

    character: str = ""
    """the armature object that moves; empty: the scene's hand rigs"""
    maps: Mapping[Side, BoneMap] = field(default_factory=dict)
    with_wrist: bool = False
    _skeleton: RestSkeleton | None = None
    _fits: dict[Side, HandFit] = field(default_factory=dict)

    def show(self, scene: bpy.types.Scene, frame: Mapping[str, Any]) -> None:
        """Pose what is moved as a live frame says (see docs/worker.md); hands that were not seen stay."""
        hands = {side: frame[side] for side in SIDES if frame.get(side) is not None}
        if self.character:
            self._show_on_character(scene, hands)
            return
        rigs = hand_rig.find_hands(scene)
        missing = [side for side in SIDES if side not in rigs]
        if missing:
            # Not before a picture came: a camera that does not open leaves the scene as it was.
            rigs = rigs | hand_rig.add_hands(scene, missing)
        for side, hand in hands.items():
            take_on_rig.show_pose(rigs[side], hand["rotation"], hand["translation"])

    def _show_on_character(self, scene: bpy.types.Scene, hands: Mapping[Side, Any]) -> None:
        armature = scene.objects.get(self.character)
        if armature is None:
            return
        if self._skeleton is None:
            self._skeleton = rest_skeleton.read(armature)
        for side, hand in hands.items():
            bones = self.maps.get(side)
            if bones is None or not bones.bones:
                continue
            if side not in self._fits:
                self._fits[side] = fit_hand(self._skeleton, bones, free_hand(side))
            rotation = np.asarray(hand["rotation"], dtype=np.float64)[None]
            turns = dict(finger_rotations(self._skeleton, bones, self._fits[side], rotation).rotation)
            if self.with_wrist:
                bone, turn = self._wrist(armature, bones, self._fits[side], rotation[0, 0])
                turns[bone] = turn[None]
            for name, turn in turns.items():
                _turn(armature.pose.bones[name], turn)

    def _wrist(self, armature: bpy.types.Object, bones: BoneMap, fit: HandFit, seen: Array) -> tuple[str, Array]:
        """The bone that turns the hand, and its rotation (4,) that turns it in the world as it was seen (4,)."""
        assert self._skeleton is not None
        wrist = bones.bones["wrist"]
        controls = controls_of(armature, preset_of(bones), bones.side, wrist)
        bone = armature.pose.bones[controls.target if controls.answers_to_target_now(armature) else wrist]
        rest = self._skeleton.axes[self._skeleton.index[bone.name]]
        wanted = WORLD_FROM_CAMERA @ rotations.matrix_from_quaternion(seen) @ fit.palm.T @ rest
        # What the parents leave the bone with before its own rotation.
        carried = np.array(bone.matrix, dtype=np.float64)[:3, :3] @ np.array(bone.matrix_basis.inverted())[:3, :3]
        world = np.array(armature.matrix_world, dtype=np.float64)[:3, :3]
        turn = rotations.nearest_rotation(carried).T @ rotations.nearest_rotation(world).T @ wanted
        return bone.name, rotations.quaternion_from_matrix(turn)


def _turn(bone: bpy.types.PoseBone, quaternion: Array) -> None:
    """Set a pose bone's rotation, (1, 4) w,x,y,z, in its own rotation mode."""
    value = rotation_modes.from_quaternions(quaternion, bone.rotation_mode)[0]
    setattr(bone, rotation_modes.data_path(bone.rotation_mode), value)
