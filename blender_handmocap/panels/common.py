# SPDX-License-Identifier: GPL-3.0-or-later
"""What all panels share."""

from __future__ import annotations

from typing import Final

CATEGORY: Final = "HandMocap"


class SidebarPanel:
    """A panel in the 3D View's sidebar, tab HandMocap."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = CATEGORY
