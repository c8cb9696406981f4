# SPDX-License-Identifier: GPL-3.0-or-later
"""What all panels share."""

from __future__ import annotations

from typing import Any, Final

CATEGORY: Final = "HandMocap"


class SidebarPanel:
    """A panel in the 3D View's sidebar, tab HandMocap."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = CATEGORY


class ClipPanel:
    """The same in the Clip Editor's sidebar."""

    bl_space_type = "CLIP_EDITOR"
    bl_region_type = "UI"
    bl_category = CATEGORY


def split(layout: Any) -> Any:
    """The layout with labels left of their values and no keyframe dots: nothing here is animated."""
    layout.use_property_split = True
    layout.use_property_decorate = False
    return layout
