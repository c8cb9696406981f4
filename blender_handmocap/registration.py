# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything Blender learns of HandMocap, in one place and one order; leaving is the mirror of coming."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import bpy

from . import character_properties, handlers, preferences, properties
from .operators import (
    add_hands,
    cache,
    calibrate_photo,
    cameras,
    capture,
    capture_again,
    character,
    clean_up,
    example,
    export_take,
    import_results,
    import_take,
    live,
    performer,
    pose_hand,
    resume,
    review,
    several_takes,
    take_list,
    use_clip,
)
from .operators.self_test import HANDMOCAP_OT_self_test
from .panels import (
    capture as capture_panel,
    character as character_panel,
    clean_up as clean_up_panel,
    confidence_strip,
    export as export_panel,
    footage as footage_panel,
    hands,
    live as live_panel,
    performer as performer_panel,
    review as review_panel,
    workflow,
)

log = logging.getLogger("handmocap")

CLASSES: Final[tuple[type, ...]] = (
    # A class stands behind those it uses.
    preferences.HANDMOCAP_AP_preferences,
    HANDMOCAP_OT_self_test,
    cache.HANDMOCAP_OT_clear_cache,
    cache.HANDMOCAP_OT_open_logs,
    properties.HANDMOCAP_PG_hand,
    properties.HANDMOCAP_PG_take,
    properties.HANDMOCAP_PG_bone,
    character_properties.HANDMOCAP_PG_review,
    character_properties.HANDMOCAP_PG_clean_up,
    character_properties.HANDMOCAP_PG_retarget,
    properties.HANDMOCAP_PG_scene,
    add_hands.HANDMOCAP_OT_add_hands,
    import_take.HANDMOCAP_OT_import_take,
    capture.HANDMOCAP_OT_capture,
    capture.HANDMOCAP_OT_cancel_capture,
    capture.HANDMOCAP_OT_show_part,
    capture_again.HANDMOCAP_OT_capture_mirrored,
    resume.HANDMOCAP_OT_resume_capture,
    example.HANDMOCAP_OT_try_example,
    use_clip.HANDMOCAP_OT_use_clip,
    cameras.HANDMOCAP_OT_find_cameras,
    cameras.HANDMOCAP_OT_choose_camera,
    pose_hand.HANDMOCAP_OT_pose_hand,
    pose_hand.HANDMOCAP_OT_pose_from_picture,
    pose_hand.HANDMOCAP_OT_apply_pose,
    pose_hand.HANDMOCAP_OT_save_pose,
    performer.HANDMOCAP_OT_choose_performer,
    performer.HANDMOCAP_OT_save_performer,
    performer.HANDMOCAP_OT_delete_performer,
    performer.HANDMOCAP_OT_reset_shape,
    performer.HANDMOCAP_OT_measure_take,
    calibrate_photo.HANDMOCAP_OT_calibrate_photo,
    take_list.HANDMOCAP_OT_apply_take,
    take_list.HANDMOCAP_OT_add_take,
    take_list.HANDMOCAP_OT_remove_take,
    import_results.HANDMOCAP_OT_import_results,
    clean_up.HANDMOCAP_OT_polish_take,
    clean_up.HANDMOCAP_OT_thin_keys,
    export_take.HANDMOCAP_OT_export_take,
    character.HANDMOCAP_OT_recognise_character,
    character.HANDMOCAP_OT_bake_character,
    character.HANDMOCAP_OT_preview_character,
    character.HANDMOCAP_OT_leave_preview,
    character.HANDMOCAP_OT_save_bones,
    character.HANDMOCAP_OT_load_bones,
    live.HANDMOCAP_OT_live,
    live.HANDMOCAP_OT_record,
    live.HANDMOCAP_OT_stop_live,
    live.HANDMOCAP_OT_recover_recordings,
    review.HANDMOCAP_OT_next_weak_frame,
    review.HANDMOCAP_OT_show_points,
    review.HANDMOCAP_OT_clear_points,
    review.HANDMOCAP_OT_resolve,
    review.HANDMOCAP_OT_apply_again,
    several_takes.HANDMOCAP_OT_compare_takes,
    several_takes.HANDMOCAP_OT_stop_comparing,
    several_takes.HANDMOCAP_OT_use_range,
    # Panels stand in the sidebar in this order: that of the work.
    hands.HANDMOCAP_PT_hands,
    hands.HANDMOCAP_PT_pose,
    footage_panel.HANDMOCAP_PT_footage,
    footage_panel.HANDMOCAP_PT_clip_footage,
    performer_panel.HANDMOCAP_PT_performer,
    performer_panel.HANDMOCAP_PT_shape,
    performer_panel.HANDMOCAP_PT_hand_shape,
    capture_panel.HANDMOCAP_PT_capture,
    capture_panel.HANDMOCAP_PT_clip_capture,
    live_panel.HANDMOCAP_PT_live,
    workflow.HANDMOCAP_UL_takes,
    workflow.HANDMOCAP_PT_takes,
    workflow.HANDMOCAP_PT_several_takes,
    review_panel.HANDMOCAP_PT_review,
    clean_up_panel.HANDMOCAP_PT_clean_up,
    character_panel.HANDMOCAP_PT_character,
    character_panel.HANDMOCAP_UL_bones,
    character_panel.HANDMOCAP_PT_bones,
    export_panel.HANDMOCAP_PT_export,
)

