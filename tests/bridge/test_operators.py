# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators and properties as the interface calls them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import bpy
import numpy as np
import pytest
from mano_files import mano_tables

import blender_handmocap
from blender_handmocap import preferences
from blender_handmocap.bridge import hand_rig, timing
from blender_handmocap.engine.hand.mano import load_mano
from blender_handmocap.engine.take import Take, save_take
from tests.bridge.test_hand_rig import assert_same_hand, random_pose, random_shape

MakeTake = Callable[..., Take]


@pytest.fixture
def enabled(scene: bpy.types.Scene) -> Iterator[bpy.types.Scene]:
    """An empty scene with the extension's classes registered."""
    blender_handmocap.register()
    try:
        yield bpy.context.scene
    finally:
        blender_handmocap.unregister()


def test_add_hands_adds_both_and_undoes(enabled: bpy.types.Scene) -> None:
    bpy.ops.ed.undo_push(message="before")
    assert bpy.ops.handmocap.add_hands("EXEC_DEFAULT", True) == {"FINISHED"}
    assert set(hand_rig.find_hands(bpy.context.scene)) == {"left", "right"}
    assert {obj.name for obj in bpy.context.selected_objects} == {"Hand.L", "Hand.R"}
    bpy.ops.ed.undo()
    assert not hand_rig.find_hands(bpy.context.scene)
    bpy.ops.ed.redo()
    assert set(hand_rig.find_hands(bpy.context.scene)) == {"left", "right"}


def test_add_one_hand(enabled: bpy.types.Scene) -> None:
    assert bpy.ops.handmocap.add_hands(sides="left") == {"FINISHED"}
    assert set(hand_rig.find_hands(enabled)) == {"left"}


def test_sliders_shape_both_hands_or_one(enabled: bpy.types.Scene) -> None:
    rigs = hand_rig.add_hands(enabled)
    left, right = rigs["left"].armature, rigs["right"].armature
    left.handmocap.palm_length = 0.11
    left.handmocap.betas[3] = 1.5
    for armature in (left, right):
        betas, size = hand_rig.shape_of(armature)
        assert size == pytest.approx(0.11)
        assert betas[3] == pytest.approx(1.5)
        assert armature.handmocap.betas[3] == pytest.approx(1.5)
    enabled.handmocap.same_shape = False
    right.handmocap.palm_length = 0.09
    assert left.handmocap.palm_length == pytest.approx(0.11)
    assert (left.data.bones["middle1.L"].head_local - left.data.bones["wrist.L"].head_local).length == pytest.approx(
        0.11, abs=1e-5
    )


def test_a_shape_survives_saving(enabled: bpy.types.Scene, tmp_path: Path) -> None:
    hand_rig.add_hands(enabled)["left"].armature.handmocap.palm_length = 0.105
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "hands.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "hands.blend"))
    rig = hand_rig.find_hands(bpy.context.scene)["left"]
    assert rig.armature.handmocap.palm_length == pytest.approx(0.105)
    rig.armature.handmocap.betas[0] = 2.0
    assert rig.mesh.data.shape_keys.key_blocks["beta0"].value == pytest.approx(2.0)


def test_a_plain_object_has_no_shape(enabled: bpy.types.Scene) -> None:
    obj = bpy.data.objects.new("empty", None)
    obj.handmocap.palm_length = 0.2
    assert obj.handmocap.palm_length == 0.0
    assert list(obj.handmocap.betas) == [0.0] * 10


def test_import_take(enabled: bpy.types.Scene, make_take: MakeTake, tmp_path: Path) -> None:
    path = tmp_path / "wave.take.npz"
    take = make_take(20)
    save_take(take, path)
    assert bpy.ops.handmocap.import_take(filepath=str(path)) == {"FINISHED"}
    rigs = hand_rig.find_hands(enabled)
    assert rigs["left"].armature.animation_data.action.name.startswith("wave")
    assert timing.scene_rate(enabled) == pytest.approx(30.0)
    assert enabled.camera is not None
    bpy.ops.handmocap.import_take(filepath=str(path), timing="ONE_A_FRAME", with_camera=False, push_down=True)
    assert len(rigs["left"].armature.animation_data.nla_tracks) == 1


def test_import_take_starts_at_the_current_frame(enabled: bpy.types.Scene, make_take: MakeTake, tmp_path: Path) -> None:
    save_take(make_take(5), tmp_path / "a.take.npz")
    enabled.frame_set(100)
    bpy.ops.handmocap.import_take(filepath=str(tmp_path / "a.take.npz"), at_current_frame=True)
    action = hand_rig.find_hands(enabled)["right"].armature.animation_data.action
    assert tuple(action.frame_range) == (100.0, 104.0)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"x" * 1000])
