# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras by name, from what each system says; and a camera's wished size and rate in a source's name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from blender_handmocap.engine import footage
from blender_handmocap.engine.cameras import CameraName, from_linux, from_mac, from_windows, list_cameras
from blender_handmocap.engine.errors import BadInputError


def test_linux_lists_each_camera_once_in_order(tmp_path: Path) -> None:
    for node, index, name in (
        (10, "0", "Desk Cam"),
        (0, "0", "HD Webcam: HD Webcam"),
        (1, "1", "HD Webcam: HD Webcam"),
    ):
        (tmp_path / f"video{node}").mkdir()
        (tmp_path / f"video{node}" / "index").write_text(f"{index}\n", encoding="utf-8")
        (tmp_path / f"video{node}" / "name").write_text(f"{name}\n", encoding="utf-8")
    (tmp_path / "video7").mkdir()
    assert from_linux(tmp_path) == [CameraName(0, "HD Webcam"), CameraName(10, "Desk Cam")]
    assert from_linux(tmp_path / "gone") == []


def test_other_systems_answers_are_read_and_nonsense_is_no_camera() -> None:
    profiled = json.dumps({"SPCameraDataType": [{"_name": "FaceTime HD Camera"}, {"_name": "Desk Cam"}]})
    assert from_mac(profiled) == [CameraName(0, "FaceTime HD Camera"), CameraName(1, "Desk Cam")]
    assert from_windows('["Integrated Camera", "Desk Cam"]')[1] == CameraName(1, "Desk Cam")
    assert from_windows('"Integrated Camera"') == [CameraName(0, "Integrated Camera")]
    assert from_mac("no such command") == from_windows("") == []
    assert all(isinstance(camera.number, int) for camera in list_cameras())


@pytest.mark.parametrize("source", ["77", "camera:77", "77@1280x720", "77@640x480/60", "77/30"])
def test_a_cameras_wishes_are_part_of_its_name(source: str) -> None:
    with pytest.raises(BadInputError, match="Camera 77 does not open"):
        footage.open_footage(source)


@pytest.mark.parametrize("source", ["77@1280", "77x60", "camera:"])
def test_other_names_are_files(source: str) -> None:
    with pytest.raises(BadInputError, match="no file"):
        footage.open_footage(source)
