# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a Blender with a window: installs the package, opens our tab, and tells the test what it sees.

`blender --python inside_window.py -- PACKAGE.zip STATE.json`. It presses nothing itself: the test's mouse does. What no
mouse can do well (choosing files) the test asks for by name, in request.json beside STATE.json.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import bpy

PACKAGE, STATE = (Path(argument) for argument in sys.argv[sys.argv.index("--") + 1 :][:2])
REQUEST = STATE.with_name("request.json")
MODULE = "bl_ext.user_default.handmocap"
SECONDS = 0.15
told: dict[str, Any] = {"step": "starting", "problems": [], "ticks": 0, "asked": 0}


def view() -> tuple[bpy.types.Window, bpy.types.Area, bpy.types.Region]:
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    return window, area, next(region for region in area.regions if region.type == "UI")


def overridden() -> Any:
    """The context of the 3D View, as an operator called there has it."""
    window, area, _ = view()
    region = next(region for region in area.regions if region.type == "WINDOW")
    return bpy.context.temp_override(window=window, area=area, region=region)


def install() -> None:
    bpy.ops.extensions.package_install_files(
        filepath=str(PACKAGE), repo="user_default", enable_on_install=True, overwrite=True
    )
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


def clear_scene() -> None:
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)


def frame_hands() -> None:
    """Turn the view to what is selected, for the picture."""
    with overridden():
        bpy.ops.view3d.view_axis(type="TOP")
        bpy.ops.view3d.view_selected()
    view()[1].tag_redraw()


def show_frame(number: int) -> None:
    """Stop playing and go to a frame."""
    if bpy.context.screen.is_animation_playing:
        with overridden():
            bpy.ops.screen.animation_cancel(restore_frame=False)
    bpy.context.scene.frame_set(number)


def face(name: str) -> None:
    """Look at an object from in front, for the picture."""
    with overridden():
        for obj in bpy.context.view_layer.objects:
            obj.select_set(obj.name == name)
        bpy.ops.view3d.view_axis(type="FRONT")
        bpy.ops.view3d.view_selected()
    view()[1].tag_redraw()


def roll_down(steps: int) -> None:
    """Roll the sidebar, for the picture; back with fewer than none."""
    window, area, region = view()
    roll = bpy.ops.view2d.scroll_down if steps > 0 else bpy.ops.view2d.scroll_up
    with bpy.context.temp_override(window=window, area=area, region=region):
        for _ in range(abs(steps)):
            roll(deltay=40)
    region.tag_redraw()


def choose_footage(path: str) -> None:
    bpy.context.scene.handmocap.source = "FILE"
    bpy.context.scene.handmocap.footage = path


def set_option(name: str, value: Any) -> None:
    setattr(bpy.context.scene.handmocap, name, value)


def pose_from(path: str) -> None:
    with overridden():
        bpy.ops.handmocap.pose_hand("INVOKE_DEFAULT", origin="FILE", filepath=path)


def calibrate_from(path: str) -> None:
    with overridden():
        bpy.ops.handmocap.calibrate_photo("INVOKE_DEFAULT", filepath=path, reference="a4")


def live_from(path: str) -> None:
    bpy.context.scene.handmocap.live_source = path
    with overridden():
        bpy.ops.handmocap.live("INVOKE_DEFAULT", record=True)


def run(operator: str, choices: dict[str, Any] | None = None) -> None:
    """Press a button that lies further down in the sidebar."""
    with overridden():
        getattr(bpy.ops.handmocap, operator)("INVOKE_DEFAULT", **(choices or {}))


def add_person(path: str) -> None:
    """A character: an armature as `path` tells it, beside the hands."""
    rig = json.loads(Path(path).read_text(encoding="utf-8"))["rigs"]["default"]
    armature = bpy.data.objects.new("Person", bpy.data.armatures.new("Person"))
    bpy.context.scene.collection.objects.link(armature)
    armature.location, armature.scale = (0.0, 1.2, -1.3), (0.1,) * 3
    bpy.context.view_layer.objects.active = armature
    with overridden():
        bpy.ops.object.mode_set(mode="EDIT")
        for name, bone in rig.items():
            made = armature.data.edit_bones.new(name)
            made.head, made.tail, made.roll = bone["head"], bone["tail"], bone["roll"]
        for name, bone in rig.items():
            if bone["parent"]:
                armature.data.edit_bones[name].parent = armature.data.edit_bones[bone["parent"]]
        bpy.ops.object.mode_set(mode="OBJECT")
    bpy.context.scene.handmocap.character = armature


def drag_point(name: str, by: list[float]) -> None:
    """Drag a point over the footage."""
    point = bpy.data.objects[name]
    point.location = [place + step for place, step in zip(point.location, by, strict=True)]


def tell_tip(bone: str, frames: list[int]) -> None:
    """Where a bone's head is at some frames."""
    scene = bpy.context.scene
    now = scene.frame_current
    places = []
    for frame in frames:
        scene.frame_set(frame)
        hand = next(o for o in scene.objects if o.type == "ARMATURE" and bone in o.pose.bones)
        hand = hand.evaluated_get(bpy.context.evaluated_depsgraph_get())
        places.append(list(hand.matrix_world @ hand.pose.bones[bone].head))
    scene.frame_set(now)
    told["tips"] = places