def test_a_broken_take_is_one_sentence(enabled: bpy.types.Scene, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.take.npz"
    path.write_bytes(content)
    with pytest.raises(RuntimeError, match="capture it again"):
        bpy.ops.handmocap.import_take(filepath=str(path))
    assert not enabled.objects


def test_a_missing_take_is_one_sentence(enabled: bpy.types.Scene, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="check the path"):
        bpy.ops.handmocap.import_take(filepath=str(tmp_path / "none.take.npz"))


def test_poses_mirror_between_the_hands(enabled: bpy.types.Scene) -> None:
    """Blender's own mirrored pose: the same local quaternion with y and z negated, bone for bone."""
    rigs = hand_rig.add_hands(enabled)
    quaternion = np.array([0.8, 0.4, 0.2, 0.4])
    for side, sign in (("right", 1.0), ("left", -1.0)):
        suffix = {"right": "R", "left": "L"}[side]
        rigs[side].armature.pose.bones[f"index1.{suffix}"].rotation_quaternion = quaternion * [1, 1, sign, sign]
        rigs[side].armature.pose.bones[f"wrist.{suffix}"].location = (0, 0, 0)
    bpy.context.view_layer.update()
    tips = [rigs[s].armature.pose.bones[f"index4.{x}"].head for s, x in (("right", "R"), ("left", "L"))]
    assert np.abs(np.array(tips[0]) * [-1, 1, 1] - np.array(tips[1])).max() < 1e-5


def mixamo_like(scene: bpy.types.Scene) -> bpy.types.Object:
    """Our own left hand under Mixamo's names: a character with one hand."""
    rig = hand_rig.add_hands(scene, ["left"])["left"]
    for bone in rig.armature.data.bones:
        base = bone.name.split(".")[0]
        bone.name = "LeftHand" if base == "wrist" else f"LeftHand{base.capitalize()}"
    rig.armature.data.pop("handmocap")
    return rig.armature


def test_character_from_recognition_to_keys(enabled: bpy.types.Scene, make_take: MakeTake, tmp_path: Path) -> None:
    armature = mixamo_like(enabled)
    save_take(make_take(6), tmp_path / "a.take.npz")
    bpy.ops.handmocap.add_take(filepath=str(tmp_path / "a.take.npz"))
    assert not bpy.ops.handmocap.bake_character.poll()
    enabled.handmocap.character = armature
    assert bpy.ops.handmocap.recognise_character() == {"FINISHED"}
    assert enabled.handmocap.preset == "Mixamo"
    assert bpy.ops.handmocap.save_bones(filepath=str(tmp_path / "map.json")) == {"FINISHED"}
    enabled.handmocap.bones.clear()
    assert bpy.ops.handmocap.load_bones(filepath=str(tmp_path / "map.json")) == {"FINISHED"}
    assert sum(bool(entry.bone) for entry in enabled.handmocap.bones) == 16
    bpy.ops.ed.undo_push(message="before")
    assert bpy.ops.handmocap.bake_character("EXEC_DEFAULT", True) == {"FINISHED"}
    assert armature.animation_data.action is not None
    bpy.ops.ed.undo()
    again = bpy.context.scene.handmocap.character
    assert again.animation_data is None or again.animation_data.action is None


def test_a_bone_map_that_is_none_is_a_sentence(enabled: bpy.types.Scene, tmp_path: Path) -> None:
    for content in ("{}", "[1]", "not json", '{"schema": "handmocap.bones/1"}'):
        (tmp_path / "map.json").write_text(content)
        with pytest.raises(RuntimeError, match="not a bone map"):
            bpy.ops.handmocap.load_bones(filepath=str(tmp_path / "map.json"))


def test_a_character_without_hands_is_a_sentence(enabled: bpy.types.Scene) -> None:
    bpy.ops.object.armature_add()
    enabled.handmocap.character = bpy.context.object
    with pytest.raises(RuntimeError, match="choose their bones"):
        bpy.ops.handmocap.recognise_character()


def test_mano_hands_with_their_correctives(
    enabled: bpy.types.Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Chosen:
        mano_left, mano_right = "", str(tmp_path / "MANO_RIGHT.npz")

    monkeypatch.setattr(preferences, "get", lambda context=None: Chosen())
    np.savez(tmp_path / "MANO_RIGHT.npz", **mano_tables("right"))
    with pytest.raises(RuntimeError, match="choose it in HandMocap's preferences"):
        bpy.ops.handmocap.add_hands(sides="left", model="MANO")
    assert bpy.ops.handmocap.add_hands(sides="right", model="MANO") == {"FINISHED"}
    rig = hand_rig.find_hands(enabled)["right"]
    assert len(rig.mesh.data.shape_keys.key_blocks) == 1 + 10 + 135
    rng = np.random.default_rng(1)
    pose, shape = random_pose(rng), random_shape(rng)
    hand_rig.reshape(rig.armature, betas=shape[0], size=shape[1])
    model = load_mano(tmp_path / "MANO_RIGHT.npz", "right")
    assert_same_hand(rig, model, pose, shape)
