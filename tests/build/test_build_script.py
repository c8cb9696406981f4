# SPDX-License-Identifier: GPL-3.0-or-later
"""`build.py` itself, as a user starts it."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tools import commands
from tools.console import ROOT

AS_AN_OLDER_PYTHON = (
    "import runpy, sys; sys.version_info = (3, 9, 2, 'final', 0); sys.argv = ['build.py', 'demo']; "
    "runpy.run_path('build.py', run_name='__main__')"
)


def build(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "build.py", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_help_names_every_command() -> None:
    answer = build("--help")
    assert answer.returncode == 0
    for command in ("demo", "test", "run", "models", "train", "benchmark", "package"):
        assert re.search(rf"^    {command}\b", answer.stdout, re.MULTILINE)


def test_no_command_is_bad_input() -> None:
    assert build().returncode == 2
    assert build("dance").returncode == 2


def test_without_python_3_11_it_says_so_in_a_sentence() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", AS_AN_OLDER_PYTHON],
        cwd=ROOT,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert "this is Python 3.9; install Python 3.11" in answer.stderr


def test_build_py_is_readable_by_python_3_8() -> None:
    ast.parse((ROOT / "build.py").read_text(encoding="utf-8"), feature_version=(3, 8))


def test_arguments_for_the_engine_reach_it_untouched() -> None:
    assert commands.split(["run", "capture", "a.mp4", "--out", "b.npz"]) == (
        ["run"],
        ["capture", "a.mp4", "--out", "b.npz"],
    )
    assert commands.split(["run", "--help"]) == (["run"], ["--help"])
    assert commands.split(["test", "--all", "--", "-k", "take"]) == (["test", "--all"], ["-k", "take"])
    assert commands.split(["demo"]) == (["demo"], [])


def test_an_unknown_recipe_lists_the_known() -> None:
    answer = build("train", "unicorn")
    assert answer.returncode == 2
    assert "mediapipe.convert" in answer.stderr
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize("module", sorted(path.stem for path in (ROOT / "tools").glob("*.py")))
def test_tools_use_the_standard_library_only(module: str) -> None:
    tree = ast.parse((ROOT / "tools" / f"{module}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
        for name in names:
            assert name.partition(".")[0] in sys.stdlib_module_names, f"{module} imports {name}"


STOPPABLE = """
import pathlib, sys, threading
from concurrent.futures import ThreadPoolExecutor
from tools import commands, console

def slow(_options, _rest):
    with ThreadPoolExecutor(2) as pool:
        logs = [pathlib.Path(sys.argv[1]) / f"{name}.log" for name in "ab"]
        jobs = [pool.submit(console.call_logged, [sys.executable, "-c", CHILD], log) for log in logs]
        return max(job.result().returncode for job in jobs)

CHILD = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
commands._models = slow
sys.exit(commands.run(["models"]))
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_nothing_outlives_a_stopped_build(tmp_path: Path, how: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", STOPPABLE, tmp_path], cwd=ROOT, stderr=subprocess.PIPE)
    children: list[int] = []
    while len(children) < 2:
        assert process.poll() is None
        children = [int(text) for log in tmp_path.glob("*.log") if (text := log.read_text().strip())]
    process.send_signal(how)
    _, told = process.communicate(timeout=60)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[how], told
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


LATE = """
import pathlib, sys
from tools import console

console.end_everything()
print(console.call_logged([sys.executable, "-c", "import time; time.sleep(600)"], pathlib.Path(sys.argv[1])).returncode)
"""


def test_what_starts_while_everything_ends_is_ended_too(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", LATE, tmp_path / "late.log"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert answer.returncode == 0, answer.stderr
    assert int(answer.stdout) != 0
