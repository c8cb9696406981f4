# SPDX-License-Identifier: GPL-3.0-or-later
"""No test is left out of `build.py test`."""

from __future__ import annotations

import pytest

from tools import testing
from tools.console import ROOT, BuildError


def test_every_test_file_belongs_to_some_run() -> None:
    runs = [*testing.plan(train=False, everything=True), *testing.plan(train=True, everything=True)]
    covered = {path for run in runs for path in run.paths}
    for file in (ROOT / "tests").rglob("test_*.py"):
        name = file.relative_to(ROOT).as_posix()
        assert any(name == path or name.startswith(f"{path}/") for path in covered), name


def test_blender_tests_run_in_every_blender() -> None:
    where = {run.environment for run in testing.plan(train=False, everything=True) if "tests/bridge" in run.paths}
    assert where == {"blender-5.0", "blender-4.5", "blender-4.2"}
    where = {run.environment for run in testing.plan(train=False, everything=False) if "tests/extension" in run.paths}
    assert where == {"blender-5.0", "blender-4.5"}


def test_engine_tests_run_on_both_numpys() -> None:
    where = {run.environment for run in testing.plan(train=False, everything=False) if "tests/engine" in run.paths}
    assert where == {"blender-5.0", "engine"}


def test_a_named_path_keeps_only_the_runs_that_hold_it() -> None:
    runs = testing.narrowed(testing.plan(train=False, everything=False), ["tests/bridge/test_hand_rig.py", "-x"])
    assert [(run.environment, run.paths) for run in runs] == [
        ("blender-5.0", ("tests/bridge/test_hand_rig.py",)),
        ("blender-4.5", ("tests/bridge/test_hand_rig.py",)),
    ]
    with pytest.raises(BuildError, match="None of tests/training belongs to this group"):
        testing.narrowed(testing.plan(train=False, everything=False), ["tests/training"])


def test_files_with_tests_of_the_training_packages_run_there() -> None:
    chosen = testing.tests_that_need_training()
    for file in (ROOT / "tests" / "engine").rglob("test_*.py"):
        name = file.relative_to(ROOT).as_posix()
        assert ("importorskip" in file.read_text(encoding="utf-8")) == (name in chosen)
