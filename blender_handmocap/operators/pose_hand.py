# SPDX-License-Identifier: GPL-3.0-or-later
"""Pose this hand: from the webcam, from a picture, or from the clip's current frame; keep a pose as an asset."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import bpy
from bpy_extras.io_utils import ImportHelper

from ..bridge import camera_path, engine_job, hand_rig, poses
from ..bridge.engine_job import JobState, Message
from ..bridge.hand_rig import HandRig
from ..bridge.poses import PosedPart
from ..engine.errors import BadInputError
from ..engine.hand.names import SIDES
from ..engine.take import load_take
from ..properties import camera_of, footage_of, to_settings
from . import warm_up
from .engine_modal import EngineModal
from .reporting import Result, told

PURPOSE: Final = warm_up.PURPOSE
PARTS: Final = (
    (PosedPart.FINGERS.value, "Fingers", "The fingers; the wrist stays as it is"),
    (PosedPart.WRIST.value, "Fingers and Wrist", "The fingers, and the wrist turned as the camera saw it"),
    (PosedPart.PLACE.value, "Everything", "Also where the camera saw the hand"),
)
PICTURES: Final = "*.png;*.jpg;*.jpeg;*.bmp;*.tif;*.tiff;*.webp"


def selected_rigs(context: bpy.types.Context) -> list[HandRig]:
    """The selected hand rigs (or the hands whose skin is selected); none selected: all of the scene's."""
    found = hand_rig.find_hands(context.scene)
    objects = {obj for obj in (context.object, *context.selected_objects) if obj is not None}
    objects |= {obj.parent for obj in objects if obj.type == "MESH" and obj.parent is not None}
    mine = [
        HandRig(side, obj, hand_rig.skin_of(obj))
        for obj in sorted(objects, key=lambda obj: obj.name)
        if (side := hand_rig.side_of(obj)) is not None
    ]
    return mine or list(found.values())


class HANDMOCAP_OT_pose_hand(EngineModal, bpy.types.Operator):
    bl_idname = "handmocap.pose_hand"
    bl_label = "Pose This Hand"
    bl_description = "Give the selected hand the pose of a hand in a picture; the mirror image serves the other hand"

    origin: bpy.props.EnumProperty(
        name="From",
        description="Where the picture comes from",
        items=(
            ("CAMERA", "Webcam", "What the webcam sees now"),
            ("CLIP", "Current Frame", "The footage's picture at the current frame"),
            ("FILE", "Picture", "A picture file"),
        ),
        options={"SKIP_SAVE"},
    )
    filepath: bpy.props.StringProperty(
        name="Picture", description="The picture file", subtype="FILE_PATH", options={"SKIP_SAVE", "HIDDEN"}
    )
    part: bpy.props.EnumProperty(name="Pose", description="How much of the hand is posed", items=PARTS, default="WRIST")

    purpose = PURPOSE
    keeps_engine = True
    escape_text = "Stop"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if engine_job.running(PURPOSE):
            cls.poll_message_set("A picture is being looked at")
            return False
        return True

    def command(self, context: bpy.types.Context) -> Message:
        from .. import preferences

        cache = preferences.get(context).cache_path
        cache.mkdir(parents=True, exist_ok=True)
        message = {
            "type": "snapshot",
            "out": str(cache / "pose.take.npz"),
            "preview": str(cache / "pose_preview.jpg"),
            "settings": asdict(to_settings(context.scene, preferences.get(context))),
        }
        if self.origin == "CAMERA":
            return {**message, "source": camera_of(context.scene)}
        if self.origin == "CLIP":
            source = footage_of(context.scene)
            if not source:
                raise BadInputError("No clip is chosen as footage; choose one, or pose the hand from a picture.")
            number = context.scene.frame_current - camera_path.first_frame(context.scene)
            return {**message, "source": source, "frame": max(0, number)}
        path = Path(bpy.path.abspath(self.filepath))
        if not path.is_file():
            raise BadInputError(f"There is no picture at {path}; choose another one.")
        return {**message, "source": str(path)}

    def finished(self, context: bpy.types.Context, state: JobState) -> None:
        if not bpy.app.background:
            warm_up.stay()
        bpy.ops.handmocap.apply_pose("EXEC_DEFAULT", True, filepath=str(state.take), part=self.part)


