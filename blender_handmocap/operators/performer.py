# SPDX-License-Identifier: GPL-3.0-or-later
"""Performers: whose hands these are, kept by name; the shape measured from a take."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import bpy

from ..bridge import engine_job, performers, take_list
from ..bridge.engine_job import JobState, Message
from ..engine.errors import BadInputError
from ..engine.hand.free import free_hand
from ..engine.performer import Performer, load_performer, performer_file, performers_in, save_performer
from ..engine.settings import BETA_COUNT
from ..engine.take import load_take
from .engine_modal import EngineModal
from .preview_picture import StillPicture
from .reporting import Result, properties, told
from .take_list import has_take

PURPOSE: Final = "measure_take"

_items_alive: list[tuple[str, str, str]] = []
"""enum items; Blender needs the texts to live on"""


_picture = StillPicture()


def show_measured(path: Path) -> None:
    """Show a picture of what was measured and what was fitted."""
    _picture.show(path)


def shown_picture() -> int:
    """The icon of that picture; 0 when there is none."""
    return _picture.icon


def _items(_self: Any, _context: bpy.types.Context | None) -> list[tuple[str, str, str]]:
    from .. import preferences

    found = performers_in(preferences.user_folder("performers"))
    _items_alive[:] = [(one.name, one.name, f"Palm {one.palm_mm:.1f} mm") for one in found]
    return _items_alive or [("", "Nobody Saved Yet", "Save the present hand under a name first")]


def unlocked(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """For `poll`: whether the performer's shape may change."""
    if properties(context).lock_shape:
        cls.poll_message_set("The performer's shape is locked")
        return False
    return True


class HANDMOCAP_OT_save_performer(bpy.types.Operator):
    bl_idname = "handmocap.save_performer"
    bl_label = "Save Performer"
    bl_description = "Keep this hand under the performer's name, for this and other files"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not properties(context).performer.strip():
            cls.poll_message_set("Give the performer a name first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._save(context))

    def _save(self, context: bpy.types.Context) -> Iterable[str]:
        from .. import preferences

        chosen = properties(context)
        performer = Performer(chosen.performer.strip(), chosen.palm, tuple(chosen.betas))
        save_performer(performer, performer_file(preferences.user_folder("performers"), performer.name))
        return [f"{performer.name} is saved."]


class HANDMOCAP_OT_choose_performer(bpy.types.Operator):
    bl_idname = "handmocap.choose_performer"
    bl_label = "Choose Performer"
    bl_description = "Take a saved performer's hand; the scene's hands follow at once"
    bl_options = {"REGISTER", "UNDO"}

    performer: bpy.props.EnumProperty(name="Performer", description="Saved performers", items=_items)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return unlocked(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._choose(context))

    def _choose(self, context: bpy.types.Context) -> Iterable[str]:
        from .. import preferences

        if not self.performer:
            raise BadInputError("Nobody is saved yet; give this hand a name and save it.")
        found = load_performer(performer_file(preferences.user_folder("performers"), self.performer))
        performers.take_over(context.scene, found)
        return ()


class HANDMOCAP_OT_delete_performer(bpy.types.Operator):
    bl_idname = "handmocap.delete_performer"
    bl_label = "Delete Performer"
    bl_description = "Forget the saved performer of this name; this scene keeps the hand"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not properties(context).performer.strip():
            cls.poll_message_set("Choose a performer first")
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Any:
        # A file cannot be brought back by undo.
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: bpy.types.Context) -> Result:
        from .. import preferences

        name = properties(context).performer.strip()
        path = performer_file(preferences.user_folder("performers"), name)
        if not path.is_file():
            self.report({"INFO"}, f"{name} is not saved.")
            return {"CANCELLED"}
        path.unlink()
        self.report({"INFO"}, f"{name} is no longer saved.")
        return {"FINISHED"}


class HANDMOCAP_OT_reset_shape(bpy.types.Operator):
    bl_idname = "handmocap.reset_shape"
    bl_label = "Reset Shape"
    bl_description = "Back to the mean hand in its own size"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return unlocked(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        palm = free_hand("right").palm_length * 1000.0
        chosen = properties(context)
        performers.take_over(
            context.scene, Performer(chosen.performer or "Mean Hand", palm, (0.0,) * BETA_COUNT), rename=False
        )
        return {"FINISHED"}


class HANDMOCAP_OT_measure_take(EngineModal, bpy.types.Operator):
    bl_idname = "handmocap.measure_take"
    bl_label = "Calibrate from Take"
    bl_description = (
        "Measure the hand's proportions from what the selected take has seen; "
        "kept only when frames that were held out then agree better"
    )

    purpose = PURPOSE
    escape_text = "Stop"
    _drawn = Path()

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if engine_job.running(PURPOSE):
            cls.poll_message_set("A take is being measured")
            return False
        return has_take(cls, context) and unlocked(cls, context)

    def command(self, context: bpy.types.Context) -> Message:
        from .. import preferences

        cache = preferences.get(context).cache_path
        cache.mkdir(parents=True, exist_ok=True)
        self._drawn = cache / "proportions.jpg"
        return {
            "type": "resolve",
            "take": str(take_list.selected_path(context.scene)),
            "out": str(cache / "measured.take.npz"),
            "picture": str(self._drawn),
            "settings": {"calibrate": True, "betas": []},
        }

    def finished(self, context: bpy.types.Context, state: JobState) -> None:
        take = load_take(state.take)
        shape = take.meta.get("shape", {})
        if shape.get("kept"):
            chosen = properties(context)
            name = chosen.performer or "Performer"
            performers.take_over(
                context.scene, Performer(name, take.size * 1000.0, tuple(take.betas.tolist())), rename=False
            )
            bpy.ops.ed.undo_push(message="Calibrate from Take")
        reason = str(shape.get("reason", "The take could not be measured."))
        state.summary = reason
        if shape.get("measured"):
            show_measured(self._drawn)
        self.report({"INFO"}, reason)
