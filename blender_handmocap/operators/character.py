# SPDX-License-Identifier: GPL-3.0-or-later
"""Put a take on a character: recognise its bones, bake, keep bone maps as files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import bpy
import numpy as np
from bpy_extras.io_utils import ExportHelper, ImportHelper
from numpy.typing import NDArray

from ..bridge import bake_preview, character, take_list, timing
from ..bridge.timing import Timing
from ..character_properties import choices_of
from ..engine.errors import BadInputError, HandMocapError
from ..engine.hand.names import FINGERS, SIDES, Side
from ..engine.rigs.preset import ROLES, BoneMap
from ..engine.take import Take, load_take
from .reporting import Result, properties, told
from .take_list import has_take

SCHEMA: Final = "handmocap.bones/1"


def has_character(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """For `poll`: whether a character is chosen."""
    if properties(context).character is None:
        cls.poll_message_set("Choose the character's armature first")
        return False
    return True


def maps_of(chosen: Any) -> dict[Side, BoneMap]:
    """The bone list as the engine's maps; entries without a bone are left out."""
    return {
        side: BoneMap(
            side=side,
            bones={entry.role: entry.bone for entry in chosen.bones if entry.side == side and entry.bone},
            preset=chosen.preset,
        )
        for side in SIDES
    }


def fill(chosen: Any, maps: dict[Side, dict[str, str]], preset: str) -> None:
    """Write maps (side -> role -> bone) into the bone list, every role a line, so that empty ones can be filled."""
    chosen.bones.clear()
    chosen.preset = preset
    for side in SIDES:
        for role in sorted(ROLES, key=_place_in_list):
            entry = chosen.bones.add()
            entry.side, entry.role, entry.bone = side, role, maps.get(side, {}).get(role, "")


class HANDMOCAP_OT_recognise_character(bpy.types.Operator):
    bl_idname = "handmocap.recognise_character"
    bl_label = "Recognise Bones"
    bl_description = "Find out which kind of rig the character has and which of its bones make the hands"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_character(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: recognise(context))


def _place_in_list(role: str) -> tuple[int, str]:
    """The arm first, then the fingers from the thumb on, each from the palm outwards."""
    arm = ("upper_arm", "forearm", "wrist")
    return (arm.index(role) if role in arm else len(arm) + FINGERS.index(role[:-1])), role


def recognise(context: bpy.types.Context) -> Iterable[str]:
    """Fill the bone list from the character's skeleton."""
    chosen = properties(context)
    found = character.recognise(chosen.character)
    if found is None:
        raise BadInputError(
            f"No hands were recognised in {chosen.character.name}; choose their bones in the list, or load a bone map."
        )
    name = found.preset.name if found.preset is not None else "Guessed"
    fill(chosen, {side: dict(found.maps[side].bones) for side in SIDES}, name)
    missing = [f"{side} {role}" for side in SIDES for role in found.maps[side].missing if found.maps[side].bones]
    told_missing = [f"Not found: {', '.join(missing)}."] if missing else []
    return [f"{name}, {found.score:.0%} sure.", *told_missing]


def bake(context: bpy.types.Context) -> Iterable[str]:
    """Key the selected take on the chosen character."""
    scene, chosen = context.scene, properties(context)
    how = chosen.retarget
    recognised = [] if len(chosen.bones) else list(recognise(context))
    take = load_take(take_list.selected_path(scene))
    baked = character.bake(
        scene,
        take,
        chosen.character,
        maps_of(chosen),
        frames_of(scene, take),
        choices=choices_of(scene),
        within=(how.range_start, how.range_end) if how.use_range else None,
    )
    curves = sum(written.curves for written in baked.written.values())
    return [*recognised, f"{curves} channels of {chosen.character.name} were keyed.", *baked.notes]