POINTERS: Final[tuple[tuple[type, str, type], ...]] = (
    (bpy.types.Scene, "handmocap", properties.HANDMOCAP_PG_scene),
    (bpy.types.Object, "handmocap", properties.HANDMOCAP_PG_hand),
)
"""Blender type, attribute, our property group: one property a type."""

MENUS: Final[tuple[tuple[type, Callable[..., None]], ...]] = (
    (bpy.types.VIEW3D_MT_armature_add, add_hands.draw_in_add_menu),
    (bpy.types.TOPBAR_MT_file_import, import_take.draw_in_import_menu),
    (bpy.types.TOPBAR_MT_file_import, import_results.draw_in_import_menu),
)
"""Blender menu, function that draws our entry in it."""

HANDLERS: Final[tuple[tuple[list[Any], Callable[..., None]], ...]] = (
    (bpy.app.handlers.save_pre, handlers.before_saving),
)
"""List in bpy.app.handlers, function; functions are persistent so that loading a file keeps them."""


def register() -> None:
    """All or nothing: when a step fails, those before it are taken back and the failure goes on."""
    undo: list[Callable[[], None]] = []
    try:
        for do, take_back in _steps():
            do()
            undo.append(take_back)
    except Exception:
        _run(reversed(undo))
        raise


def unregister() -> None:
    """The mirror of `register`; a step that fails is logged and the rest still happens."""
    _run([handlers.leave])
    _run(take_back for _, take_back in reversed(_steps()))
    preferences.component_lines.cache_clear()


def _steps() -> list[tuple[Callable[[], None], Callable[[], None]]]:
    return [
        *(_class_step(cls) for cls in CLASSES),
        *(_pointer_step(*pointer) for pointer in POINTERS),
        *(_menu_step(*entry) for entry in MENUS),
        *(_handler_step(*entry) for entry in HANDLERS),
        (confidence_strip.start, confidence_strip.stop),
    ]


def _class_step(cls: type) -> tuple[Callable[[], None], Callable[[], None]]:
    return lambda: bpy.utils.register_class(cls), lambda: bpy.utils.unregister_class(cls)


def _pointer_step(owner: type, name: str, group: type) -> tuple[Callable[[], None], Callable[[], None]]:
    return lambda: setattr(owner, name, bpy.props.PointerProperty(type=group)), lambda: delattr(owner, name)


def _menu_step(menu: Any, draw: Callable[..., None]) -> tuple[Callable[[], None], Callable[[], None]]:
    return lambda: menu.append(draw), lambda: menu.remove(draw)


def _handler_step(handlers: list[Any], function: Callable[..., None]) -> tuple[Callable[[], None], Callable[[], None]]:
    return lambda: handlers.append(function), lambda: handlers.remove(function)


def _run(steps: Any) -> None:
    for step in steps:
        try:
            step()
        except Exception:
            log.exception("A step back failed; the rest of HandMocap is still being unregistered.")
