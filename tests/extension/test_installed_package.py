# SPDX-License-Identifier: GPL-3.0-or-later
"""The very zip a user gets, through its life in Blender."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Facts = dict[str, Any]


def test_it_installs_and_is_enabled(life: Facts) -> None:
    assert life["installed"] == ["FINISHED"], life["output"]
    assert life["enabled"], life["output"]
    assert "self_test" in life["operators"]


def test_it_holds_what_it_must_and_nothing_of_ours_alone(life: Facts) -> None:
    files = set(life["files"])
    assert {"LICENSE", "models/hand.npz", "models/mediapipe_hand.onnx", "models/mediapipe_LICENSE.txt"} <= files
    assert not [name for name in files if name.startswith(("tests/", "training/", "tools/")) or ".venv" in name]


def test_enabling_loads_no_network_runtime_and_no_opencv(life: Facts) -> None:
    assert not {"cv2", "onnxruntime", "scipy", "torch"} & set(life["heavy"])


def test_blender_unpacks_the_wheels_and_keeps_its_own_numpy(life: Facts) -> None:
    (folder,) = life["wheel_folders"]
    assert folder.startswith(life["extensions"])
    projects = {name.partition("-")[0] for name in life["wheels"]}
    assert projects >= {"onnxruntime", "opencv_python_headless", "protobuf", "flatbuffers", "packaging"}
    assert "numpy" not in projects
    assert not life["numpy_in_blender"].startswith(life["extensions"])


def test_the_engines_process_needs_nothing_but_the_wheels_and_blenders_numpy(life: Facts) -> None:
    child = life["child"]
    assert isinstance(child, dict), child
    (folder,) = life["wheel_folders"]
    assert child["cv2"].startswith(folder)
    assert child["onnxruntime"].startswith(folder)
    assert Path(child["numpy"]).is_relative_to(life["blenders_numpy"])
    assert child["finite"] is True
    assert child["pixel"] == 200
    assert child["bpy"] is False


def test_disabling_leaves_nothing(life: Facts) -> None:
    assert life["left_after_disabling"] == {}


def test_uninstalling_takes_everything(life: Facts) -> None:
    assert life["uninstalled"] == ["FINISHED"]
    assert life["folder_left"] is False
    assert life["left_after_uninstalling"] == {}
    assert life["wheels_left"] == []
