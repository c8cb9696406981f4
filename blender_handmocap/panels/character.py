# SPDX-License-Identifier: GPL-3.0-or-later
"""The take on a character."""

from __future__ import annotations

import bpy

from ..operators.character import (
    HANDMOCAP_OT_bake_character,
    HANDMOCAP_OT_load_bones,
    HANDMOCAP_OT_recognise_character,
    HANDMOCAP_OT_save_bones,
)
from .common import SidebarPanel, split


class HANDMOCAP_PT_character(SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_character"
    bl_label = "Character"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = split(self.layout)
        chosen = context.scene.handmocap
        layout.prop(chosen, "character")
        layout.operator(HANDMOCAP_OT_recognise_character.bl_idname, icon="VIEWZOOM")
        if chosen.preset:
            found = sum(bool(entry.bone) for entry in chosen.bones)
            layout.label(text=f"{chosen.preset}: {found} bones", icon="BONE_DATA")
        layout.prop(chosen, "character_reach")
        layout.prop(chosen, "character_offset")
        column = layout.column()
        column.scale_y = 1.4
        column.operator(HANDMOCAP_OT_bake_character.bl_idname, icon="KEYFRAME")


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
        side = ""
        for entry in chosen.bones:
            if entry.side != side:
                side = entry.side
                layout.label(text=side.capitalize())
            layout.prop_search(entry, "bone", chosen.character.data, "bones", text=entry.role)
