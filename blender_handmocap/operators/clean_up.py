# SPDX-License-Identifier: GPL-3.0-or-later
"""Smooth a take again from its raw result; the footage is not needed."""

from __future__ import annotations

from collections.abc import Iterable

import bpy

from ..bridge import take_list, takes
from ..engine.polish import PolishSettings, polish
from ..engine.take import load_take, save_take
from .reporting import Result, properties, told
from .take_list import has_take


class HANDMOCAP_OT_polish_take(bpy.types.Operator):
    bl_idname = "handmocap.polish_take"
    bl_label = "Smooth Again"
    bl_description = "Make a new take from the raw result of the selected one, smoothed as chosen; the old one stays"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_take(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        return told(self, lambda: self._polish(context))

    def _polish(self, context: bpy.types.Context) -> Iterable[str]:
        source = take_list.selected_path(context.scene)
        take = load_take(source)
        parent = take.with_tracks(meta={**take.meta, "parent": source.name})
        chosen = properties(context)
        choices = PolishSettings(strength=chosen.smoothing, gaps=chosen.gaps, longest_gap=chosen.longest_gap)
        smoothed = polish(parent, choices)
        path = takes.new_path(source.parent, takes.display_name(source).rpartition("_")[0] or source.name)
        save_take(smoothed, path)
        take_list.add(context.scene, path, summary=take_list.selected(context.scene).summary)
        return [f"Smoothed into {takes.display_name(path)}."]
