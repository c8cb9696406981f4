# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules every file keeps: lint, types, headers, layers."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.console import ROOT

OURS = ("blender_handmocap", "training", "benchmarks", "examples", "tests", "tools")
CHOICES = {"preferences", "properties", "character_properties", "property_items"}
MAY_USE = {
    # who: whom it may import, itself aside
    "panels": {"operators", "bridge", "engine", *CHOICES},
    "operators": {"bridge", "engine", *CHOICES},
    "bridge": {"engine", *CHOICES},
    "engine": set(),
}


def python_files() -> list[Path]:
    return [ROOT / "build.py", *(path for folder in OURS for path in sorted((ROOT / folder).rglob("*.py")))]


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    if importlib.util.find_spec(arguments[0]) is None:
        pytest.skip(f"{arguments[0]} is in the Blender 5.0 environment")
    return subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_ruff() -> None:
    answer = program("ruff", "check", "--output-format", "concise")
    assert answer.returncode == 0, answer.stdout


def test_mypy() -> None:
    answer = program("mypy")
    assert answer.returncode == 0, answer.stdout


def test_every_file_names_its_licence() -> None:
    bare = [
        path.relative_to(ROOT).as_posix()
        for path in python_files()
        if "SPDX-License-Identifier: GPL-3.0-or-later" not in path.read_text(encoding="utf-8")[:120]
    ]
    assert bare == []


def imported(path: Path, package: Path) -> Iterator[str]:
    """First names, within the package, of what a module of the extension imports relatively."""
    where = path.relative_to(package).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            parts = [*where[: len(where) - node.level + 1], *((node.module or "").split(".") if node.module else [])]
            yield from [parts[0]] if parts else [alias.name for alias in node.names]


@pytest.mark.parametrize("layer", sorted(MAY_USE))
def test_dependencies_point_one_way(layer: str) -> None:
    package = ROOT / "blender_handmocap"
    for path in sorted((package / layer).rglob("*.py")):
        used = set(imported(path, package)) - {layer}
        assert used <= MAY_USE[layer], f"{path.relative_to(ROOT)} imports {sorted(used - MAY_USE[layer])}"


def test_the_extension_imports_itself_relatively_and_nothing_beside_it() -> None:
    for path in sorted((ROOT / "blender_handmocap").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            for name in names:
                assert name.partition(".")[0] not in OURS, f"{path.relative_to(ROOT)} imports {name}"


def test_training_and_benchmarks_keep_their_order() -> None:
    for folder, forbidden in (("training", ("benchmarks", "tests", "tools")), ("benchmarks", ("tests", "tools"))):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.level == 0:
                    first = (node.module or "").partition(".")[0]
                    assert first not in forbidden, f"{path.relative_to(ROOT)} imports {node.module}"
