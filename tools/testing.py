# SPDX-License-Identifier: GPL-3.0-or-later
"""`build.py test`: which tests run in which environment."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from . import models, packaging, real_blender
from .console import LOGS, ROOT, BuildError, Logged, call_logged, say, shown
from .environments import ensure, python_of

BLENDER_TESTS: Final = ("tests/bridge", "tests/extension")
PLAIN_TESTS: Final = ("tests/engine", "tests/benchmarks")
PACKAGE_VARIABLE: Final = "HANDMOCAP_PACKAGE"
"""Tests of the installed extension find the zip here."""

MINUTES: Final = 30
MINUTES_FOR_ALL: Final = 120

NO_TESTS_COLLECTED: Final = 5
"""pytest's exit code when a filter leaves nothing of a run."""


@dataclass(frozen=True)
class Run:
    """pytest once, in one environment."""

    environment: str
    paths: tuple[str, ...]


def plan(*, train: bool, everything: bool) -> list[Run]:
    """What `test` runs."""
    if train:
        return [Run("train", ("tests/training", *tests_that_need_training()))]
    runs = [
        Run("blender-5.0", (*PLAIN_TESTS, "tests/build", *BLENDER_TESTS)),
        Run("blender-4.5", BLENDER_TESTS),
        # The engine environment holds numpy 2; Blender's hold numpy 1.26.
        Run("engine", PLAIN_TESTS),
    ]
    if everything:
        runs += [Run("blender-4.2", BLENDER_TESTS), Run("engine", ("tests/gui",))]
    return runs


def tests_that_need_training() -> list[str]:
    """Files outside tests/training that skip tests where torch, smplx, anny or numba is missing."""
    files = sorted(path for folder in PLAIN_TESTS for path in (ROOT / folder).rglob("test_*.py"))
    return [path.relative_to(ROOT).as_posix() for path in files if "importorskip" in path.read_text(encoding="utf-8")]


def narrowed(runs: Sequence[Run], arguments: Sequence[str]) -> list[Run]:
    """Runs kept to the test paths named among pytest's arguments, if any."""
    named = [argument for argument in arguments if argument.startswith("tests/") or argument.startswith("tests\\")]
    if not named:
        return [replace(run, paths=existing(run.paths)) for run in runs if existing(run.paths)]
    narrow = []
    for run in runs:
        inside = tuple(path for path in named if any(path == p or path.startswith(f"{p}/") for p in run.paths))
        if inside:
            narrow.append(replace(run, paths=inside))
    if not narrow:
        raise BuildError(f"None of {' '.join(named)} belongs to this group of tests; see `build.py test --help`.")
    return narrow


def existing(paths: Sequence[str]) -> tuple[str, ...]:
    """Folders without a test are no reason to fail."""
    return tuple(path for path in paths if (ROOT / path).is_file() or any((ROOT / path).rglob("test_*.py")))


def test(*, train: bool, everything: bool, arguments: Sequence[str]) -> int:
    """Run the tests; 0 when all passed."""
    started = time.monotonic()
    runs = narrowed(plan(train=train, everything=everything), arguments)
    options = [argument for argument in arguments if not argument.startswith(("tests/", "tests\\"))]
    if everything:
        options.append("--all")
    ensure(*dict.fromkeys([*(run.environment for run in runs), "engine"]))
    models.ensure_models()
    variables = _variables()
    if any(path.startswith(("tests/extension", "tests/gui")) for run in runs for path in run.paths):
        variables[PACKAGE_VARIABLE] = str(packaging.for_tests())
    if any(path.startswith("tests/gui") for run in runs for path in run.paths):
        variables |= real_blender.ensure_real_blender()
    seconds = 60.0 * (MINUTES_FOR_ALL if everything else MINUTES)
    # A core for each run; on two cores that halves the wait.
    with ThreadPoolExecutor(max(1, min(len(runs), os.cpu_count() or 1))) as pool:
        results = list(pool.map(lambda run: _run(run, options, seconds, variables), runs))
    failed = [run.environment for run, done in zip(runs, results, strict=True) if not _passed(done)]
    if all(done.returncode == NO_TESTS_COLLECTED for done in results):
        say("No test matched.")
        return NO_TESTS_COLLECTED
    took = time.monotonic() - started
    say(f"Failed: {', '.join(failed)}." if failed else f"All tests passed in {took:.0f} s.")
    return 1 if failed else 0


def _run(run: Run, options: Sequence[str], seconds: float, variables: dict[str, str]) -> Logged:
    name = f"{run.environment}: {' '.join(run.paths)}"
    say(f"Testing {name}")
    log = LOGS / f"test-{run.environment}-{'-'.join(path.rpartition('/')[2] for path in run.paths)[:60]}.log"
    command = ["-m", "pytest", "-q", *run.paths, *options]
    done = call_logged([python_of(run.environment), *command], log, seconds=seconds, changes=variables)
    if _passed(done):
        say(f"Passed {name}: {_summary(done.text)}")
    elif done.timed_out:
        say(f"{done.text}\n{name} was ended after {seconds / 60:.0f} minutes without an end; see {shown(done.log)}.")
    else:
        say(f"{done.text}\nFailed {name} with exit code {done.returncode}; this output is also in {shown(done.log)}.")
    return done


def _passed(done: Logged) -> bool:
    return not done.timed_out and done.returncode in (0, NO_TESTS_COLLECTED)


def _summary(text: str) -> str:
    """pytest's last line and the reasons of skipped tests."""
    lines = [
        line
        for line in text.strip().splitlines()
        if re.match(r"SKIPPED|\d+ (passed|skipped|deselected)|no tests", line)
    ]
    return "\n  ".join([*lines[-1:], *lines[:-1]]) or "no tests ran"


def _variables() -> dict[str, str]:
    # Runs go side by side: one BLAS thread each.
    variables = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    wheels = sorted(models.CACHE.glob("mediapipe-*.whl"))
    return variables | ({models.WHEEL_VARIABLE: str(wheels[0])} if wheels else {})
