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
