# SPDX-License-Identifier: GPL-3.0-or-later
"""Smooth a take again from its raw result, and put fewer keys on rigs; the footage is not needed."""

from __future__ import annotations

from collections.abc import Iterable

import bpy

from ..bridge import edits, hand_rig, take_list, takes, thin_keys, timing
from ..bridge.thin_keys import Thinning
from ..engine.errors import BadInputError
from ..engine.polish import PolishSettings
from ..engine.take import load_take, save_take
from .reporting import Result, kept_sentence, properties, told
from .review import apply_in_place, has_layer, shown, with_changes
from .take_list import has_take


class HANDMOCAP_OT_polish_take(bpy.types.Operator):
    bl_idname = "handmocap.polish_take"
    bl_label = "Smooth Again"
    bl_description = (
        "Make a new take from the raw result of the selected one, smoothed as chosen; the old one stays. Poses you "
        "changed on the hands are kept exactly"
    )
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_take(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._polish(context))

    def _polish(self, context: bpy.types.Context) -> Iterable[str]:
        from ..engine.pipeline import repolish

        source = take_list.selected_path(context.scene)
        take = load_take(source)
        is_shown, changed, layered = _is_shown(context), 0, has_layer(context)
        if is_shown:
            _, rigs = shown(context)
            before = take
            take, changed = with_changes(context, take, rigs)
        smoothed = repolish(take, choices_of(properties(context)), parent=source)
        path = takes.new_path(source.parent, takes.display_name(source).rpartition("_")[0] or source.name)
        save_take(smoothed, path)
        take_list.add(context.scene, path, summary=take_list.selected(context.scene).summary)
        if is_shown:
            if layered:
                edits.into_layer(before, rigs, context.scene.frame_current)
            apply_in_place(context, keep_layer=layered)
        kept = kept_sentence(changed)
        return [f"Smoothed into {takes.display_name(path)}.{kept}"]


def choices_of(chosen: bpy.types.PropertyGroup) -> PolishSettings:
    """The frozen choices of the clean-up."""
    return PolishSettings(
        strength=chosen.smoothing,
        place_strength=chosen.clean_up.place_smoothing if chosen.clean_up.place_apart else None,
        limits=chosen.clean_up.limits,
        gaps=chosen.gaps,
        longest_gap=chosen.longest_gap,
    )


def _is_shown(context: bpy.types.Context) -> bool:
    """Whether the hands show the selected take, so that it can be replaced where it stands."""
    try:
        take, rigs = shown(context)
        edits.frames_of(next(iter(rigs.values())), take)
    except BadInputError:
        return False
    return True


class HANDMOCAP_OT_thin_keys(bpy.types.Operator):
    bl_idname = "handmocap.thin_keys"
    bl_label = "Fewer Keys"
    bl_description = (
        "Leave fewer keys of the take on the hands, or on the character; apply or bake the take again to have a key "
        "a frame back"
    )
    bl_options = {"REGISTER", "UNDO"}

    character: bpy.props.BoolProperty(
        name="Character", description="The character's keys instead of the hands'", options={"SKIP_SAVE"}
    )

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._thin(context))

    def _thin(self, context: bpy.types.Context) -> Iterable[str]:
        chosen = properties(context)
        if self.character:
            if chosen.character is None:
                raise BadInputError("No character is chosen; choose its armature under Character.")
            rigs = [chosen.character]
        else:
            rigs = [
                rig.armature
                for rig in hand_rig.find_hands(context.scene).values()
                if rig.armature.animation_data is not None and rig.armature.animation_data.action is not None
            ]
        if not rigs:
            raise BadInputError("No hand of the scene has keys; apply a take first.")
        how, rate = chosen.clean_up, timing.scene_rate(context.scene)
        done = [thin_keys.thin(rig, Thinning(how.thinning), how.error, rate=rate) for rig in rigs]
        before, after = sum(one.before for one in done), sum(one.after for one in done)
        return [f"{after} of {before} keys are left."]
