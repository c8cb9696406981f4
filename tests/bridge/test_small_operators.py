# SPDX-License-Identifier: GPL-3.0-or-later
"""Buttons that do one small thing: the cache, the logs, the clip of the Clip Editor, the capture of a mirror image."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import bpy
import pytest
from drawn_hands import write_clip
from machine_choices import MachineChoices

from blender_handmocap import preferences
from blender_handmocap.bridge import takes
from blender_handmocap.engine.take import load_take
from blender_handmocap.operators import cache
from blender_handmocap.operators.use_clip import HANDMOCAP_OT_use_clip


def test_clearing_the_cache_leaves_takes_and_everybody_elses_files(
    enabled: bpy.types.Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chosen = tmp_path / "mine"
    own = SimpleNamespace(cache_folder=str(chosen))
    folder = preferences.HANDMOCAP_AP_preferences.cache_path.fget(own)
    assert folder.parent == chosen
    monkeypatch.setattr(preferences, "get", lambda context=None: MachineChoices(folder))
    folder.mkdir(parents=True)
    (folder / "capture_preview.jpg").write_bytes(b"picture")
    (chosen / "holiday.jpg").write_bytes(b"mine")
    take = tmp_path / "user" / "takes" / "wave_001.take.npz"
    take.parent.mkdir(parents=True)
    take.write_bytes(b"take")
    assert preferences.cache_size(folder) == len(b"picture")
    assert bpy.ops.handmocap.clear_cache() == {"FINISHED"}
    assert not folder.exists()
    assert preferences.cache_size(folder) == 0
    assert (chosen / "holiday.jpg").exists()
    assert take.exists()


def test_the_log_folder_is_opened_even_before_there_is_a_log(
    enabled: bpy.types.Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[str] = []
    # What the system opens folders with is no business of a test.
    shown = SimpleNamespace(wm=SimpleNamespace(path_open=lambda filepath: opened.append(filepath) or {"FINISHED"}))
    monkeypatch.setattr(cache, "bpy", SimpleNamespace(ops=shown))
    assert cache.HANDMOCAP_OT_open_logs.execute(SimpleNamespace(), bpy.context) == {"FINISHED"}
    assert opened == [str(tmp_path / "user" / "logs")]
    assert Path(opened[0]).is_dir()


def test_the_clip_editors_clip_becomes_the_footage(enabled: bpy.types.Scene, tmp_path: Path) -> None:
    write_clip(tmp_path / "hands.mp4", frames=3)
    clip = bpy.data.movieclips.load(str(tmp_path / "hands.mp4"))
    context = SimpleNamespace(space_data=SimpleNamespace(clip=clip), scene=enabled)
    assert HANDMOCAP_OT_use_clip.poll(context)
    assert HANDMOCAP_OT_use_clip.execute(SimpleNamespace(), context) == {"FINISHED"}
    assert (enabled.handmocap.source, enabled.handmocap.clip) == ("CLIP", clip)
    # Elsewhere there is no clip to use.
    assert not bpy.ops.handmocap.use_clip.poll()


def test_footage_is_captured_again_as_a_mirror_image(enabled: bpy.types.Scene, tmp_path: Path) -> None:
    write_clip(tmp_path / "hands.mp4", frames=12)
    enabled.handmocap.footage = str(tmp_path / "hands.mp4")
    enabled.handmocap.apply_when_done = False
    assert bpy.ops.handmocap.capture_mirrored() == {"FINISHED"}
    assert enabled.handmocap.mirrored
    assert load_take(bpy.path.abspath(enabled.handmocap.takes[-1].path)).meta["mirrored"]
    assert not bpy.ops.handmocap.capture_mirrored.poll()


def test_a_take_that_comes_along_replaces_no_other_of_its_name(scene: bpy.types.Scene, tmp_path: Path) -> None:
    unsaved, project = tmp_path / "own", tmp_path / "project" / "scene.blend"
    for folder, content in ((unsaved, b"new"), (project.parent / takes.FOLDER_NAME, b"old")):
        folder.mkdir(parents=True)
        (folder / "wave_001.take.npz").write_bytes(content)
    entry = SimpleNamespace(path=str(unsaved / "wave_001.take.npz"))
    takes.bring_along([entry], project, unsaved)
    assert entry.path == f"//{takes.FOLDER_NAME}/wave_002.take.npz"
    beside = project.parent / takes.FOLDER_NAME
    assert [(beside / f"wave_00{number}.take.npz").read_bytes() for number in (1, 2)] == [b"old", b"new"]
    # Saved once more, it is the same take.
    entry.path = str(unsaved / "wave_001.take.npz")
    (beside / "wave_001.take.npz").write_bytes(b"new")
    takes.bring_along([entry], project, unsaved)
    assert entry.path == f"//{takes.FOLDER_NAME}/wave_001.take.npz"
