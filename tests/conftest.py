# SPDX-License-Identifier: GPL-3.0-or-later
"""What every test may ask for, and how a run ends when Blender is in the process."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

if "BLENDER_USER_RESOURCES" not in os.environ:
    # Blender reads this when bpy is imported; no test may see or change the user's own settings.
    os.environ["BLENDER_USER_RESOURCES"] = tempfile.mkdtemp(prefix="handmocap-test-")
    _MADE_HERE = True
else:
    _MADE_HERE = False

NEEDS_BLENDER = frozenset({"bridge", "extension"})
"""Folders of tests/ that import bpy; without it they are not collected."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="also run what is marked slow or gui")
    parser.addoption("--data", metavar="FOLDER", help="real footage for tests that want it (or HANDMOCAP_DATA)")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if importlib.util.find_spec("bpy") is None and collection_path.parent == Path(__file__).parent:
        return True if collection_path.name in NEEDS_BLENDER else None
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--all"):
        return
    later = pytest.mark.skip(reason="runs with --all")
    for item in items:
        if item.get_closest_marker("slow") or item.get_closest_marker("gui"):
            item.add_marker(later)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_EXIT_STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """With a class still registered bpy 4.5 hangs and bpy 4.2 crashes while Python shuts down; so it does not."""
    if _MADE_HERE:
        shutil.rmtree(os.environ["BLENDER_USER_RESOURCES"], ignore_errors=True)
    if "bpy" in sys.modules:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash.get(_EXIT_STATUS, 1))


_EXIT_STATUS = pytest.StashKey[int]()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the working tree."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data(request: pytest.FixtureRequest) -> Path:
    """The folder of real footage; tests that ask for it are skipped where there is none."""
    named = request.config.getoption("--data") or os.environ.get("HANDMOCAP_DATA")
    if not named:
        pytest.skip("real footage is looked for in --data or HANDMOCAP_DATA")
    folder = Path(named)
    if not folder.is_dir():
        pytest.skip(f"there is no folder of footage at {folder}")
    return folder
