# SPDX-License-Identifier: GPL-3.0-or-later
"""The character, its bones, and how much of the hands it takes over."""

from __future__ import annotations

from typing import Any

import bpy

from ..engine.rigs.preset import NEEDED_ROLES
from ..operators.character import (
    HANDMOCAP_OT_load_bones,
    HANDMOCAP_OT_recognise_character,
    HANDMOCAP_OT_save_bones,
)
from .common import SidebarPanel, draw_sentence, split


class HANDMOCAP_PT_character(SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_character"
    bl_label = "Character"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = split(self.layout)
        chosen = context.scene.handmocap
        how = chosen.retarget
        layout.prop(chosen, "character")
        layout.operator(HANDMOCAP_OT_recognise_character.bl_idname, icon="VIEWZOOM")
        if chosen.preset:
            found = sum(bool(entry.bone) for entry in chosen.bones)
            layout.label(text=f"{chosen.preset}: {found} bones", icon="BONE_DATA")
            missing = missing_of(chosen)
            if missing:
                draw_sentence(layout, f"Not found: {', '.join(missing)}.", "ERROR")
        layout.prop(chosen, "character_reach", text="Take Over")
        if chosen.character_reach == "FINGERS":
            layout.prop(how, "wrist")
        else:
            layout.prop(how, "twist")
        if chosen.character_reach == "SPACE":
            layout.prop(how, "anchor", text="Anchor")
            layout.prop(how, "tilt")
            layout.prop(how, "scale")
            layout.prop(how, "shift")
        layout.prop(how, "contact")


def missing_of(chosen: Any) -> list[str]:
    """The parts of mapped hands that have no bone, as words."""
    sides = {entry.side for entry in chosen.bones if entry.bone}
    return [
        f"{entry.side} {title_of(entry.role).lower()}"
        for entry in chosen.bones
        if entry.side in sides and entry.role in NEEDED_ROLES and not entry.bone
    ]


class HANDMOCAP_UL_bones(bpy.types.UIList):
    """Only the rows that are seen are drawn, so that the list costs little however long it is."""

    bl_idname = "HANDMOCAP_UL_bones"

    def draw_item(
        self, context: bpy.types.Context, layout: Any, data: Any, item: Any, icon: int, active_data: Any, active: str
    ) -> None:
        row = layout.split(factor=0.42, align=True)
        row.label(text=f"{item.side[0].upper()} {title_of(item.role)}")
        is_missing = not item.bone and item.role in NEEDED_ROLES
        row.label(text=item.bone or "none", icon="ERROR" if is_missing else "NONE")


class HANDMOCAP_PT_bones(SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_bones"
    bl_label = "Bones"
    bl_parent_id = "HANDMOCAP_PT_character"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return context.scene.handmocap.character is not None

    def draw(self, context: bpy.types.Context) -> None:
        layout = split(self.layout)
        chosen = context.scene.handmocap
        row = layout.row(align=True)
        row.operator(HANDMOCAP_OT_load_bones.bl_idname, text="Load", icon="IMPORT")
        row.operator(HANDMOCAP_OT_save_bones.bl_idname, text="Save", icon="EXPORT")
        layout.template_list(HANDMOCAP_UL_bones.bl_idname, "", chosen, "bones", chosen, "bone_index", rows=9)
        if 0 <= chosen.bone_index < len(chosen.bones):
            entry = chosen.bones[chosen.bone_index]
            title = f"{entry.side[0].upper()} {title_of(entry.role)}"
            layout.prop_search(entry, "bone", chosen.character.data, "bones", text=title)


def title_of(role: str) -> str:
    """What a part of the hand is called in the list: `index0` is the bone in the palm."""
    if not role[-1].isdigit():
        return role.replace("_", " ").title()
    return f"{role[:-1].title()} {'Palm' if role.endswith('0') else role[-1]}"
