# SPDX-License-Identifier: GPL-3.0-or-later
"""A bake to look at: it plays from an action of its own, and leaving it puts everything back."""

from __future__ import annotations

from typing import Any, Final

import bpy

from . import actions, rotation_modes

MARK: Final = "handmocap_preview"
"""Custom property of an armature object that shows a preview: what it showed before."""
_TRANSFORMS: Final = ("location", "scale", *rotation_modes.DATA_PATHS.values(), "rotation_euler")


def shown(armature: bpy.types.Object | None) -> bool:
    """Whether an armature shows a preview."""
    return armature is not None and MARK in armature


def begin(armature: bpy.types.Object) -> None:
    """Let the armature play a copy of its action, which a bake may then change."""
    leave(armature)
    # A linked rig says here that it cannot be animated, before anything is changed.
    actions.writable(armature)
    animation = armature.animation_data_create()
    actions.leave_tweak_mode(armature)
    action = animation.action
    before: dict[str, Any] = {
        "action": action.name if action is not None else "",
        "slot": animation.action_slot.handle if actions.HAS_SLOTS and animation.action_slot is not None else -1,
        "pose": {bone.name: _pose(bone) for bone in armature.pose.bones},
    }
    copy = action.copy() if action is not None else bpy.data.actions.new(armature.name)
    copy.name, copy.use_fake_user = f"{armature.name} Preview", False
    animation.action = copy
    if actions.HAS_SLOTS and before["slot"] >= 0:
        animation.action_slot = next(slot for slot in copy.slots if slot.handle == before["slot"])
    before["preview"] = copy.name
    armature[MARK] = before


def leave(armature: bpy.types.Object) -> None:
    """Back to what the armature played and how it stood; nothing happens when it shows no preview."""
    if MARK not in armature:
        return
    before = armature[MARK].to_dict()
    animation = armature.animation_data
    action = bpy.data.actions.get(before["action"]) if before["action"] else None
    if animation is not None and animation.action is not None and animation.action.name == before["preview"]:
        preview = animation.action
        animation.action = action
        if action is not None and actions.HAS_SLOTS and before["slot"] >= 0:
            animation.action_slot = next((s for s in action.slots if s.handle == before["slot"]), None)
        bpy.data.actions.remove(preview)
    for name, pose in before["pose"].items():
        bone = armature.pose.bones.get(name)
        if bone is not None:
            for transform, values in pose.items():
                setattr(bone, transform, values)
    del armature[MARK]


def _pose(bone: bpy.types.PoseBone) -> dict[str, list[float]]:
    return {name: list(getattr(bone, name)) for name in _TRANSFORMS}
