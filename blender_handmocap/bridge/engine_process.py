# SPDX-License-Identifier: GPL-3.0-or-later
"""How Blender starts the engine: its own Python, our package, the wheels at the end."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import bpy

from ..engine.site import SITE_PACKAGES

PACKAGE_FOLDER: Final = Path(__file__).resolve().parent.parent


def wheel_folders() -> list[Path]:
    """Where Blender unpacked the wheels of its extensions for this Python; empty when nowhere."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folder = Path(bpy.utils.user_resource("EXTENSIONS")) / ".local" / "lib" / version / "site-packages"
    return [folder] if folder.is_dir() else []


def command(*arguments: str) -> list[str]:
    """The engine's command line as a child of Blender."""
    # -s and -P: neither the user's own packages nor the current folder may come before Blender's.
    return [sys.executable, "-s", "-P", "-m", "engine", *arguments]


def environment() -> dict[str, str]:
    """What the child inherits: `engine` importable by that name, the wheels named for engine/site.py."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
    return inherited | {
        "PYTHONPATH": str(PACKAGE_FOLDER),
        "PYTHONUTF8": "1",
        # Blender may run from a folder nobody but an administrator can write to.
        "PYTHONDONTWRITEBYTECODE": "1",
        SITE_PACKAGES: os.pathsep.join(map(str, wheel_folders())),
    }
