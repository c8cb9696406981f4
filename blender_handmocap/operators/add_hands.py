# SPDX-License-Identifier: GPL-3.0-or-later
"""Add the hand rigs."""

from __future__ import annotations

from collections.abc import Iterable

import bpy

from ..bridge import hand_rig
from ..engine.hand.names import SIDES
from .reporting import Result, told


class HANDMOCAP_OT_add_hands(bpy.types.Operator):
    bl_idname = "handmocap.add_hands"
    bl_label = "Add Hands"
    bl_description = "Add a rigged, skinned hand on each side that can be posed, shaped and keyed"
    bl_options = {"REGISTER", "UNDO"}

    sides: bpy.props.EnumProperty(
        name="Hands",
        description="Which hands to add",
        items=(
            ("BOTH", "Both", "A left and a right hand"),
            ("left", "Left", "A left hand"),
            ("right", "Right", "A right hand"),
        ),
    )

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._add(context))

    def _add(self, context: bpy.types.Context) -> Iterable[str]:
        sides = SIDES if self.sides == "BOTH" else (self.sides,)
        rigs = hand_rig.add_hands(context.scene, sides)
        if context.mode == "OBJECT":
            for obj in context.selected_objects:
                obj.select_set(False)
            for rig in rigs.values():
                rig.armature.select_set(True)
                context.view_layer.objects.active = rig.armature
        return ()


def draw_in_add_menu(menu: bpy.types.Menu, _context: bpy.types.Context) -> None:
    """The entry under Add > Armature."""
    menu.layout.operator(HANDMOCAP_OT_add_hands.bl_idname, text="HandMocap Hands", icon="VIEW_PAN")