def frames_of(scene: bpy.types.Scene, take: Take) -> NDArray[np.float64]:
    """The scene frames (T,) of the take's frames: from the scene's start, or with one of them on a marker."""
    chosen = scene.handmocap
    how = Timing.TRUE_TIME if chosen.timing == "AUTO" else Timing(chosen.timing)
    if how is Timing.MATCH_SCENE:
        timing.set_scene_rate(scene, take.rate)
    frames = timing.key_frames(take, how, scene.frame_start, timing.scene_rate(scene))
    name = chosen.retarget.sync_marker
    if not name:
        return frames + chosen.character_offset
    marker = scene.timeline_markers.get(name)
    if marker is None:
        raise BadInputError(f"The timeline has no marker {name}; choose another, or clear the field.")
    known = np.flatnonzero(take.frame == chosen.retarget.sync_frame)
    if not len(known):
        raise BadInputError(
            f"The take has no frame {chosen.retarget.sync_frame} (it goes from {take.frame[0]} to {take.frame[-1]}); "
            "give the clip's frame that falls on the marker."
        )
    return frames + (marker.frame - frames[known[0]]) + chosen.character_offset


class HANDMOCAP_OT_bake_character(bpy.types.Operator):
    bl_idname = "handmocap.bake_character"
    bl_label = "Bake to Character"
    bl_description = "Key the selected take on the mapped bones, in the character's current action; the rest stays"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_take(cls, context) and has_character(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        bake_preview.leave(properties(context).character)
        return told(self, lambda: bake(context))


class HANDMOCAP_OT_preview_character(bpy.types.Operator):
    bl_idname = "handmocap.preview_character"
    bl_label = "Preview"
    bl_description = (
        "Show the take on the character without touching its action: play it, change the choices, look again"
    )
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_take(cls, context) and has_character(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._preview(context))

    def _preview(self, context: bpy.types.Context) -> Iterable[str]:
        armature = properties(context).character
        bake_preview.begin(armature)
        try:
            return list(bake(context))
        except HandMocapError:
            bake_preview.leave(armature)
            raise


class HANDMOCAP_OT_leave_preview(bpy.types.Operator):
    bl_idname = "handmocap.leave_preview"
    bl_label = "Leave Preview"
    bl_description = "Back to the character as it was"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not bake_preview.shown(properties(context).character):
            cls.poll_message_set("The character shows no preview")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Result:
        bake_preview.leave(properties(context).character)
        return {"FINISHED"}


class HANDMOCAP_OT_save_bones(bpy.types.Operator, ExportHelper):
    bl_idname = "handmocap.save_bones"
    bl_label = "Save Bone Map"
    bl_description = "Write the bone list to a file, for other characters of this kind"

    filename_ext = ".json"
    filter_glob: bpy.props.StringProperty(default="*.json", options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._save(context))

    def _save(self, context: bpy.types.Context) -> Iterable[str]:
        chosen = properties(context)
        bones = {side: dict(bone_map.bones) for side, bone_map in maps_of(chosen).items()}
        text = json.dumps({"schema": SCHEMA, "preset": chosen.preset, "bones": bones}, indent=1)
        path = Path(bpy.path.abspath(self.filepath))
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise BadInputError(
                f"The bone map could not be written to {path} ({error.strerror}); choose another folder."
            ) from error
        return [f"Written to {path}."]


class HANDMOCAP_OT_load_bones(bpy.types.Operator, ImportHelper):
    bl_idname = "handmocap.load_bones"
    bl_label = "Load Bone Map"
    bl_description = "Read the bone list from a file"
    bl_options = {"REGISTER", "UNDO"}

    filename_ext = ".json"
    filter_glob: bpy.props.StringProperty(default="*.json", options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._load(context))

    def _load(self, context: bpy.types.Context) -> Iterable[str]:
        path = Path(bpy.path.abspath(self.filepath))
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["schema"] != SCHEMA:
                raise ValueError("another schema")
            maps = {side: {str(k): str(v) for k, v in content["bones"].get(side, {}).items()} for side in SIDES}
            preset = str(content.get("preset", ""))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadInputError(
                f"{path.name} is not a bone map of HandMocap; choose a file written by Save Bone Map."
            ) from error
        fill(properties(context), maps, preset)
        return ()
