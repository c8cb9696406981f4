# SPDX-License-Identifier: GPL-3.0-or-later
"""Buttons pressed when what they need was deleted, renamed or never there: a sentence each, never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import pytest

from blender_handmocap.bridge import hand_rig
from blender_handmocap.bridge.modes import editing_bones
from tests.bridge.test_real_rigs import person
from tests.bridge.test_review_operators import applied  # noqa: F401 - fixtures
from tests.bridge.test_several_takes import two  # noqa: F401 - fixture

BUTTONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("next_weak_frame", {}),
    ("show_points", {}),
    ("clear_points", {}),
    ("resolve", {}),
    ("resolve", {"fix": "HOLD"}),
    ("polish_take", {}),
    ("thin_keys", {}),
    ("thin_keys", {"character": True}),
    ("compare_takes", {}),
    ("stop_comparing", {}),
    ("use_range", {}),
    ("apply_take", {}),
    ("recognise_character", {}),
    ("preview_character", {}),
    ("bake_character", {}),
    ("leave_preview", {}),
    ("save_pose", {}),
    ("pose_hand", {"origin": "CLIP"}),
    ("reset_shape", {}),
    ("capture", {}),
    ("record", {}),
    ("stop_live", {}),
    ("cancel_capture", {}),
    ("recover_recordings", {}),
    ("remove_take", {}),
)


def without_skin(scene: bpy.types.Scene, _folder: Path) -> None:
    bpy.data.objects.remove(hand_rig.find_hands(scene)["left"].mesh)


def without_a_hand(scene: bpy.types.Scene, _folder: Path) -> None:
    bpy.data.objects.remove(hand_rig.find_hands(scene)["left"].armature)


def without_a_bone(scene: bpy.types.Scene, _folder: Path) -> None:
    with editing_bones(hand_rig.find_hands(scene)["left"].armature) as edit_bones:
        edit_bones.remove(edit_bones["index2.L"])


def without_the_action(scene: bpy.types.Scene, _folder: Path) -> None:
    bpy.data.actions.remove(hand_rig.find_hands(scene)["left"].armature.animation_data.action)


def without_files(_scene: bpy.types.Scene, folder: Path) -> None:
    for path in folder.glob("*.npz"):
        path.unlink()


def without_the_character(scene: bpy.types.Scene, _folder: Path) -> None:
    bpy.data.objects.remove(scene.handmocap.character)


def renamed_and_posing(scene: bpy.types.Scene, _folder: Path) -> None:
    scene.name = "Renamed"
    bpy.context.view_layer.objects.active = hand_rig.find_hands(scene)["left"].armature
    bpy.ops.object.mode_set(mode="POSE")


def another_file(_scene: bpy.types.Scene, _folder: Path) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "harm",
    [
        without_skin,
        without_a_hand,
        without_a_bone,
        without_the_action,
        without_files,
        without_the_character,
        renamed_and_posing,
        another_file,
    ],
)
def test_every_button_works_or_says_why_not(
    two: bpy.types.Scene,  # noqa: F811
    tmp_path: Path,
    harm: Callable[[bpy.types.Scene, Path], None],
) -> None:
    two.use_preview_range, two.frame_preview_start, two.frame_preview_end = True, 5, 9
    two.handmocap.character = person(two, "mixamo")
    harm(two, tmp_path)
    for name, choices in BUTTONS:
        button = getattr(bpy.ops.handmocap, name)
        if not button.poll():
            continue
        said = answer_of(button, choices)
        assert "Traceback" not in said, (name, choices, said)
        assert said.startswith("Error: ") or not said, (name, choices, said)


def answer_of(button: Callable[..., set[str]], choices: dict[str, Any]) -> str:
    """What pressing it reports as an error; nothing where it worked."""
    try:
        button(**choices)
    except RuntimeError as error:
        return str(error)
    return ""
