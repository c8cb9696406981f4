# SPDX-License-Identifier: GPL-3.0-or-later
"""The hands themselves: adding and shaping them."""

from __future__ import annotations

import bpy

from ..bridge import hand_rig
from ..operators.add_hands import HANDMOCAP_OT_add_hands
from ..operators.import_take import HANDMOCAP_OT_import_take
from .common import SidebarPanel


class HANDMOCAP_PT_hands(SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_hands"
    bl_label = "Hands"

    def draw(self, context: bpy.types.Context) -> None:
        column = self.layout.column()
        column.operator(HANDMOCAP_OT_add_hands.bl_idname, icon="VIEW_PAN")
        column.operator(HANDMOCAP_OT_import_take.bl_idname, text="Import Take", icon="IMPORT")


class HANDMOCAP_PT_performer(SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_performer"
    bl_label = "Performer"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        armature = hand_of(context)
        if armature is None:
            layout.label(text="Select a hand to shape it.", icon="INFO")
            return
        hand = armature.handmocap
        layout.label(text=armature.name, icon="ARMATURE_DATA")
        layout.prop(context.scene.handmocap, "same_shape")
        layout.prop(hand, "palm_length")
        column = layout.column(align=True)
        for index in range(len(hand.betas)):
            column.prop(hand, "betas", index=index, text=f"Shape {index + 1}", slider=True)


def hand_of(context: bpy.types.Context) -> bpy.types.Object | None:
    """The hand armature that is active itself or as the skin's parent."""
    obj = context.object
    if obj is not None and obj.type == "MESH":
        obj = obj.parent
    return obj if hand_rig.side_of(obj) is not None else None
