# SPDX-License-Identifier: GPL-3.0-or-later
"""A wrong pose is put right on the rig, and the take follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest

from blender_handmocap.bridge import edits, hand_rig
from blender_handmocap.engine import rotations
from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.take import CorrectionKind, State, Take, load_take, save_take

MakeTake = Callable[..., Take]


def watched(take: Take) -> Take:
    """The take as if its own model had been seen without error."""
    camera = Camera(K=take.K, dist=take.dist, width=640, height=480)
    tracks = {}
    for side in SIDES:
        track = take.track(side)
        palm = np.linalg.norm(track.points[:, [5, 9, 13, 17]] - track.points[:, :1], axis=-1).mean(1)
        tracks[side] = replace(
            track,
            seen2d=camera.project(track.points),
            seen2d_sigma=np.full((len(take), 21), 1.0),
            seen3d=(track.points - track.points[:, :1]) / palm[:, None, None],
            seen3d_sigma=np.full((len(take), 21), 0.05),
            visibility=np.ones((len(take), 21)),
            raw_rotation=track.rotation,
            raw_translation=track.translation,
        )
    meta = {**take.meta, "definition": "model", "settings": {}}
    return take.with_tracks(meta=meta, **tracks)


@pytest.fixture
def applied(enabled: bpy.types.Scene, make_take: MakeTake, tmp_path: Path) -> bpy.types.Scene:
    save_take(watched(make_take(24)), tmp_path / "wave_001.take.npz")
    bpy.ops.handmocap.add_take(filepath=str(tmp_path / "wave_001.take.npz"))
    bpy.ops.handmocap.apply_take()
    return enabled


def test_keys_that_nobody_touched_are_no_edits(applied: bpy.types.Scene, tmp_path: Path) -> None:
    take = load_take(tmp_path / "wave_001.take.npz")
    rigs = hand_rig.find_hands(applied)
    for frame in (1, 12, 24):
        applied.frame_set(frame)
        fixed, count = edits.with_edits(take, rigs, frame)
        assert (len(fixed.corrections), count) == (0, 0)
    with pytest.raises(RuntimeError, match="Nothing was changed"):
        bpy.ops.handmocap.resolve()


def test_keyed_and_unkeyed_changes_are_found(applied: bpy.types.Scene, tmp_path: Path) -> None:
    take = load_take(tmp_path / "wave_001.take.npz")
    rigs = hand_rig.find_hands(applied)
    bones = rigs["left"].armature.pose.bones
    applied.frame_set(5)
    bones["index2.L"].rotation_quaternion = (0.9, 0.4358899, 0.0, 0.0)
    bones["index2.L"].keyframe_insert("rotation_quaternion", frame=5)
    applied.frame_set(15)
    bones["wrist.L"].location.x += 0.02
    fixed, count = edits.with_edits(take, rigs, 15)
    found = {(int(r["frame"]), int(r["kind"]), int(r["index"])) for r in fixed.corrections}
    assert (4, CorrectionKind.ROTATION, 2) in found
    assert (14, CorrectionKind.TRANSLATION, 0) in found
    assert (len(found), count) == (2, 2)


def test_between_two_frames_of_the_clip_only_what_was_posed_is_an_edit(
    enabled: bpy.types.Scene, make_take: MakeTake, tmp_path: Path
) -> None:
    """A clip of 30 frames a second at its true times in a scene of 24: most keys lie between scene frames."""
    enabled.render.fps = 24
    enabled.handmocap.timing = "TRUE_TIME"
    path = tmp_path / "wave_001.take.npz"
    save_take(watched(make_take(24)), path)
    bpy.ops.handmocap.add_take(filepath=str(path))
    bpy.ops.handmocap.apply_take()
    take, rigs = load_take(path), hand_rig.find_hands(enabled)
    frames = edits.frames_of(rigs["left"], take)
    assert np.abs(frames - np.round(frames)).max() > 0.3
    for frame in range(1, 20):
        enabled.frame_set(frame)
        assert edits.with_edits(take, rigs, frame)[1] == 0
    enabled.frame_set(8)
    bone = rigs["left"].armature.pose.bones["ring2.L"]
    bone.rotation_quaternion = rotations.multiply(
        np.array(bone.rotation_quaternion), rotations.quaternion_from_vector([0.4, 0, 0])
    )
    fixed, _ = edits.with_edits(take, rigs, 8)
    assert [(int(r["kind"]), int(r["index"])) for r in fixed.corrections] == [(CorrectionKind.ROTATION, 11)]
    assert abs(frames[fixed.corrections["frame"][0]] - 8) < 0.5


def test_a_corrected_pose_is_kept_and_its_neighbours_follow(applied: bpy.types.Scene, tmp_path: Path) -> None:
    rig = hand_rig.find_hands(applied)["right"]
    applied.frame_set(12)
    bone = rig.armature.pose.bones["middle1.R"]
    wanted = rotations.multiply(np.array(bone.rotation_quaternion), rotations.quaternion_from_vector([0.35, 0, 0]))
    bone.rotation_quaternion = wanted
    old = load_take(tmp_path / "wave_001.take.npz")
    assert bpy.ops.handmocap.resolve() == {"FINISHED"}
    assert [t.name for t in applied.handmocap.takes] == ["wave_001", "wave_002"]
    new = load_take(tmp_path / "wave_002.take.npz")
    assert new.meta["parent"] == "wave_001.take.npz"
    assert len(load_take(tmp_path / "wave_001.take.npz").corrections) == 0
    joint = 4
    assert new.right.state[11] == State.CORRECTED
    moved = np.degrees(rotations.angle_between(new.right.rotation[:, joint], old.right.rotation[:, joint]))
    assert moved[11] == pytest.approx(np.degrees(0.35), abs=1.0)
    assert moved[[0, 1, 22, 23]].max() < 0.5 * moved[11]
    assert moved[[10, 12]].min() > 2.0
    # The hands now show the new take, at the same frames.
    applied.frame_set(12)
    shown = np.array(hand_rig.find_hands(applied)["right"].armature.pose.bones["middle1.R"].rotation_quaternion)
    assert np.degrees(rotations.angle_between(shown, wanted)) < 1.0
    # What the user fixed is beyond doubt.
    assert rig.armature["confidence"] == pytest.approx(1.0)


def test_swap_mark_and_go_to_weak_frames(applied: bpy.types.Scene, tmp_path: Path) -> None:
    applied.frame_set(10)
    bpy.context.view_layer.objects.active = hand_rig.find_hands(applied)["left"].armature
    assert bpy.ops.handmocap.resolve(fix="ABSENT") == {"FINISHED"}
    new = load_take(tmp_path / "wave_002.take.npz")
    assert set(new.corrections["kind"]) == {CorrectionKind.ABSENT}
    assert new.corrections["frame"].tolist() == [9]
    bpy.ops.handmocap.next_weak_frame()
    assert 1 <= applied.frame_current <= 24


def test_marking_needs_a_hand(applied: bpy.types.Scene) -> None:
    bpy.context.view_layer.objects.active = None
    with pytest.raises(RuntimeError, match="Select the hand"):
        bpy.ops.handmocap.resolve(fix="HIDDEN")


def test_a_take_that_is_not_shown_is_a_sentence(enabled: bpy.types.Scene, make_take: MakeTake, tmp_path: Path) -> None:
    save_take(watched(make_take(5)), tmp_path / "a_001.take.npz")
    bpy.ops.handmocap.add_take(filepath=str(tmp_path / "a_001.take.npz"))
    with pytest.raises(RuntimeError, match="apply it first"):
        bpy.ops.handmocap.resolve()
    hand_rig.add_hands(enabled)
    with pytest.raises(RuntimeError, match="apply it first"):
        bpy.ops.handmocap.next_weak_frame()