class HANDMOCAP_OT_pose_from_picture(bpy.types.Operator, ImportHelper):
    bl_idname = "handmocap.pose_from_picture"
    bl_label = "Pose from Picture"
    bl_description = "Give the selected hand the pose of a hand in a picture file"

    filter_glob: bpy.props.StringProperty(default=PICTURES, options={"HIDDEN"})
    part: bpy.props.EnumProperty(name="Pose", description="How much of the hand is posed", items=PARTS, default="WRIST")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Any:
        # While the picture is being chosen the engine gets ready.
        warm_up.now()
        return super().invoke(context, event)

    def execute(self, context: bpy.types.Context) -> Result:
        return bpy.ops.handmocap.pose_hand("INVOKE_DEFAULT", origin="FILE", filepath=self.filepath, part=self.part)


class HANDMOCAP_OT_apply_pose(bpy.types.Operator):
    bl_idname = "handmocap.apply_pose"
    bl_label = "Pose Hand"
    bl_description = "Pose the selected hand at the current frame as a picture shows it"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    filepath: bpy.props.StringProperty(
        name="Take", description="A take of one frame", subtype="FILE_PATH", options={"HIDDEN", "SKIP_SAVE"}
    )
    part: bpy.props.EnumProperty(name="Pose", description="How much of the hand is posed", items=PARTS, default="WRIST")

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._pose(context))

    def _pose(self, context: bpy.types.Context) -> Iterable[str]:
        take = load_take(self.filepath)
        seen = [side for side in SIDES if take.track(side).present[0]]
        rigs = selected_rigs(context)
        if not rigs:
            rigs = list(hand_rig.add_hands(context.scene, seen).values())
        elif len(rigs) > 1:
            # Two hands are selected, or none is: each takes its own.
            rigs = [rig for rig in rigs if rig.side in seen] or rigs
        for rig in rigs:
            rotation, translation, is_mirrored = poses.seen_pose(take, rig.side)
            if poses.is_keyed(rig, context.scene):
                poses.key(rig, context.scene.frame_current, rotation, translation, PosedPart(self.part))
            poses.show(rig, rotation, translation, PosedPart(self.part))
            mirrored = ", as the mirror image of the other hand" if is_mirrored else ""
            yield f"{rig.armature.name} was posed{mirrored}."


class HANDMOCAP_OT_save_pose(bpy.types.Operator):
    bl_idname = "handmocap.save_pose"
    bl_label = "Save as Pose Asset"
    bl_description = "Keep the pose of the selected hand in the Asset Browser; it mirrors to the other hand there"
    bl_options = {"REGISTER", "UNDO"}

    name: bpy.props.StringProperty(name="Name", description="What the pose is called", default="Hand Pose")
    with_wrist: bpy.props.BoolProperty(
        name="With Wrist", description="Keep the wrist's rotation as well; else only the fingers"
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not any(hand_rig.side_of(obj) for obj in context.scene.objects):
            cls.poll_message_set("Add hands first")
            return False
        return True

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Any:
        return context.window_manager.invoke_props_dialog(self)

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._save(context))

    def _save(self, context: bpy.types.Context) -> Iterable[str]:
        rigs = selected_rigs(context)
        chosen = next((rig for rig in rigs if rig.armature == context.object), rigs[0])
        action = poses.save_asset(chosen, self.name.strip() or "Hand Pose", with_wrist=self.with_wrist)
        return [f"{action.name} of {chosen.armature.name} is in the Asset Browser, under this file."]
