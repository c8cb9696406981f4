# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions put to a fresh Blender: `python inside_blender.py QUESTION ANSWER.json [ARGUMENT...]`."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import bpy

ROOT = Path(__file__).resolve().parents[2]
MODULE = "bl_ext.user_default.handmocap"
HEAVY = ("cv2", "onnxruntime", "scipy", "torch", "numpy.random")

LOOK_AROUND = """
import json, sys
from engine.site import prepare
prepare()
import cv2, numpy, onnxruntime
from pathlib import Path
from engine.take import Take
models = Path(sys.argv[1])
session = onnxruntime.InferenceSession(str(models / "mediapipe_palm.onnx"), providers=["CPUExecutionProvider"])
asked = session.get_inputs()[0]
shape = [size if isinstance(size, int) else 1 for size in asked.shape]
kind = {"tensor(uint8)": numpy.uint8, "tensor(float)": numpy.float32}[asked.type]
outputs = session.run(None, {asked.name: numpy.zeros(shape, kind)})
picture = cv2.GaussianBlur(numpy.full((8, 8, 3), 200, numpy.uint8), (3, 3), 0)
print(json.dumps({
    "numpy": numpy.__file__, "cv2": cv2.__file__, "onnxruntime": onnxruntime.__file__,
    "finite": bool(all(numpy.isfinite(output).all() for output in outputs)), "pixel": int(picture[4, 4, 0]),
    "bpy": "bpy" in sys.modules,
}))
"""


def extensions() -> Path:
    return Path(bpy.utils.user_resource("EXTENSIONS"))


def link_source() -> None:
    """The working tree as an installed extension."""
    folder = extensions() / "user_default"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "handmocap").symlink_to(ROOT / "blender_handmocap", target_is_directory=True)


def enable() -> None:
    assert bpy.ops.preferences.addon_enable(module=MODULE) == {"FINISHED"}
    assert MODULE in bpy.context.preferences.addons


def disable() -> None:
    assert bpy.ops.preferences.addon_disable(module=MODULE) == {"FINISHED"}
    assert MODULE not in bpy.context.preferences.addons


def state() -> dict[str, Any]:
    """Everything of Blender's that an extension can leave something in."""
    types = {name: getattr(bpy.types, name) for name in dir(bpy.types)}
    draws = {
        name: len(getattr(cls.draw, "_draw_funcs", ()))
        for name, cls in types.items()
        if hasattr(cls, "draw") and getattr(cls.draw, "_draw_funcs", ())
    }
    handlers = {
        name: len(value) for name in dir(bpy.app.handlers) if isinstance(value := getattr(bpy.app.handlers, name), list)
    }
    owners = (bpy.types.Scene, bpy.types.Object, bpy.types.WindowManager, bpy.types.Armature, bpy.types.PoseBone)
    keymaps = bpy.context.window_manager.keyconfigs.addon
    return {
        "types": sorted(types),
        "operators": sorted(dir(bpy.ops.handmocap)),
        # More than one draw function means somebody appended an entry to a menu or a panel.
        "draws": {name: count for name, count in draws.items() if count > 1},
        "handlers": handlers,
        "properties": {owner.__name__: sorted(owner.bl_rna.properties.keys()) for owner in owners},
        "keys": sum(len(keymap.keymap_items) for keymap in keymaps.keymaps) if keymaps else 0,
        "addons": sorted(bpy.context.preferences.addons.keys()),
    }


