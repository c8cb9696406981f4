# SPDX-License-Identifier: GPL-3.0-or-later
"""What all panels share."""

from __future__ import annotations

from typing import Any, Final

CATEGORY: Final = "HandMocap"
LETTERS_A_LINE: Final = 38
"""that fit the sidebar at its usual width of 280 pixels, behind an icon"""


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


def draw_sentence(layout: Any, text: str, icon: str) -> None:
    """A sentence broken into lines that fit the sidebar."""
    column = layout.column(align=True)
    for line in lines_of(text):
        column.label(text=line, icon=icon)
        icon = "BLANK1"


def lines_of(text: str) -> list[str]:
    """Words in lines of at most LETTERS_A_LINE letters; a longer word, such as a path, has a line of its own."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= LETTERS_A_LINE:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
