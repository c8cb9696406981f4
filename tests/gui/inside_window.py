# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a Blender with a window: installs the package, opens our tab, and tells the test what it sees.

`blender --python inside_window.py -- PACKAGE.zip STATE.json`. It presses nothing itself: the test's mouse does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import bpy

PACKAGE, STATE = (Path(argument) for argument in sys.argv[sys.argv.index("--") + 1 :][:2])
MODULE = "bl_ext.user_default.handmocap"
SECONDS = 0.15
told: dict[str, Any] = {"step": "starting", "problems": [], "ticks": 0}


def view() -> tuple[bpy.types.Window, bpy.types.Area, bpy.types.Region]:
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    return window, area, next(region for region in area.regions if region.type == "UI")


def install() -> None:
    bpy.ops.extensions.package_install_files(
        filepath=str(PACKAGE), repo="user_default", enable_on_install=True, overwrite=True
    )
    for obj in list(bpy.data.objects):
        # The cube of the first file is larger than any hand.
        bpy.data.objects.remove(obj)
    told["enabled"] = MODULE in bpy.context.preferences.addons


def open_tab() -> None:
    _, area, region = view()
    area.spaces.active.show_region_ui = True
    area.tag_redraw()
    region.active_panel_category = "HandMocap"


def hovered(window: bpy.types.Window, area: bpy.types.Area, region: bpy.types.Region) -> str:
    """The Python command of the button under the pointer."""
    bpy.context.window_manager.clipboard = ""
    with bpy.context.temp_override(window=window, area=area, region=region):
        if bpy.ops.ui.copy_python_command_button.poll():
            bpy.ops.ui.copy_python_command_button()
    return str(bpy.context.window_manager.clipboard)


def frame_hands() -> None:
    """Turn the view to what was added, once, for the picture."""
    window, area, _ = view()
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.view3d.view_axis(type="TOP")
        bpy.ops.view3d.view_selected()
    area.tag_redraw()
    told["framed"] = True


def look() -> None:
    window, area, region = view()
    told.update(
        version=bpy.app.version_string,
        background=bpy.app.background,
        window=[window.x, window.y, window.width, window.height],
        sidebar=[region.x, region.y, region.width, region.height],
        tab=region.active_panel_category,
        hovered=hovered(window, area, region),
        objects={obj.name: obj.type for obj in bpy.context.scene.objects},
        bones={obj.name: len(obj.data.bones) for obj in bpy.context.scene.objects if obj.type == "ARMATURE"},
        undo=[operator.bl_idname for operator in bpy.context.window_manager.operators],
    )


def tick() -> float:
    told["ticks"] += 1
    try:
        if told["step"] == "starting":
            install()
            told["step"] = "installed"
        elif told["step"] == "installed":
            # In its own process the engine loads the wheels for this Blender's own Python.
            told["self_test"] = sorted(bpy.ops.handmocap.self_test())
            told["step"] = "tested"
        elif told["step"] == "tested":
            view()[1].spaces.active.show_region_ui = True
            told["step"] = "sidebar"
        elif told["step"] == "sidebar":
            open_tab()
            told["step"] = "ready"
        else:
            look()
            if told["bones"] and not told.get("framed"):
                frame_hands()
    except Exception as error:
        told["problems"].append(repr(error))
    temporary = STATE.with_suffix(".tmp")
    temporary.write_text(json.dumps(told), encoding="utf-8")
    temporary.replace(STATE)
    return SECONDS


# A splash would lie over everything and swallow the mouse.
bpy.context.preferences.view.show_splash = False
bpy.app.timers.register(tick, first_interval=1.0)
