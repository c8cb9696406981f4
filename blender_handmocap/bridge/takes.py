# SPDX-License-Identifier: GPL-3.0-or-later
"""Where takes live: beside the .blend file, or in HandMocap's own folder until there is one."""

from __future__ import annotations

import filecmp
import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any, Final

import bpy

log = logging.getLogger("handmocap.takes")

FOLDER_NAME: Final = "handmocap"
ENDING: Final = ".take.npz"


def folder(unsaved: Path) -> Path:
    """The folder for new takes; `unsaved` is used while the .blend has no place of its own."""
    return Path(bpy.data.filepath).parent / FOLDER_NAME if bpy.data.filepath else unsaved


def new_path(where: Path, source: str) -> Path:
    """A path in `where` that nothing has yet, named after the footage: wave_001.take.npz."""
    stem = re.sub(r"[^\w.-]+", "_", Path(source).stem or "take")
    number = 1
    while (path := where / f"{stem}_{number:03d}{ENDING}").exists() or path.with_name(f"{path.name}.partial").exists():
        number += 1
    return path


def stored(path: Path) -> str:
    """The path as a .blend keeps it: relative when the take lies on its way."""
    if not bpy.data.filepath:
        return str(path)
    try:
        relative = os.path.relpath(path, Path(bpy.data.filepath).parent)
    except ValueError:
        # Another drive on Windows.
        return str(path)
    return str(path) if relative.startswith("..") else f"//{Path(relative).as_posix()}"


def found(text: str) -> Path | None:
    """Where a stored take is now: where it says, or by its name beside the .blend; None when it is gone."""
    path = Path(bpy.path.abspath(text))
    if path.is_file():
        return path
    if bpy.data.filepath:
        beside = Path(bpy.data.filepath).parent
        for candidate in (beside / FOLDER_NAME / path.name, beside / path.name):
            if candidate.is_file():
                return candidate
    return None


def display_name(path: Path) -> str:
    """What a take is called until the user says otherwise."""
    return path.name.removesuffix(ENDING).removesuffix(".npz")


def bring_along(entries: Any, target: Path, unsaved: Path) -> None:
    """Copy takes made before the file had a place into `target`'s folder and point the list at the copies.

    `entries` have `path`; called right before a .blend is written to `target`.
    """
    for entry in entries:
        path = Path(bpy.path.abspath(entry.path))
        if not path.is_file() or path.parent != unsaved:
            continue
        copy = target.parent / FOLDER_NAME / path.name
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            if copy.exists() and not filecmp.cmp(path, copy, shallow=False):
                # Another file's take that happens to have the name.
                copy = new_path(copy.parent, display_name(path).rpartition("_")[0] or path.name)
            if not copy.exists():
                shutil.copy2(path, copy)
        except OSError:
            # The take stays where it is and the list goes on pointing there.
            log.warning("%s could not be copied beside the file", path, exc_info=True)
            continue
        entry.path = f"//{FOLDER_NAME}/{copy.name}"
