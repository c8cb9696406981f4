# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes into the zips, and what our checks catch that Blender's validator does not."""

from __future__ import annotations

import copy
import tomllib
from typing import Any

import pytest

from tools import package_checks, packaging, pins, wheels
from tools.console import PACKAGE, BuildError
from tools.wheels import Target, Wheel

TARGETS = [
    *(Target(name) for name in packaging.platforms()),
    *(Target(name, True) for name in pins.load().package["gpu"]["platforms"]),
]
TAGS = {"Animation", "Rigging", "Tracking", "Import-Export"}
NAMES = [*package_checks.MUST_HOLD, *package_checks.NETWORKS]


def packaged_manifest(target: Target) -> dict[str, Any]:
    text = (PACKAGE / packaging.MANIFEST).read_text(encoding="utf-8")
    return tomllib.loads(packaging.manifest_with(text, target.platform, sorted(wheels.recorded(target))))


def found(manifest: dict[str, Any], names: list[str], target: Target) -> list[str]:
    needed = {Wheel(file).project for file in wheels.recorded(target)}
    return package_checks.problems(manifest, names, needed=needed, tags=target.tags, known_tags=TAGS)


def file_names(target: Target) -> list[str]:
    return [*NAMES, *(f"wheels/{file}" for file in wheels.recorded(target))]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_target_has_a_full_set_of_wheels(target: Target) -> None:
    assert found(packaged_manifest(target), file_names(target), target) == []
    projects = {Wheel(file).project for file in wheels.recorded(target)}
    assert projects >= {"opencv-python-headless", "flatbuffers", "packaging", "protobuf"}
    assert ("onnxruntime-gpu" if target.gpu else "onnxruntime") in projects
    assert "numpy" not in projects
    for python in wheels.pythons():
        runtimes = [Wheel(file) for file in wheels.recorded(target) if Wheel(file).project.startswith("onnxruntime")]
        assert sum(wheel.runs_on(python, target.tags) for wheel in runtimes) == 1


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_recorded_wheels_are_todays_pins(target: Target) -> None:
    versions = {Wheel(file).project: Wheel(file).version for file in wheels.recorded(target)}
    for requirement in target.requirements():
        assert versions[pins.project_of(requirement)] == requirement.partition("==")[2]
    limits = {pins.project_of(limit): limit.partition("==")[2] for limit in pins.load().constraints}
    for project, version in versions.items():
        if project in limits:
            assert version == limits[project]


@pytest.mark.parametrize(
    ("file", "python", "tags", "runs"),
    [
        ("onnxruntime-1.31.1-cp311-cp311-win_amd64.whl", "3.11", ["win_amd64"], True),
        ("onnxruntime-1.31.1-cp311-cp311-win_amd64.whl", "3.13", ["win_amd64"], False),
        ("onnxruntime-1.31.1-cp311-cp311-win_amd64.whl", "3.11", ["manylinux_2_28_x86_64"], False),
        ("opencv_python_headless-4.11.0.86-cp37-abi3-win_amd64.whl", "3.13", ["win_amd64"], True),
        ("protobuf-7.36.2-cp310-abi3-win_amd64.whl", "3.9", ["win_amd64"], False),
        ("flatbuffers-25.12.19-py2.py3-none-any.whl", "3.13", ["win_amd64"], True),
        ("x-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", "3.11", ["manylinux2014_x86_64"], True),
    ],
)
def test_which_wheel_runs_where(file: str, python: str, tags: list[str], runs: bool) -> None:
    assert Wheel(file).runs_on(python, tags) is runs


LINUX = Target("linux-x64")


