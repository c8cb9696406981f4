# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine runs where there is no Blender: numpy, OpenCV and onnxruntime are all it may ask for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "blender_handmocap"

IMPORT_EVERYTHING = """
import importlib, json, os, pkgutil, sys

ALLOWED = {"engine", "numpy", "cv2", "onnxruntime", *sys.stdlib_module_names}
# What the allowed packages import for themselves, they may.
THEIRS = ("numpy", "cv2", "onnxruntime")
refused = []


class Fence:
    def find_spec(self, name, path=None, target=None):
        first = name.partition(".")[0]
        caller = sys._getframe(1)
        while caller and caller.f_globals.get("__name__", "").startswith(("importlib", "_frozen")):
            caller = caller.f_back
        by = caller.f_globals.get("__name__", "") if caller else ""
        if first not in ALLOWED and by.partition(".")[0] == "engine":
            refused.append([by, name])
            raise ModuleNotFoundError(f"{by} may not import {name}")
        return None


sys.meta_path.insert(0, Fence())
import engine

failed = {}
names = [name for _, name, _ in pkgutil.walk_packages(engine.__path__, "engine.") if not name.endswith("__main__")]
for name in names:
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed[name] = str(error)
print(json.dumps({"names": names, "refused": refused, "failed": failed, "bpy": "bpy" in sys.modules}))
"""


def child(code: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-s", "-P", "-c", code],
        env={**os.environ, "PYTHONPATH": str(PACKAGE), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_imports_with_numpy_opencv_and_onnxruntime_alone() -> None:
    facts = json.loads(child(IMPORT_EVERYTHING))
    assert facts["refused"] == []
    assert facts["failed"] == {}
    assert facts["bpy"] is False
    assert {"engine.take", "engine.hand.model", "engine.see.observation", "engine.site"} <= set(facts["names"])


def test_extension_packages_come_last_so_that_blenders_win(tmp_path: Path) -> None:
    (tmp_path / "only_a_wheel.py").write_text("HERE = True\n", encoding="utf-8")
    (tmp_path / "numpy.py").write_text("raise ImportError('the wrong numpy')\n", encoding="utf-8")
    code = (
        "from engine.site import prepare; prepare(); import sys, json, numpy, only_a_wheel; "
        "print(json.dumps([numpy.__version__, sys.path[-1]]))"
    )
    version, last = json.loads(child(code, HANDMOCAP_SITE_PACKAGES=str(tmp_path)))
    assert version
    assert last == str(tmp_path)


def test_no_folder_named_changes_no_path() -> None:
    code = "import sys; before = list(sys.path); from engine.site import prepare; prepare(); print(before == sys.path)"
    assert child(code, HANDMOCAP_SITE_PACKAGES="").strip() == "True"


def test_one_blas_thread_unless_the_user_wants_more() -> None:
    code = "from engine.site import prepare; prepare(); import os; print(os.environ['OPENBLAS_NUM_THREADS'])"
    asked = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**asked, "PYTHONPATH": str(PACKAGE)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "1"
    assert child(code, OPENBLAS_NUM_THREADS="3").strip() == "3"


def test_blas_obeys(tmp_path: Path) -> None:
    if not sys.platform.startswith("linux") or (os.cpu_count() or 1) < 2:
        return
    code = "{}import numpy, os; a = numpy.ones((600, 600)); a @ a; print(len(os.listdir('/proc/self/task')))"
    asked = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    counts = [
        int(
            subprocess.run(
                [sys.executable, "-c", code.format(first)],
                env={**asked, "PYTHONPATH": str(PACKAGE)},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for first in ("", "from engine.site import prepare; prepare(); ")
    ]
    assert counts[0] > 1
    assert counts[1] == 1
