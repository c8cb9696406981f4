# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever can be pressed or chosen says what it does, and panels are cheap to draw."""

from __future__ import annotations

from typing import Any

import bpy
import pytest

from blender_handmocap import registration
from blender_handmocap.panels import common
from blender_handmocap.panels.character import title_of


def classes(kind: type) -> list[Any]:
    return [cls for cls in registration.CLASSES if issubclass(cls, kind)]


@pytest.mark.parametrize("cls", classes(bpy.types.Operator), ids=lambda cls: cls.__name__)
def test_every_button_has_a_tooltip(enabled: bpy.types.Scene, cls: Any) -> None:
    described = cls.bl_rna.description if not getattr(cls, "bl_description", "") else cls.bl_description
    assert len(described) > 10, cls
    # Blender adds the full stop.
    assert not described.endswith("."), described
    for name in cls.__annotations__:
        prop = cls.bl_rna.properties.get(name)
        # An operator's own `name` hides behind the one every type of Blender's has.
        if prop is None or prop.is_hidden or name == "name":
            continue
        assert prop.description, f"{cls.__name__}.{name}"
        if prop.type == "ENUM" and not prop.is_enum_flag:
            assert all(item.description for item in prop.enum_items), f"{cls.__name__}.{name}"


@pytest.mark.parametrize(
    "cls", [c for c in classes(bpy.types.PropertyGroup) if "PG_bone" not in c.__name__], ids=lambda cls: cls.__name__
)
def test_every_choice_has_a_tooltip(enabled: bpy.types.Scene, cls: Any) -> None:
    for name in cls.__annotations__:
        prop = cls.bl_rna.properties[name]
        if prop.type in ("COLLECTION", "POINTER"):
            continue
        assert prop.description, f"{cls.__name__}.{name}"
        if prop.type == "ENUM":
            assert all(item.description for item in prop.enum_items), f"{cls.__name__}.{name}"


def test_sentences_are_broken_to_fit_the_sidebar() -> None:
    text = "Where the hands touch in the take the body holds them up to 30 cm apart, too far to bring them together."
    lines = common.lines_of(text)
    assert " ".join(lines) == text
    assert max(map(len, lines)) <= common.LETTERS_A_LINE


def test_parts_of_a_hand_are_called_by_names() -> None:
    assert [title_of(role) for role in ("wrist", "upper_arm", "thumb1", "index0")] == [
        "Wrist", "Upper Arm", "Thumb 1", "Index Palm",
    ]  # fmt: skip