def broken(**changes: Any) -> list[str]:
    manifest = copy.deepcopy(packaged_manifest(LINUX))
    manifest.update(changes)
    return found({key: value for key, value in manifest.items() if value is not None}, file_names(LINUX), LINUX)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tagg": ["Animation"]}, "unknown key 'tagg'"),
        ({"maintainer": None}, "no 'maintainer'"),
        ({"tags": ["Hands"]}, "unknown tag 'Hands'"),
        ({"platforms": ["linux-amd64"]}, "unknown platform 'linux-amd64'"),
        ({"name": "HandMocap for Blender"}, "must not hold the word Blender"),
        ({"permissions": {"telepathy": "Read minds"}}, "unknown permission 'telepathy'"),
        ({"permissions": {"camera": ""}}, "permission 'camera' has no text"),
        ({"permissions": {"camera": "Capture hands."}}, "permission 'camera' ends with '.'"),
        ({"permissions": {"camera": "x" * 65}}, "permission 'camera' is 65 characters long"),
        ({"tagline": "y" * 65}, "tagline is 65 characters long"),
    ],
)
def test_a_broken_manifest_is_refused(changes: dict[str, Any], says: str) -> None:
    assert any(says in problem for problem in broken(**changes)), broken(**changes)


def test_wheels_that_are_missing_doubled_or_foreign_are_refused() -> None:
    manifest, names = packaged_manifest(LINUX), file_names(LINUX)
    runtime = next(path for path in manifest["wheels"] if "onnxruntime" in path and "cp313" in path)
    without = {**manifest, "wheels": [path for path in manifest["wheels"] if path != runtime]}
    problems = found(without, names, LINUX)
    assert "0 wheels of onnxruntime for Python 3.13, not one" in problems
    assert f"{runtime.removeprefix('./')} is in the zip but not listed" in problems
    foreign = "./wheels/onnxruntime-1.31.1-cp313-cp313-win_amd64.whl"
    problems = found({**manifest, "wheels": [*without["wheels"], foreign]}, names, LINUX)
    assert "onnxruntime-1.31.1-cp313-cp313-win_amd64.whl runs in no Blender of this platform" in problems
    assert "wheels/onnxruntime-1.31.1-cp313-cp313-win_amd64.whl is listed but not in the zip" in problems
    numpy = "wheels/numpy-1.26.4-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
    problems = found({**manifest, "wheels": [*manifest["wheels"], f"./{numpy}"]}, [*names, numpy], LINUX)
    assert any("must stay Blender's own" in problem for problem in problems)
    both = "wheels/onnxruntime_gpu-1.31.1-cp311-cp311-manylinux_2_28_x86_64.whl"
    problems = found({**manifest, "wheels": [*manifest["wheels"], f"./{both}"]}, [*names, both], LINUX)
    assert "onnxruntime and onnxruntime-gpu would overwrite each other" in problems


def test_a_mano_file_or_a_missing_notice_is_refused() -> None:
    manifest, names = packaged_manifest(LINUX), file_names(LINUX)
    assert found(manifest, [*names, "models/MANO_RIGHT.pkl"], LINUX) == ["models/MANO_RIGHT.pkl must not be shipped"]
    names.remove("models/mediapipe_LICENSE.txt")
    assert found(manifest, names, LINUX) == ["no models/mediapipe_LICENSE.txt"]


def test_a_platform_without_gpu_runtime_lists_those_with() -> None:
    with pytest.raises(BuildError, match="no GPU package for macos-x64; choose one of linux-x64, windows-x64"):
        Target("macos-x64", True).requirements()


def test_a_changed_pin_asks_for_a_new_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Target, "requirements", lambda _self: ["onnxruntime==9.9.9"])
    with pytest.raises(BuildError, match=r"does not know onnxruntime==9\.9\.9 for linux-x64; run `build\.py package"):
        wheels.fetch(LINUX)


def test_the_tracked_manifest_names_no_platform_and_no_wheel() -> None:
    manifest = tomllib.loads((PACKAGE / packaging.MANIFEST).read_text(encoding="utf-8"))
    assert not {"platforms", "wheels", "build"} & manifest.keys()
    assert set(manifest["permissions"]) == {"files", "camera"}
