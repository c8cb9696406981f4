# SPDX-License-Identifier: GPL-3.0-or-later
"""An empty Blender file for each test."""

from __future__ import annotations

from collections.abc import Iterator

import bpy
import pytest


@pytest.fixture
def scene() -> Iterator[bpy.types.Scene]:
    """The scene of an empty file."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    yield bpy.context.scene
    bpy.ops.wm.read_factory_settings(use_empty=True)