def whole_life(package: str) -> dict[str, Any]:
    """Install the zip, enable it, use what it brought, disable and uninstall it."""
    before = state()
    installed = bpy.ops.extensions.package_install_files(filepath=package, repo="user_default", enable_on_install=True)
    folder = extensions() / "user_default" / "handmocap"
    facts: dict[str, Any] = {
        "installed": sorted(installed),
        "enabled": MODULE in bpy.context.preferences.addons,
        "heavy": [name for name in HEAVY if name in sys.modules],
        "files": sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()),
        "extensions": str(extensions()),
    }
    process = importlib.import_module(f"{MODULE}.bridge.engine_process")
    facts["wheel_folders"] = [str(path) for path in process.wheel_folders()]
    facts["operators"] = sorted(dir(bpy.ops.handmocap))
    importlib.import_module(f"{MODULE}.engine.take")

    numpy_folder = Path(os.environ["BLENDER_USER_RESOURCES"]) / "blenders-own"
    own_numpy = Path(importlib.util.find_spec("numpy").origin).parent
    numpy_folder.mkdir()
    (numpy_folder / "numpy").symlink_to(own_numpy)
    if (own_numpy.parent / "numpy.libs").exists():
        (numpy_folder / "numpy.libs").symlink_to(own_numpy.parent / "numpy.libs")
    # -S hides the test environment's packages: all but numpy must come from the zip.
    environment = process.environment()
    environment["PYTHONPATH"] = os.pathsep.join([environment["PYTHONPATH"], str(numpy_folder)])
    child = subprocess.run(
        [sys.executable, "-S", "-s", "-P", "-c", LOOK_AROUND, str(folder / "models")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    facts["child"] = json.loads(child.stdout) if child.returncode == 0 else child.stderr
    facts["blenders_numpy"] = str(numpy_folder)

    facts["wheels"] = sorted(path.name for where in facts["wheel_folders"] for path in Path(where).glob("*.dist-info"))
    facts["numpy_in_blender"] = importlib.import_module("numpy").__file__
    disable()
    facts["left_after_disabling"] = difference(before, state())
    repositories = [repository.module for repository in bpy.context.preferences.extensions.repos]
    removed = bpy.ops.extensions.package_uninstall(repo_index=repositories.index("user_default"), pkg_id="handmocap")
    facts["uninstalled"] = sorted(removed)
    facts["folder_left"] = folder.exists()
    facts["left_after_uninstalling"] = difference(before, state())
    facts["wheels_left"] = sorted(
        path.name for where in facts["wheel_folders"] for path in Path(where).glob("*.dist-info")
    )
    return facts


def fifty_times() -> dict[str, Any]:
    """Enable and disable again and again."""
    link_source()
    before = state()
    enable()
    during = difference(before, state())
    disable()
    for _ in range(49):
        enable()
        disable()
    return {"during": during, "left": difference(before, state())}


def cost_of_enabling() -> dict[str, Any]:
    """What enabling imports, and how long it takes (a figure to report, not to test)."""
    link_source()
    import numpy  # noqa: F401 - Blender itself imports it for half of its own add-ons

    before = set(sys.modules)
    started = time.perf_counter()
    enable()
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "heavy": [name for name in HEAVY[:-1] if name in sys.modules],
        "imported": sorted(set(sys.modules) - before),
    }


def failing_class() -> dict[str, Any]:
    """A class Blender refuses, in the middle of registration."""
    link_source()
    before = state()
    registration = importlib.import_module(f"{MODULE}.registration")

    class HANDMOCAP_PT_refused(bpy.types.Panel):
        bl_label = "No region"
        bl_space_type = "NOWHERE"

    whole = registration.CLASSES
    registration.CLASSES = (*whole, HANDMOCAP_PT_refused)
    try:
        registration.register()
        raised = ""
    except Exception as error:
        raised = type(error).__name__
    left = difference(before, state())

    registration.CLASSES = whole
    registration.register()
    # Somebody else unregisters one of ours: the rest must go all the same.
    bpy.utils.unregister_class(whole[-1])
    registration.unregister()
    return {"raised": raised, "left": left, "left_after_a_stolen_class": difference(before, state())}


def preferences() -> dict[str, Any]:
    """Read, change and draw the preferences; run the self-test."""
    link_source()
    enable()
    ours = importlib.import_module(f"{MODULE}.preferences")
    chosen = ours.get()
    defaults = {name: getattr(chosen, name) for name in ("device", "threads", "cache_folder", "log_level")}
    own_cache = str(chosen.cache_path)
    chosen.cache_folder = str(Path(os.environ["BLENDER_USER_RESOURCES"]) / "elsewhere")
    try:
        tested = sorted(bpy.ops.handmocap.self_test())
    except RuntimeError as error:
        tested = [str(error)]
    return {
        "defaults": defaults,
        "own_cache": own_cache,
        "chosen_cache": str(chosen.cache_path),
        "components": ours.component_lines(),
        "tested": tested,
        "test_lines": [text for text, _ in ours._test_lines],
    }


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What changed, by kind."""
    changed: dict[str, Any] = {}
    for kind, value in after.items():
        if isinstance(value, list):
            delta = sorted(set(value) ^ set(before[kind]))
        elif isinstance(value, dict):
            delta = sorted(name for name in {*value, *before[kind]} if value.get(name) != before[kind].get(name))
        else:
            delta = [] if value == before[kind] else [value]
        if delta:
            changed[kind] = delta
    return changed


if __name__ == "__main__":
    question, answer, *arguments = sys.argv[1:]
    code = 1
    try:
        Path(answer).write_text(json.dumps(globals()[question](*arguments)), encoding="utf-8")
        code = 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    # Blender 4.2 and 4.5 do not survive their own shutting down with classes registered.
    os._exit(code)
