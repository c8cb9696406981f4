# SPDX-License-Identifier: GPL-3.0-or-later
"""Put a take on a character: recognise its bones, bake, keep bone maps as files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import bpy
from bpy_extras.io_utils import ExportHelper, ImportHelper

from ..bridge import character, take_list, timing
from ..bridge.character import Reach
from ..bridge.timing import Timing
from ..engine.errors import BadInputError
from ..engine.hand.names import SIDES, Side
from ..engine.rigs.preset import ROLES, BoneMap
from ..engine.take import load_take
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
        for role in ROLES:
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


class HANDMOCAP_OT_bake_character(bpy.types.Operator):
    bl_idname = "handmocap.bake_character"
    bl_label = "Bake to Character"
    bl_description = "Key the selected take on the mapped bones, in the character's current action; the rest stays"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_take(cls, context) and has_character(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._bake(context))

    def _bake(self, context: bpy.types.Context) -> Iterable[str]:
        scene, chosen = context.scene, properties(context)
        recognised = [] if len(chosen.bones) else list(recognise(context))
        take = load_take(take_list.selected_path(scene))
        how = Timing.TRUE_TIME if chosen.timing == "AUTO" else Timing(chosen.timing)
        if how is Timing.MATCH_SCENE:
            timing.set_scene_rate(scene, take.rate)
        start = scene.frame_start + chosen.character_offset
        frames = timing.key_frames(take, how, start, timing.scene_rate(scene))
        baked = character.bake(
            scene, take, chosen.character, maps_of(chosen), frames, reach=Reach(chosen.character_reach)
        )
        curves = sum(written.curves for written in baked.written.values())
        return [*recognised, f"{curves} channels of {chosen.character.name} were keyed.", *baked.notes]


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
