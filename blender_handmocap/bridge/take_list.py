# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene's list of takes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bpy

from ..engine.errors import BadInputError
from . import takes


def add(scene: bpy.types.Scene, path: Path, *, summary: str = "", name: str = "", notes: Iterable[str] = ()) -> None:
    """Put a take into the list and select it; one that is there already is only selected."""
    chosen = scene.handmocap
    for index, entry in enumerate(chosen.takes):
        if Path(bpy.path.abspath(entry.path)) == path:
            entry.summary, entry.notes = summary or entry.summary, "\n".join(notes) or entry.notes
            chosen.take_index = index
            return
    entry = chosen.takes.add()
    entry.name, entry.path, entry.summary = name or takes.display_name(path), takes.stored(path), summary
    entry.notes = "\n".join(notes)
    chosen.take_index = len(chosen.takes) - 1


def selected(scene: bpy.types.Scene) -> Any | None:
    """The selected entry."""
    chosen = scene.handmocap
    return chosen.takes[chosen.take_index] if 0 <= chosen.take_index < len(chosen.takes) else None


def selected_path(scene: bpy.types.Scene) -> Path:
    """Where the selected take is now."""
    entry = selected(scene)
    if entry is None:
        raise BadInputError("No take is selected; capture a clip or add a take file to the list.")
    return path_of(entry)


def path_of(entry: Any) -> Path:
    """Where a take of the list is now."""
    path = takes.found(entry.path)
    if path is None:
        raise BadInputError(
            f"The take {entry.name} is no longer at {bpy.path.abspath(entry.path)}; "
            "put the file back, or remove it from the list and add it from where it is now."
        )
    return path
