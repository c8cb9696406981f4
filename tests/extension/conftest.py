# SPDX-License-Identifier: GPL-3.0-or-later
"""A fresh Blender for each question: a child process with settings of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

INSIDE = Path(__file__).parent / "inside_blender.py"
Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """`ask("question", argument...)`: what a function of inside_blender.py answers in a new Blender."""
    return lambda question, *arguments: _ask(tmp_path, question, *arguments)


@pytest.fixture(scope="session")
def package() -> Path:
    """The built zip for this platform."""
    named = os.environ.get("HANDMOCAP_PACKAGE")
    if not named:
        pytest.skip("`build.py test` builds the package and names it in HANDMOCAP_PACKAGE")
    return Path(named)


@pytest.fixture(scope="session")
def life(package: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was found while the zip was installed, enabled, used, disabled and uninstalled, once."""
    return _ask(tmp_path_factory.mktemp("life"), "whole_life", str(package))


def _ask(folder: Path, question: str, *arguments: str) -> dict[str, Any]:
    answer = folder / "answer.json"
    # The child ends by os._exit, so nothing of Blender's own shutting down is part of a test.
    done = subprocess.run(
        [sys.executable, INSIDE, question, str(answer), *arguments],
        env=os.environ | {"BLENDER_USER_RESOURCES": str(folder / "blender"), "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0 and answer.exists(), f"{done.stdout}\n{done.stderr}"
    found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return found | {"output": done.stdout + done.stderr}
