# SPDX-License-Identifier: GPL-3.0-or-later
"""To and from other programs."""

from __future__ import annotations

import bpy

from ..bridge import engine_job
from ..operators.export_take import HANDMOCAP_OT_export_take
from ..operators.import_results import PURPOSE, HANDMOCAP_OT_import_results
from .common import SidebarPanel


class HANDMOCAP_PT_export(SidebarPanel, bpy.types.Panel):
    bl_idname = "HANDMOCAP_PT_export"
    bl_label = "Export & Import"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, _context: bpy.types.Context) -> None:
        column = self.layout.column()
        column.operator_context = "INVOKE_DEFAULT"
        column.operator(HANDMOCAP_OT_export_take.bl_idname, icon="EXPORT")
        column.operator(HANDMOCAP_OT_import_results.bl_idname, icon="IMPORT")
        if engine_job.running(PURPOSE):
            state = engine_job.current(PURPOSE).state
            column.progress(factor=state.share, type="BAR", text=state.line)