def tell_draw_cost(redraws: int = 9) -> None:
    """Processor time that all our panels, all open, take of a redraw, and a yardstick of the machine; milliseconds."""
    panels = [
        panel
        for panel in importlib.import_module(f"{MODULE}.registration").CLASSES
        if issubclass(panel, bpy.types.Panel) and panel.bl_space_type == "VIEW_3D"
    ]
    spent: dict[str, list[float]] = {panel.__name__: [] for panel in panels}
    shown = [opened(panel, spent[panel.__name__]) for panel in panels]
    for panel in reversed(panels):
        bpy.utils.unregister_class(panel)
    try:
        for panel in shown:
            bpy.utils.register_class(panel)
        for _ in range(redraws):
            view()[2].tag_redraw()
            bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=1)
    finally:
        for panel in reversed(shown):
            bpy.utils.unregister_class(panel)
        for panel in panels:
            bpy.utils.register_class(panel)
    began, total = time.thread_time(), 0
    for number in range(100_000):
        total += number * number
    told["yardstick"] = 1e3 * (time.thread_time() - began)
    told["draw_cost"] = {name: 1e3 * sorted(times)[len(times) // 2] for name, times in spent.items() if times}


def opened(panel: Any, times: list[float]) -> type:
    """A panel like another that is open and notes the processor time it draws for."""

    def draw(self: Any, context: bpy.types.Context) -> None:
        began = time.thread_time()
        panel.draw(self, context)
        times.append(time.thread_time() - began)

    options = set(getattr(panel, "bl_options", ())) - {"DEFAULT_CLOSED"}
    # Under another name Blender does not remember that it was closed.
    own = {"bl_idname": f"{panel.bl_idname}_open", "bl_options": options, "bl_category": "HandMocap", "draw": draw}
    if getattr(panel, "bl_parent_id", ""):
        own["bl_parent_id"] = f"{panel.bl_parent_id}_open"
    return type(f"{panel.__name__}_open", (panel,), own)


def kill_engine() -> None:
    """The engine dies under a running capture."""
    jobs()["capture"].child.kill()


def jobs() -> dict[str, Any]:
    return dict(importlib.import_module(f"{MODULE}.bridge.engine_job")._current)


def undo() -> None:
    with overridden():
        bpy.ops.ed.undo()


def save(name: str) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(STATE.with_name(name)))


def reopen(name: str) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(STATE.with_name(name)))


def enable(on: bool) -> None:
    operator = bpy.ops.preferences.addon_enable if on else bpy.ops.preferences.addon_disable
    operator(module=MODULE)


def tell_jobs() -> dict[str, Any]:
    return {
        name: {
            "stage": job.state.stage,
            "done": job.state.done,
            "total": job.state.total,
            "finished": job.state.finished,
            "error": job.state.error,
            "summary": job.state.summary,
            "part": str(job.state.part or ""),
        }
        for name, job in jobs().items()
    }


def look() -> None:
    window, area, region = view()
    scene = bpy.context.scene
    told.update(
        version=bpy.app.version_string,
        background=bpy.app.background,
        window=[window.x, window.y, window.width, window.height],
        sidebar=[region.x, region.y, region.width, region.height],
        tab=region.active_panel_category,
        objects={obj.name: obj.type for obj in scene.objects},
        hidden=[obj.name for obj in scene.objects if obj.hide_get()],
        bones={obj.name: len(obj.data.bones) for obj in scene.objects if obj.type == "ARMATURE"},
        undo=names_of(bpy.context.window_manager.operators),
        frame=scene.frame_current,
        range=[scene.frame_start, scene.frame_end],
        scene=scene.name,
        playing=bpy.context.screen.is_animation_playing,
        perspective=area.spaces.active.region_3d.view_perspective,
        actions=sorted(action.name for action in bpy.data.actions),
        busy=names_of(window.modal_operators),
    )
    told["enabled"] = MODULE in bpy.context.preferences.addons
    if told["enabled"]:
        character = scene.handmocap.character
        told["character"] = {
            "kind": scene.handmocap.preset,
            "bones": sum(bool(entry.bone) for entry in scene.handmocap.bones),
            "previews": character is not None and "handmocap_preview" in character,
            "curves": curves_of(character),
            "points": sum(obj.type == "EMPTY" for obj in scene.objects),
        }
        told.update(takes=[[take.name, take.summary] for take in scene.handmocap.takes], jobs=tell_jobs())
        told["pose"] = [
            [round(value, 4) for value in bone.rotation_quaternion]
            for obj in scene.objects
            if obj.type == "ARMATURE"
            for bone in obj.pose.bones
        ]
    told["hovered"] = hovered(window, area, region)


def curves_of(character: bpy.types.Object | None) -> int:
    """Of the action the character plays."""
    animation = None if character is None else character.animation_data
    if animation is None or animation.action is None:
        return 0
    actions = importlib.import_module(f"{MODULE}.bridge.actions")
    owner = actions.existing_channels(character)
    return 0 if owner is None else len(owner.fcurves)


def answer() -> bool:
    """Do what the test asks for, once; whether there was something."""
    try:
        request = json.loads(REQUEST.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if request["number"] <= told["asked"]:
        return False
    told["asked"] = request["number"]
    globals()[request["function"]](*request["arguments"])
    return True


def names_of(operators: Any) -> list[str]:
    """Operators by name; one whose extension was disabled has none any more."""
    names = []
    for operator in operators:
        with contextlib.suppress(ValueError):
            names.append(operator.bl_idname)
    return names


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
        elif not answer() and bpy.context.screen is not None:
            # After what was asked for, which may be opening a file, Blender first comes to itself.
            look()
    except Exception as error:
        told["problems"].append(repr(error))
    temporary = STATE.with_suffix(".tmp")
    temporary.write_text(json.dumps(told), encoding="utf-8")
    temporary.replace(STATE)
    return SECONDS


# A splash would lie over everything and swallow the mouse.
bpy.context.preferences.view.show_splash = False
bpy.app.timers.register(tick, first_interval=1.0, persistent=True)
