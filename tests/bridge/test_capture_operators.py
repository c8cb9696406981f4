# SPDX-License-Identifier: GPL-3.0-or-later
"""From footage to keys by the operators alone, as `blender -b` would run them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import bpy
import cv2
import numpy as np
import pytest
from machine_choices import MachineChoices

from blender_handmocap import properties
from blender_handmocap.bridge import engine_job, hand_rig, take_list, takes
from blender_handmocap.bridge.engine_job import JobState
from blender_handmocap.engine.settings import Settings
from blender_handmocap.engine.take import Take, load_take, save_take

MakeTake = Callable[..., Take]


@pytest.fixture
def hand_clip(data: Path, tmp_path: Path) -> Path:
    """The first second of a real hand."""
    reader = cv2.VideoCapture(str(data / "close_up" / "human_hand_video.mp4"))
    path = tmp_path / "hand.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30.0, (640, 360))
    for _ in range(12):
        found, picture = reader.read()
        assert found
        writer.write(cv2.resize(picture, (640, 360)))
    writer.release()
    return path


def saved(enabled: bpy.types.Scene, tmp_path: Path) -> bpy.types.Scene:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "project" / "shot.blend"))
    return bpy.context.scene


def test_capture_fills_the_list_and_moves_the_hands(enabled: bpy.types.Scene, hand_clip: Path, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    scene = saved(enabled, tmp_path)
    scene.handmocap.footage = str(hand_clip)
    assert bpy.ops.handmocap.capture() == {"FINISHED"}
    assert [(t.name, t.path) for t in scene.handmocap.takes] == [("hand_001", "//handmocap/hand_001.take.npz")]
    take = load_take(tmp_path / "project" / "handmocap" / "hand_001.take.npz")
    assert len(take) == 12
    rigs = hand_rig.find_hands(scene)
    assert rigs
    assert all(rig.armature.animation_data.action.name.startswith("hand_001") for rig in rigs.values())
    assert scene.camera.data.background_images[0].clip is not None
    assert not engine_job.running("capture")
    bpy.ops.handmocap.capture()
    assert [t.name for t in scene.handmocap.takes] == ["hand_001", "hand_002"]


def test_footage_without_a_hand_is_a_sentence(enabled: bpy.types.Scene, tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    cv2.imwrite(str(path), np.full((240, 320, 3), 90, np.uint8))
    enabled.handmocap.footage = str(path)
    with pytest.raises(RuntimeError, match="No hand was found"):
        bpy.ops.handmocap.capture()
    assert len(enabled.handmocap.takes) == 0


def test_capture_says_what_is_missing(enabled: bpy.types.Scene, tmp_path: Path) -> None:
    assert not bpy.ops.handmocap.capture.poll()
    enabled.handmocap.footage = str(tmp_path / "gone.mp4")
    with pytest.raises(RuntimeError, match=r"gone\.mp4; choose it again"):
        bpy.ops.handmocap.capture()
    (tmp_path / "there.mp4").write_bytes(b"no movie")
    enabled.handmocap.footage = str(tmp_path / "there.mp4")
    with pytest.raises(RuntimeError, match="capture it anew"):
        bpy.ops.handmocap.capture(resume=True)


def test_settings_follow_the_properties(enabled: bpy.types.Scene) -> None:
    chosen = enabled.handmocap
    assert properties.to_settings(enabled, MachineChoices()) == Settings(device="cpu", threads=1)
    chosen.use_mano = True
    machine = MachineChoices()
    machine.mano_right, machine.mano_left = "/files/MANO_RIGHT.pkl", ""
    own = properties.to_settings(enabled, machine, own_hands=True)
    assert own == Settings(device="cpu", threads=1, mano_right="/files/MANO_RIGHT.pkl")
    assert properties.to_settings(enabled, machine).mano_right == ""
    chosen.hands, chosen.mirrored, chosen.use_range = "left", True, True
    chosen.range_start, chosen.range_end = 5, 50
    chosen.use_region, chosen.region = True, (0.25, 0.0, 0.75, 1.0)
    chosen.lens, chosen.focal = "FOCAL", 18.0
    chosen.use_performer, chosen.palm, chosen.smoothing = True, 95.0, 0.5
    found = properties.to_settings(enabled, MachineChoices())
    assert found.fov == pytest.approx(90.0)
    assert replace(found, fov=None) == Settings(
        hands="left", mirrored=True, start="5", end="50", region=(0.25, 0.0, 0.75, 1.0),
        palm_mm=95.0, smoothing=0.5, device="cpu", threads=1,
    )  # fmt: skip
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.sensor_width, camera.data.lens = 36.0, 36.0
    enabled.collection.objects.link(camera)
    chosen.lens, enabled.camera = "CAMERA", camera
    assert properties.to_settings(enabled, MachineChoices()).fov == pytest.approx(np.degrees(2 * np.arctan(0.5)))


def test_takes_made_before_saving_come_along(enabled: bpy.types.Scene, make_take: MakeTake, tmp_path: Path) -> None:
    own = tmp_path / "user" / "takes" / "wave_001.take.npz"
    save_take(make_take(5), own)
    take_list.add(enabled, own)
    assert enabled.handmocap.takes[0].path == str(own)
    (tmp_path / "project").mkdir()
    scene = saved(enabled, tmp_path)
    assert scene.handmocap.takes[0].path == "//handmocap/wave_001.take.npz"
    # The folder moves as a whole, and nothing is lost.
    shutil.move(tmp_path / "project", tmp_path / "moved")
    shutil.rmtree(tmp_path / "user")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "moved" / "shot.blend"))
    assert bpy.ops.handmocap.apply_take() == {"FINISHED"}
    assert len(hand_rig.find_hands(bpy.context.scene)) == 2


def test_a_take_that_is_gone_is_a_sentence(enabled: bpy.types.Scene, make_take: MakeTake, tmp_path: Path) -> None:
    save_take(make_take(5), tmp_path / "a.take.npz")
    assert bpy.ops.handmocap.add_take(filepath=str(tmp_path / "a.take.npz")) == {"FINISHED"}
    (tmp_path / "a.take.npz").unlink()
    with pytest.raises(RuntimeError, match="no longer at"):
        bpy.ops.handmocap.apply_take()
    assert bpy.ops.handmocap.remove_take() == {"FINISHED"}
    assert not bpy.ops.handmocap.apply_take.poll()


def test_apply_is_one_undo_step(enabled: bpy.types.Scene, make_take: MakeTake, tmp_path: Path) -> None:
    save_take(make_take(5), tmp_path / "a.take.npz")
    bpy.ops.handmocap.add_take("EXEC_DEFAULT", True, filepath=str(tmp_path / "a.take.npz"))
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.handmocap.apply_take("EXEC_DEFAULT", True)
    assert len(hand_rig.find_hands(bpy.context.scene)) == 2
    bpy.ops.ed.undo()
    assert not hand_rig.find_hands(bpy.context.scene)
    assert len(bpy.context.scene.handmocap.takes) == 1


def test_smoothing_again_makes_a_new_take(enabled: bpy.types.Scene, make_take: MakeTake, tmp_path: Path) -> None:
    take = make_take(30)
    raw = {s: take.track(s) for s in ("left", "right")}
    take = take.with_tracks(
        **{s: replace(t, raw_rotation=t.rotation, raw_translation=t.translation) for s, t in raw.items()}
    )
    save_take(take, tmp_path / "wave_001.take.npz")
    bpy.ops.handmocap.add_take(filepath=str(tmp_path / "wave_001.take.npz"))
    enabled.handmocap.smoothing = 2.0
    assert bpy.ops.handmocap.polish_take() == {"FINISHED"}
    assert [t.name for t in enabled.handmocap.takes] == ["wave_001", "wave_002"]
    assert load_take(tmp_path / "wave_002.take.npz").meta["parent"] == "wave_001.take.npz"


@pytest.mark.parametrize("ending", ["bvh", "npz", "json", "csv"])
def test_export(enabled: bpy.types.Scene, make_take: MakeTake, tmp_path: Path, ending: str) -> None:
    save_take(make_take(5), tmp_path / "a.take.npz")
    bpy.ops.handmocap.add_take(filepath=str(tmp_path / "a.take.npz"))
    assert bpy.ops.handmocap.export_take(filepath=str(tmp_path / "out"), format=ending) == {"FINISHED"}
    assert (tmp_path / f"out.{ending}").stat().st_size > 100


def test_names_of_takes(tmp_path: Path) -> None:
    first = takes.new_path(tmp_path, "/clips/my wave.mp4")
    assert first.name == "my_wave_001.take.npz"
    first.touch()
    (tmp_path / "my_wave_002.take.npz.partial").mkdir()
    assert takes.new_path(tmp_path, "/clips/my wave.mp4").name == "my_wave_003.take.npz"


def test_every_panel_is_registered_with_a_label(enabled: bpy.types.Scene) -> None:
    panels = [c for c in dir(bpy.types) if c.startswith("HANDMOCAP_PT_")]
    assert len(panels) >= 9
    assert all(getattr(bpy.types, name).bl_category == "HandMocap" for name in panels)


def test_live_moves_the_hands_without_keys(enabled: bpy.types.Scene, hand_clip: Path) -> None:
    enabled.handmocap.live_source = str(hand_clip)
    assert bpy.ops.handmocap.live() == {"FINISHED"}
    rigs = hand_rig.find_hands(enabled)
    assert set(rigs) == {"left", "right"}
    bends = [
        bone.rotation_quaternion.angle
        for rig in rigs.values()
        for bone in rig.armature.pose.bones
        if not bone.name.startswith("wrist")
    ]
    assert max(bends) > 0.05
    assert all(rig.armature.animation_data is None for rig in rigs.values())
    assert len(enabled.handmocap.takes) == 0


def test_live_recorded_is_a_take(enabled: bpy.types.Scene, hand_clip: Path) -> None:
    enabled.handmocap.live_source, enabled.handmocap.live_countdown = str(hand_clip), 0
    assert bpy.ops.handmocap.live(record=True) == {"FINISHED"}
    assert [t.name for t in enabled.handmocap.takes] == ["hand_001"]
    assert any(rig.armature.animation_data is not None for rig in hand_rig.find_hands(enabled).values())


def test_live_without_a_camera_is_a_sentence(enabled: bpy.types.Scene) -> None:
    enabled.handmocap.live_source = "77"
    with pytest.raises(RuntimeError, match="Camera 77 does not open"):
        bpy.ops.handmocap.live()
    assert not enabled.objects


def test_resume_is_grey_until_a_capture_was_stopped(enabled: bpy.types.Scene, hand_clip: Path, tmp_path: Path) -> None:
    assert not bpy.ops.handmocap.resume_capture.poll()
    enabled.handmocap.footage = str(hand_clip)
    assert bpy.ops.handmocap.capture.poll() and not bpy.ops.handmocap.resume_capture.poll()
    folder = tmp_path / "user" / "takes"
    folder.mkdir(parents=True)
    assert not bpy.ops.handmocap.resume_capture.poll()
    (folder / "hand_001.take.npz.partial").mkdir()
    assert bpy.ops.handmocap.resume_capture.poll()
    enabled.handmocap.footage = str(tmp_path / "other.mp4")
    assert not bpy.ops.handmocap.resume_capture.poll()


def test_solving_is_told_as_a_share() -> None:
    state = JobState(stage="solving", done=89, total=356, rate=14.5, left=12.0)
    assert state.line == "Solving 25% · 0:12 left"
    state = JobState(stage="seeing", done=30, total=120, rate=2.0, left=45.0)
    assert state.line == "Seeing 30 / 120 · 2.0 frames/s · 0:45 left"
