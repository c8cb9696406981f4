# SPDX-License-Identifier: GPL-3.0-or-later
"""Add the hand rigs."""

from __future__ import annotations

from collections.abc import Iterable

import bpy

from ..bridge import hand_rig
from ..engine.errors import BadInputError
from ..engine.hand.mano import hinges_from_joints, load_mano
from ..engine.hand.names import SIDES, Side
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

    model: bpy.props.EnumProperty(
        name="Model",
        description="Whose hands to add",
        items=(
            ("FREE", "Free Hand", "The hand that comes with HandMocap"),
            ("MANO", "MANO", "Your own MANO files, as chosen in the preferences"),
        ),
    )

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._add(context))

    def _add(self, context: bpy.types.Context) -> Iterable[str]:
        sides = SIDES if self.sides == "BOTH" else (self.sides,)
        if self.model == "MANO":
            rigs = {side: self._add_mano(context, side) for side in sides}
        else:
            rigs = hand_rig.add_hands(context.scene, sides)
        if context.mode == "OBJECT":
            for obj in context.selected_objects:
                obj.select_set(False)
            for rig in rigs.values():
                rig.armature.select_set(True)
                context.view_layer.objects.active = rig.armature
        return ()

    def _add_mano(self, context: bpy.types.Context, side: Side) -> hand_rig.HandRig:
        from .. import preferences

        path = getattr(preferences.get(context), f"mano_{side}")
        if not path:
            raise BadInputError(f"No MANO file is chosen for the {side} hand; choose it in HandMocap's preferences.")
        model = load_mano(bpy.path.abspath(path), side)
        return hand_rig.add_hand(context.scene, model, hinges_from_joints(model))


def draw_in_add_menu(menu: bpy.types.Menu, _context: bpy.types.Context) -> None:
    """The entry under Add > Armature."""
    menu.layout.operator(HANDMOCAP_OT_add_hands.bl_idname, text="HandMocap Hands", icon="VIEW_PAN")
