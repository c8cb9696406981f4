# SPDX-License-Identifier: GPL-3.0-or-later
"""Every version stands once in pyproject.toml, and environments follow from it."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest

from tools import pins
from tools.console import ROOT, BuildError


def all_requirements() -> list[str]:
    loaded = pins.load()
    return [item for group in loaded.groups.values() for item in group if isinstance(item, str)]


def test_every_requirement_is_pinned_exactly() -> None:
    for requirement in [*all_requirements(), *pins.load().constraints]:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.+]*", requirement), requirement


def test_no_version_is_written_twice() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    pinned = re.findall(r'"([A-Za-z0-9._-]+==[^"]+)"', text)
    # The graphics card's runtime is another project: the same number is no second pin of onnxruntime.
    assert sorted(pinned) == sorted(set(pinned))


def test_an_included_group_comes_along() -> None:
    assert pins.load().group("blender-5.0") == ["bpy==5.0.1", "numpy==1.26.4"]


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(BuildError, match=r"no environment 'blender-9'; it has engine, blender-5\.0"):
        pins.load().environment("blender-9")
    with pytest.raises(BuildError, match="no group 'tea'; it has engine"):
        pins.load().group("tea")


@pytest.mark.parametrize("environment", sorted(pins.load().environments))
def test_limits_never_contradict_an_environment(environment: str) -> None:
    direct = {pins.project_of(item) for item in pins.load().environment(environment)}
    limits = [pins.project_of(limit) for limit in pins.load().limits(environment)]
    assert not direct & set(limits)
    assert len(limits) == len(set(limits))


def test_no_torch_where_the_demo_and_blender_run() -> None:
    for name in ("engine", "blender-5.0", "blender-4.5", "blender-4.2"):
        assert not {"torch", "smplx", "anny"} & {pins.project_of(item) for item in pins.load().environment(name)}
    for name in ("train", "engine", "mediapipe"):
        assert "bpy" not in {pins.project_of(item) for item in pins.load().environment(name)}


def test_blender_gets_numpy_1_and_the_engine_numpy_2() -> None:
    for name in ("blender-5.0", "blender-4.5", "blender-4.2"):
        assert "numpy==1.26.4" in pins.load().environment(name)
    assert any(item.startswith("numpy==2.") for item in pins.load().environment("engine"))


def test_fingerprint_changes_with_pin_python_and_place(tmp_path: Path) -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    changed = tmp_path / "pyproject.toml"
    changed.write_text(text.replace('"pytest==9.2.0"', '"pytest==9.2.1"'), encoding="utf-8")
    place = tmp_path / "engine"
    before = pins.load().fingerprint("engine", "3.11.2", place)
    assert pins.load().fingerprint("engine", "3.11.2", place) == before
    assert pins.load(changed).fingerprint("engine", "3.11.2", place) != before
    assert pins.load().fingerprint("engine", "3.11.9", place) != before
    assert pins.load().fingerprint("engine", "3.11.2", tmp_path / "moved") != before
    # An environment that does not hold the changed project stays as it is.
    direct = pins.load().environment("mediapipe")
    assert pins.load(changed).environment("mediapipe") == direct


def test_everything_in_this_environment_is_pinned() -> None:
    marker = Path(importlib.metadata.distribution("pytest").locate_file("../../../handmocap-ready"))
    if not marker.exists():
        pytest.skip("not an environment of build.py")
    name = marker.resolve().parent.name
    pinned = {*pins.load().environment(name), *pins.load().limits(name)}
    wanted = {pins.project_of(item): item.partition("==")[2] for item in pinned}
    for distribution in importlib.metadata.distributions():
        project = pins.canonical(distribution.metadata["Name"])
        if project in {"pip", "setuptools"}:
            continue
        # A local build such as 2.13.0+cpu satisfies the pin 2.13.0.
        assert distribution.version.partition("+")[0] == wanted.get(project), project


def test_one_version_number() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    manifest = tomllib.loads((ROOT / "blender_handmocap/blender_manifest.toml").read_text(encoding="utf-8"))["version"]
    program = re.search(r'VERSION: Final = "(.+)"', (ROOT / "blender_handmocap/engine/version.py").read_text("utf-8"))
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert program is not None and newest is not None
    assert {project, manifest, program.group(1), newest.group(1)} == {project}
