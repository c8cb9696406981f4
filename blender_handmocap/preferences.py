# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to the machine and its user, not to a scene."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any, Final

import bpy

ROOT_PACKAGE: Final = __package__ or "blender_handmocap"

COMPONENTS: Final = (
    # what the user reads, module, distributions that may bring it
    ("NumPy", "numpy", ("numpy",)),
    ("OpenCV", "cv2", ("opencv-python-headless", "opencv-python")),
    ("onnxruntime", "onnxruntime", ("onnxruntime-gpu", "onnxruntime")),
)
DEVICES: Final = (
    ("auto", "Automatic", "The graphics card when the package and the machine support it, else the processor"),
    ("cpu", "Processor", "Run the networks on the processor"),
    ("cuda", "NVIDIA graphics card", "Needs the GPU package and the CUDA libraries; the processor stands in"),
)
LOG_LEVELS: Final = (
    ("WARNING", "Problems", "Write only what went wrong"),
    ("DEBUG", "Everything", "Write every step, for a bug report"),
)

CACHE_NAME: Final = "handmocap cache"
"""Of the folder in a place of the user's choice: it is deleted as a whole, so it is ours alone."""
_test_lines: list[tuple[str, bool]] = []
"""What the last self-test said, and whether each line is good; lives as long as Blender runs."""
_cache_sizes: dict[Path, int] = {}
"""Bytes of a cache folder as last looked at; drawing must not search the disk again and again."""


@cache
def component_lines() -> tuple[tuple[str, bool], ...]:
    """A line for each component and whether it is there; nothing is imported to find out."""
    lines = []
    for name, module, distributions in COMPONENTS:
        found = importlib.util.find_spec(module) is not None
        lines.append((f"{name} {_version(distributions)}".strip() if found else f"{name} is missing", found))
    return tuple(lines)


def _version(distributions: tuple[str, ...]) -> str:
    for distribution in distributions:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""


def remember_test(lines: list[tuple[str, bool]]) -> None:
    """Keep what the self-test said for drawing; look for the components anew."""
    component_lines.cache_clear()
    _test_lines[:] = lines
    forget_cache_size()


def cache_size(folder: Path) -> int:
    """Bytes in the cache, as they were when they were counted last."""
    if folder not in _cache_sizes:
        _cache_sizes[folder] = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return _cache_sizes[folder]


def forget_cache_size() -> None:
    """Count the cache anew when it is drawn next."""
    _cache_sizes.clear()


def wants_details(context: bpy.types.Context | None = None) -> bool:
    """Whether the engine is to write everything into its log; False where HandMocap runs as a plain package."""
    addon = (context or bpy.context).preferences.addons.get(ROOT_PACKAGE)
    return addon is not None and addon.preferences.log_level == "DEBUG"


class HANDMOCAP_AP_preferences(bpy.types.AddonPreferences):
    bl_idname = ROOT_PACKAGE

    device: bpy.props.EnumProperty(name="Device", description="What runs the networks", items=DEVICES)
    threads: bpy.props.IntProperty(
        name="Threads", description="Threads a network may use; 0 chooses from the machine", min=0, max=64
    )
    cache_folder: bpy.props.StringProperty(
        name="Cache",
        description="A folder of HandMocap's own is made there for previews; empty: where Blender keeps its extensions",
        subtype="DIR_PATH",
    )
    mano_right: bpy.props.StringProperty(
        name="MANO right", description="Your own MANO_RIGHT.pkl or .npz; read without running it", subtype="FILE_PATH"
    )
    mano_left: bpy.props.StringProperty(
        name="MANO left", description="Your own MANO_LEFT.pkl or .npz; read without running it", subtype="FILE_PATH"
    )
    log_level: bpy.props.EnumProperty(name="Log", description="What goes into the log file", items=LOG_LEVELS)

    @property
    def cache_path(self) -> Path:
        """The folder for unfinished captures; made on demand by whoever writes. Nobody else's files lie there."""
        if self.cache_folder:
            return Path(bpy.path.abspath(self.cache_folder)) / CACHE_NAME
        return user_folder("cache")

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        self._draw_engine(layout.box())
        column = layout.column()
        column.prop(self, "device")
        column.prop(self, "threads")
        column.prop(self, "cache_folder")
        row = column.row()
        row.label(text=f"{cache_size(self.cache_path) / 1e6:.1f} MB in use", icon="BLANK1")
        row.operator("handmocap.clear_cache", icon="TRASH")
        row = column.row()
        row.prop(self, "log_level")
        row.operator("handmocap.open_logs", text="", icon="FILE_FOLDER")
        self._draw_mano(layout.box())

    def _draw_engine(self, box: Any) -> None:
        if not _test_lines:
            for text, found in component_lines():
                box.label(text=text, icon="CHECKMARK" if found else "ERROR")
        box.operator("handmocap.self_test", icon="PLAY")
        for text, good in _test_lines:
            box.label(text=text, icon="CHECKMARK" if good else "ERROR")

    def _draw_mano(self, box: Any) -> None:
        box.label(text="HandMocap needs no MANO files: it brings a free hand of its own.", icon="INFO")
        box.label(text="MANO's licence forbids passing the files on, so they are yours to get and to choose here.")
        box.prop(self, "mano_right")
        box.prop(self, "mano_left")


def get(context: bpy.types.Context | None = None) -> HANDMOCAP_AP_preferences:
    """HandMocap's preferences; a KeyError when it is not enabled."""
    found: HANDMOCAP_AP_preferences = (context or bpy.context).preferences.addons[ROOT_PACKAGE].preferences
    return found


def has_mano(context: bpy.types.Context) -> bool:
    """Whether the user chose MANO files."""
    chosen = get(context)
    return bool(chosen.mano_right or chosen.mano_left)


def user_folder(name: str) -> Path:
    """A folder of HandMocap's own that survives updates."""
    try:
        return Path(bpy.utils.extension_path_user(ROOT_PACKAGE, path=name))
    except ValueError:
        # Imported as a plain package, as tests and scripts do: there is no extension to own a folder.
        return Path(bpy.utils.user_resource("DATAFILES", path="handmocap")) / name
