# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions of every Blender we run in: plain before 4.4, with slots and layers from then on."""

from __future__ import annotations

from typing import Any, Final

import bpy

from ..engine.errors import BadInputError

HAS_SLOTS: Final = "slots" in bpy.types.Action.bl_rna.properties


def assign(animated: Any, action: bpy.types.Action, *, slot: str | None = None) -> None:
    """Let `action` animate a datablock through the slot of this name, made when missing; None: the datablock's name.

    Without slots an action has room for one datablock, so give each its own.
    """
    animation = _animation_data(animated)
    leave_tweak_mode(animated)
    animation.action = action
    if not HAS_SLOTS:
        return
    # Blender picks a slot on its own only when names match, and silently animates nothing otherwise.
    name = slot or animated.name
    wanted = next((s for s in action.slots if s.name_display == name and s.target_id_type == animated.id_type), None)
    animation.action_slot = wanted or action.slots.new(id_type=animated.id_type, name=name)


def channels(animated: Any, action_name: str) -> Any:
    """What owns the F-curves of a datablock's action (the Action before 4.4, its Channelbag after), made as needed."""
    animation = _animation_data(animated)
    leave_tweak_mode(animated)
    if animation.action is None:
        assign(animated, bpy.data.actions.new(action_name))
    action = animation.action
    if not action.is_editable:
        raise BadInputError(
            f"The action {action.name} of {animated.name} is linked from another file and cannot take keys; "
            "unlink it from the object or make it local, then try again."
        )
    if not HAS_SLOTS:
        return action
    if animation.action_slot is None:
        assign(animated, action)
    layer = action.layers[0] if action.layers else action.layers.new("Layer")
    strip = layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")
    return strip.channelbag(animation.action_slot, ensure=True)


def existing_channels(animated: Any) -> Any | None:
    """As `channels`, but None where nothing is animated yet; nothing is made."""
    animation = animated.animation_data
    if animation is None or animation.action is None:
        return None
    if not HAS_SLOTS:
        return animation.action
    if animation.action_slot is None or not animation.action.layers or not animation.action.layers[0].strips:
        return None
    return animation.action.layers[0].strips[0].channelbag(animation.action_slot)


def leave_tweak_mode(animated: Any) -> None:
    """Stop editing an NLA strip: keys would go into the strip's action in the strip's time."""
    animation = animated.animation_data
    if animation is not None and animation.use_tweak_mode:
        animation.use_tweak_mode = False


def push_down(animated: Any) -> None:
    """Move the current action into an NLA strip of its own, where it goes on playing under what comes next."""
    animation = animated.animation_data
    if animation is None or animation.action is None:
        return
    leave_tweak_mode(animated)
    action = animation.action
    track = animation.nla_tracks.new()
    track.name = action.name
    strip = track.strips.new(action.name, int(action.frame_range[0]), action)
    if HAS_SLOTS:
        strip.action_slot = animation.action_slot
    animation.action = None


def writable(animated: Any) -> None:
    """Refuse, in one sentence, what is linked from another file without an override."""
    if not animated.is_editable:
        raise BadInputError(
            f"{animated.name} is linked from another file and cannot be animated; "
            "make a library override of it (Object > Library Override > Make), then try again."
        )


def _animation_data(animated: Any) -> bpy.types.AnimData:
    writable(animated)
    return animated.animation_data or animated.animation_data_create()
