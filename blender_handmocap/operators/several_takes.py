# SPDX-License-Identifier: GPL-3.0-or-later
"""Two takes of a clip: look at both at once, and take frames over from the other."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..bridge import compare, edits, take_list, takes
from ..engine import several
from ..engine.errors import BadInputError
from ..engine.hand.names import SIDES
from ..engine.take import Take, load_take, save_take
from .reporting import Result, kept_sentence, properties, told
from .review import apply_in_place, has_layer, shown, with_changes
from .take_list import has_take


def other_take(context: bpy.types.Context) -> tuple[Any, Take]:
    """The list's entry of the other take, and that take."""
    chosen = properties(context)
    entry = chosen.takes.get(chosen.other_take)
    if entry is None:
        raise BadInputError("No other take is chosen; choose one under Other Take.")
    if entry == take_list.selected(context.scene):
        raise BadInputError(f"{entry.name} is the selected take itself; choose another one under Other Take.")
    return entry, load_take(take_list.path_of(entry))


def has_other(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """For `poll`: whether another take is chosen."""
    if not properties(context).other_take:
        cls.poll_message_set("Choose the other take first")
        return False
    return has_take(cls, context)


class HANDMOCAP_OT_compare_takes(bpy.types.Operator):
    bl_idname = "handmocap.compare_takes"
    bl_label = "Compare"
    bl_description = (
        "Show the other take in blue beside the selected one, which the hands must show, and say where they differ most"
    )
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_other(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._compare(context))

    def _compare(self, context: bpy.types.Context) -> Iterable[str]:
        take, rigs = shown(context)
        frames = edits.frames_of(next(iter(rigs.values())), take)
        entry, other = other_take(context)
        found = several.difference(take, other)
        compare.show(context.scene, other, _frames_of(other, take, frames), name=entry.name)
        worst = round(frames[found.worst])
        return [
            f"{entry.name} (blue) is {found.distance * 1e3:.1f} mm and {np.degrees(found.angle):.1f} degrees away on "
            f"average in {found.frames} frames, farthest in frame {worst}."
        ]


def _frames_of(other: Take, take: Take, frames: Any) -> Any:
    """Scene frames of the other take's frames: where the clip's frames stand, and on at the same pace."""
    if len(take) < 2:
        return frames[0] + (other.frame - take.frame[0])
    pace = (frames[-1] - frames[0]) / max(1, int(take.frame[-1] - take.frame[0]))
    ahead = np.minimum(other.frame - take.frame[0], 0) + np.maximum(other.frame - take.frame[-1], 0)
    return np.interp(other.frame, take.frame, frames) + ahead * pace


class HANDMOCAP_OT_stop_comparing(bpy.types.Operator):
    bl_idname = "handmocap.stop_comparing"
    bl_label = "Stop Comparing"
    bl_description = "Take the other take's blue hands away"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not compare.shown(context.scene):
            cls.poll_message_set("No other take is shown")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Result:
        compare.clear(context.scene)
        return {"FINISHED"}


class HANDMOCAP_OT_use_range(bpy.types.Operator):
    bl_idname = "handmocap.use_range"
    bl_label = "Use Its Range"
    bl_description = (
        "Make a new take that has the preview range from the other take and everything else from the selected one; "
        "set the range with P in the timeline"
    )
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not context.scene.use_preview_range:
            cls.poll_message_set("Set the preview range over the frames to take over: P in the timeline")
            return False
        return has_other(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._use(context))

    def _use(self, context: bpy.types.Context) -> Iterable[str]:
        from ..engine.pipeline import hand_models, repolish
        from ..engine.polish import PolishSettings

        scene = context.scene
        take, rigs = shown(context)
        before, source = take, take_list.selected_path(scene)
        frames = edits.frames_of(next(iter(rigs.values())), take)
        inside = (frames >= scene.frame_preview_start - 0.5) & (frames <= scene.frame_preview_end + 0.5)
        if not inside.any():
            raise BadInputError("The preview range lies outside the take; set it over frames of the take.")
        take, changed = with_changes(context, take, rigs)
        if len(take.corrections) > len(before.corrections):
            take = repolish(take, PolishSettings(**before.meta.get("polish", {})), parent=source)
        entry, other = other_take(context)
        # Adding to the list may move its entries: what is needed of this one is kept.
        name = entry.name
        first, last = (int(value) for value in take.frame[inside][[0, -1]])
        made = several.with_range(take, other, first, last, hand_models(take))
        ranges = [*take.meta.get("ranges", []), {"take": Path(entry.path).name, "first": first, "last": last}]
        made = made.with_tracks(meta={**made.meta, "parent": source.name, "ranges": ranges})
        path = takes.new_path(source.parent, takes.display_name(source).rpartition("_")[0] or source.name)
        save_take(made, path)
        take_list.add(scene, path, summary=f"{len(made)} frames, {first} to {last} of them from {name}.")
        layered = has_layer(context)
        if layered:
            edits.into_layer(before, rigs, scene.frame_current)
        apply_in_place(context, keep_layer=layered)
        hands = sum(bool(made.track(side).present[inside].any()) for side in SIDES)
        kept = kept_sentence(changed)
        return [f"Clip frames {first} to {last} now come from {name}, for {hands} hands.{kept}"]
