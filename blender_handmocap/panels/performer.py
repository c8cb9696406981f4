# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose hands these are: name, size, shape, and ways to measure them."""

from __future__ import annotations

from typing import Any

import bpy

from ..bridge import engine_job, hand_rig
from ..operators.calibrate_photo import PURPOSE as PHOTO, HANDMOCAP_OT_calibrate_photo
from ..operators.performer import (
    PURPOSE as MEASURE,
    HANDMOCAP_OT_choose_performer,
    HANDMOCAP_OT_delete_performer,
    HANDMOCAP_OT_measure_take,
    HANDMOCAP_OT_reset_shape,
    HANDMOCAP_OT_save_performer,
    shown_picture,
)
from .common import SidebarPanel, draw_sentence, split


class HANDMOCAP_PT_performer(SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_performer"
    bl_label = "Performer"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = split(self.layout)
        chosen = context.scene.handmocap
        row = layout.row(align=True)
        row.use_property_split = False
        row.operator_menu_enum(HANDMOCAP_OT_choose_performer.bl_idname, "performer", text="", icon="USER")
        row.prop(chosen, "performer", text="", placeholder="Name")
        row.operator(HANDMOCAP_OT_save_performer.bl_idname, text="", icon="FILE_TICK")
        row.operator(HANDMOCAP_OT_delete_performer.bl_idname, text="", icon="TRASH")
        layout.prop(chosen, "use_performer")
        row = layout.row(align=True)
        row.prop(chosen, "palm")
        row.prop(chosen, "lock_shape", text="", icon="LOCKED" if chosen.lock_shape else "UNLOCKED")
        draw_sentence(layout, "From the wrist's crease to the knuckle of the middle finger.", "BLANK1")
        column = layout.column(align=True)
        column.operator(HANDMOCAP_OT_calibrate_photo.bl_idname, icon="IMAGE_DATA")
        column.operator(HANDMOCAP_OT_measure_take.bl_idname, icon="TRACKER")
        _draw_measuring(layout)


def _draw_measuring(layout: Any) -> None:
    for purpose in (PHOTO, MEASURE):
        job = engine_job.current(purpose)
        if engine_job.running(purpose):
            layout.label(text="Measuring", icon="TIME")
        elif job is not None and job.state.error:
            draw_sentence(layout, job.state.error, "ERROR")
        elif job is not None:
            draw_sentence(layout, job.state.summary, "INFO")
    if shown_picture():
        layout.template_icon(shown_picture(), scale=10.0)


class HANDMOCAP_PT_shape(SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_shape"
    bl_label = "Shape"
    bl_parent_id = "HANDMOCAP_PT_performer"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = split(self.layout)
        chosen = context.scene.handmocap
        column = layout.column(align=True)
        column.enabled = not chosen.lock_shape
        for index in range(len(chosen.betas)):
            column.prop(chosen, "betas", index=index, text=f"Shape {index + 1}", slider=True)
        if chosen.lock_shape:
            draw_sentence(layout, "The shape is locked; the lock is beside the palm length.", "LOCKED")
        layout.operator(HANDMOCAP_OT_reset_shape.bl_idname, icon="LOOP_BACK")


class HANDMOCAP_PT_hand_shape(SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_hand_shape"
    bl_label = "Selected Hand"
    bl_parent_id = "HANDMOCAP_PT_performer"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = split(self.layout)
        armature = hand_of(context)
        if armature is None:
            draw_sentence(layout, "Select a hand to give it a shape of its own.", "INFO")
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
