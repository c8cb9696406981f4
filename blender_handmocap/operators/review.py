# SPDX-License-Identifier: GPL-3.0-or-later
"""Review and fix: go to weak frames, say what is wrong, pose what is wrong, and solve the take again around it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import bpy
import numpy as np

from ..bridge import drag_points, edit_layer, edits, engine_job, hand_rig, scene as take_scene, take_list, takes
from ..bridge.edits import Changes
from ..bridge.engine_job import JobState, Message
from ..bridge.hand_rig import HandRig
from ..bridge.timing import Timing
from ..engine import review
from ..engine.errors import BadInputError
from ..engine.hand.names import SIDES, Side
from ..engine.take import CorrectionKind, Take, load_take, save_take
from .engine_modal import EngineModal
from .reporting import Result, properties, told
from .take_list import has_take

PURPOSE: Final = "resolve"


def shown(context: bpy.types.Context) -> tuple[Take, dict[Side, HandRig]]:
    """The selected take and the hands that show it."""
    take = load_take(take_list.selected_path(context.scene))
    rigs = hand_rig.find_hands(context.scene)
    showing = {side: rig for side, rig in rigs.items() if take.track(side).present.any()}
    if not showing:
        raise BadInputError("No hand of the scene shows the selected take; apply it first.")
    return take, showing


class HANDMOCAP_OT_next_weak_frame(bpy.types.Operator):
    bl_idname = "handmocap.next_weak_frame"
    bl_label = "Next Weak Frame"
    bl_description = "Go to the next of the frames in which HandMocap is least sure, of the selected hand if one is"
    # As Blender's own jumps through time: one step back undoes all of them.
    bl_options = {"REGISTER", "UNDO_GROUPED"}
    bl_undo_group = "Frame Change"

    back: bpy.props.BoolProperty(name="Back", description="Go to the one before instead", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_take(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._go(context))

    def _go(self, context: bpy.types.Context) -> Iterable[str]:
        take, rigs = shown(context)
        frames = edits.frames_of(next(iter(rigs.values())), take)
        side = hand_rig.side_of(context.object)
        weakest = review.weakest(take, sides=SIDES if side is None else (side,))
        weak = sorted({round(frames[index]) for index in weakest})
        if not weak:
            return ["Every frame of this hand was fixed."]
        now = context.scene.frame_current
        ahead = [frame for frame in weak if (frame < now if self.back else frame > now)]
        target = (ahead or weak)[-1 if self.back else 0]
        context.scene.frame_set(target)
        return ()


class HANDMOCAP_OT_show_points(bpy.types.Operator):
    bl_idname = "handmocap.show_points"
    bl_label = "Drag Points"
    bl_description = (
        "Put the joints of this frame over the footage as points: look through the camera, drag wrong ones with G, "
        "then solve around them"
    )
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_take(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._show(context))

    def _show(self, context: bpy.types.Context) -> Iterable[str]:
        take, rigs = shown(context)
        frames = edits.frames_of(next(iter(rigs.values())), take)
        index = edits.index_at(frames, context.scene.frame_current)
        if not drag_points.show(context.scene, take, index, rigs):
            raise BadInputError("No hand is there in this frame; go to one that shows a hand.")
        return ["Drag points in the camera's view, then press Solve Around Changes."]


class HANDMOCAP_OT_clear_points(bpy.types.Operator):
    bl_idname = "handmocap.clear_points"
    bl_label = "Remove Points"
    bl_description = "Take the points away without using them"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Result:
        drag_points.clear(context.scene)
        return {"FINISHED"}


class HANDMOCAP_OT_resolve(EngineModal, bpy.types.Operator):
    bl_idname = "handmocap.resolve"
    bl_label = "Solve Again"
    bl_description = (
        "Keep what was changed on the hands exactly and solve the take again around it, without the footage; "
        "the result is a new take"
    )

    fix: bpy.props.EnumProperty(
        name="Fix",
        description="What is wrong in the current frame, or in the preview range when one is set",
        items=(
            ("POSE", "Pose", "Keep the keys and poses that were changed on the hands"),
            ("SWAP", "Swap Hands", "What was taken for the left hand is the right one, and the other way round"),
            ("HOLD", "Hold", "The pose before stays through these frames"),
            ("HIDDEN", "Hidden", "What was seen of this hand is wrong; follow time instead"),
            ("ABSENT", "Not There", "This hand is not in the picture"),
            ("CLEAR", "Forget", "Forget what was fixed in these frames"),
        ),
        options={"SKIP_SAVE"},
    )

    purpose = PURPOSE

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if engine_job.running(PURPOSE):
            cls.poll_message_set("A take is being solved")
            return False
        return has_take(cls, context)

    def command(self, context: bpy.types.Context) -> Message:
        from .. import preferences

        take, rigs = shown(context)
        before = take
        if self.fix == "POSE":
            take, changed = edits.with_edits(take, rigs, context.scene.frame_current)
        else:
            take, changed = with_changes(context, take, rigs)
        for (side, index), pixels in drag_points.moved(context.scene, take).items():
            take, changed = review.pointed(take, side, index, pixels), changed + 1
        if self.fix != "POSE":
            take = self._marked(context, take, rigs)
        elif not changed:
            raise BadInputError(
                "Nothing was changed on the hands since the take was applied; pose a bone or drag a point, then solve."
            )
        source = take_list.selected_path(context.scene)
        # The take stays as it is; what goes to the engine keeps its name, as the new take's parent.
        request = preferences.user_folder("cache") / "resolve" / source.name
        save_take(take, request)
        out = takes.new_path(source.parent, takes.display_name(source).rpartition("_")[0] or source.name)
        return {"type": "resolve", "take": str(request), "out": str(out), "around": review.fixed_since(before, take)}

    def finished(self, context: bpy.types.Context, state: JobState) -> None:
        entry = take_list.selected(context.scene)
        before, path = entry.name, entry.path
        take_list.add(context.scene, state.take, summary=state.summary)
        layer = path if self.fix != "POSE" and has_layer(context) else ""
        bpy.ops.handmocap.apply_again("EXEC_DEFAULT", True, layered=layer)
        self.report({"INFO"}, f"{before} was solved again as {take_list.selected(context.scene).name}.")

    def _marked(self, context: bpy.types.Context, take: Take, rigs: Mapping[Side, HandRig]) -> Take:
        scene = context.scene
        side = hand_rig.side_of(context.object)
        if self.fix != "SWAP" and side not in rigs:
            raise BadInputError("Select the hand that is meant, then try again.")
        frames = edits.frames_of(next(iter(rigs.values())), take)
        if scene.use_preview_range:
            inside = (frames >= scene.frame_preview_start - 0.5) & (frames <= scene.frame_preview_end + 0.5)
            indices = [int(index) for index in np.flatnonzero(inside)]
        else:
            indices = [edits.index_at(frames, scene.frame_current)]
        if self.fix == "SWAP":
            return review.swapped(take, indices)
        if self.fix == "HOLD":
            return review.held(take, side, indices)
        if self.fix == "CLEAR":
            return review.cleared(take, side, indices)
        return review.marked(take, side, indices, CorrectionKind[self.fix])


class HANDMOCAP_OT_apply_again(bpy.types.Operator):
    bl_idname = "handmocap.apply_again"
    bl_label = "Apply in Place"
    bl_description = "Put the selected take where the one before it stood"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    layered: bpy.props.StringProperty(
        name="Take Before",
        description="What was changed about this take becomes a layer over the new one",
        options={"HIDDEN", "SKIP_SAVE"},
    )

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._apply(context))

    def _apply(self, context: bpy.types.Context) -> Iterable[str]:
        drag_points.clear(context.scene)
        if self.layered:
            before = takes.found(self.layered)
            _, rigs = shown(context)
            if before is not None:
                edits.into_layer(load_take(before), rigs, context.scene.frame_current)
        apply_in_place(context, keep_layer=bool(self.layered))
        return ()


def has_layer(context: bpy.types.Context) -> bool:
    """Whether changes of the hands are to be kept in a layer of their own."""
    return Changes(properties(context).review.changes) is Changes.LAYER


def with_changes(context: bpy.types.Context, take: Take, rigs: Mapping[Side, HandRig]) -> tuple[Take, int]:
    """The take with what was changed on the hands as corrections, and in how many frames, as the user wants it.

    Where changes are to be a layer the take stays as it is: the layer is written when the new take is applied.
    """
    fixed, count = edits.with_edits(take, rigs, context.scene.frame_current)
    how = Changes(properties(context).review.changes)
    if how is Changes.ASK and count:
        raise BadInputError(
            f"The hands were changed in {count} frame{'s' * (count > 1)} since the take was applied; choose under "
            "Review & Fix what becomes of changed keys, then press this again."
        )
    return (take, count) if how is Changes.LAYER else (fixed, count)


def apply_in_place(context: bpy.types.Context, *, keep_layer: bool = False) -> None:
    """Put the selected take on the hands at the frames at which they show the one before it.

    Without `keep_layer` a layer of changes goes: the new take has them as corrections.
    """
    take, rigs = shown(context)
    frames = edits.frames_of(next(iter(rigs.values())), take)
    if not keep_layer:
        for rig in rigs.values():
            edit_layer.remove(rig.armature)
    # Frames a whole scene frame apart were applied one by one; others at their true times.
    even = np.allclose(np.diff(frames), np.diff(take.frame.astype(float)))
    take_scene.apply_take(
        context.scene,
        take,
        name=take_list.selected(context.scene).name,
        how=Timing.ONE_A_FRAME if even else Timing.TRUE_TIME,
        start=round(frames[0]),
        with_camera=False,
        set_range=False,
        keep_layer=keep_layer,
    )
