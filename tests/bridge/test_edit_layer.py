# SPDX-License-Identifier: GPL-3.0-or-later
"""Changed keys in a layer of their own: they outlive the take under them, and can be muted."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest

from blender_handmocap.bridge import channels, edit_layer, edits, hand_rig
from blender_handmocap.bridge.channels import BoneChannel
from blender_handmocap.engine import rotations
from blender_handmocap.engine.take import load_take
from tests.bridge.test_review_operators import applied  # noqa: F401 - fixtures

BONE = "middle1.R"


def hand(scene: bpy.types.Scene) -> bpy.types.Object:
    return hand_rig.find_hands(scene)["right"].armature


def shown(scene: bpy.types.Scene, frame: int, bone: str = BONE) -> np.ndarray:
    """What Blender shows, layer and all."""
    scene.frame_set(frame)
    posed = hand(scene).evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones[bone]
    return np.array(posed.matrix_basis.to_quaternion())


def bend(scene: bpy.types.Scene, frame: int, angle: float) -> np.ndarray:
    """Bend a finger on and key it, as an animator does; the pose."""
    scene.frame_set(frame)
    bone = hand(scene).pose.bones[BONE]
    now = np.array(bone.rotation_quaternion)
    bone.rotation_quaternion = rotations.multiply(now, rotations.quaternion_from_vector([angle, 0, 0]))
    bone.keyframe_insert("rotation_quaternion", frame=frame)
    return np.array(bone.rotation_quaternion)


def apart(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.degrees(rotations.angle_between(first, second)))


def test_changes_lie_over_every_new_take(applied: bpy.types.Scene, tmp_path: Path) -> None:  # noqa: F811
    applied.handmocap.review.changes = "LAYER"
    wrist = hand(applied).pose.bones["wrist.R"]
    before = shown(applied, 12)
    far = shown(applied, 22)
    applied.frame_set(12)
    placed = np.array(wrist.location)
    wanted = bend(applied, 12, 0.5)
    wrist.location.x += 0.03
    wrist.keyframe_insert("location", frame=12)
    applied.handmocap.smoothing = 0.0
    assert bpy.ops.handmocap.polish_take() == {"FINISHED"}
    # The take knows nothing of it, and what is shown has it exactly; around it leads over, far away nothing is left.
    take = load_take(tmp_path / "wave_002.take.npz")
    assert len(take.corrections) == 0
    assert apart(shown(applied, 12), wanted) < 0.1
    np.testing.assert_allclose(np.array(wrist.location) - placed, [0.03, 0, 0], atol=1e-5)
    assert 1.0 < apart(shown(applied, 13), edits_free(applied, 13)) < np.degrees(0.5)
    assert apart(shown(applied, 22), far) < 0.5
    # Once more, and with another change: both stay.
    applied.handmocap.smoothing = 0.0
    second = bend_over_layer(applied, 20, 0.4)
    assert bpy.ops.handmocap.polish_take() == {"FINISHED"}
    assert apart(shown(applied, 12), wanted) < 0.1
    assert apart(shown(applied, 20), second) < 0.1
    tracks = [track.name for track in hand(applied).animation_data.nla_tracks]
    assert tracks == [edit_layer.TRACK]
    # Muted it is gone, and the take is what is seen.
    hand(applied).animation_data.nla_tracks[0].mute = True
    assert apart(shown(applied, 12), before) < 0.1


def edits_free(scene: bpy.types.Scene, frame: int) -> np.ndarray:
    """What the take's action says by itself."""
    rig = hand_rig.find_hands(scene)["right"]
    rotation, _ = edits.keyed_motion(rig, np.array([float(frame)]), layered=False)
    return hand_rig.rig_frames(rig.armature).bone_rotations(rotation)[0, 4]


def bend_over_layer(scene: bpy.types.Scene, frame: int, angle: float) -> np.ndarray:
    """Change the action's key under a layer; what is then shown."""
    scene.frame_set(frame)
    bone = hand(scene).pose.bones[BONE]
    free = edits_free(scene, frame)
    bone.rotation_quaternion = rotations.multiply(free, rotations.quaternion_from_vector([angle, 0, 0]))
    action_only(scene, bone, frame)
    return shown(scene, frame)


def action_only(scene: bpy.types.Scene, bone: bpy.types.PoseBone, frame: int) -> None:
    channels.write(hand(scene), [frame], [BoneChannel(bone.name, np.array(bone.rotation_quaternion)[None])])


def test_a_layer_becomes_corrections_when_solved(applied: bpy.types.Scene, tmp_path: Path) -> None:  # noqa: F811
    applied.handmocap.review.changes = "LAYER"
    wanted = bend(applied, 12, 0.5)
    bpy.ops.handmocap.polish_take()
    applied.handmocap.review.changes = "CORRECT"
    assert bpy.ops.handmocap.polish_take() == {"FINISHED"}
    take = load_take(tmp_path / "wave_003.take.npz")
    assert 11 in take.corrections["frame"]
    assert not edit_layer.shown(hand(applied))
    assert hand(applied).animation_data.action_blend_type == "REPLACE"
    assert apart(shown(applied, 12), wanted) < 0.2


def test_a_fix_keeps_the_layer(applied: bpy.types.Scene, tmp_path: Path) -> None:  # noqa: F811
    applied.handmocap.review.changes = "LAYER"
    bend(applied, 12, 0.5)
    applied.frame_set(3)
    bpy.context.view_layer.objects.active = hand_rig.find_hands(applied)["left"].armature
    assert bpy.ops.handmocap.resolve(fix="ABSENT") == {"FINISHED"}
    assert set(load_take(tmp_path / "wave_002.take.npz").corrections["frame"]) == {2}
    assert edit_layer.shown(hand(applied))
    # Over the newly solved take it bends as much as over the old one.
    assert apart(shown(applied, 12), edits_free(applied, 12)) == pytest.approx(np.degrees(0.5), abs=0.1)


def test_asked_nothing_is_done_before_an_answer(applied: bpy.types.Scene, tmp_path: Path) -> None:  # noqa: F811
    applied.handmocap.review.changes = "ASK"
    assert bpy.ops.handmocap.polish_take() == {"FINISHED"}
    bend(applied, 12, 0.5)
    with pytest.raises(RuntimeError, match="changed in 1 frame since"):
        bpy.ops.handmocap.polish_take()
    assert not (tmp_path / "wave_003.take.npz").exists()


def test_another_take_puts_the_layer_away(applied: bpy.types.Scene) -> None:  # noqa: F811
    applied.handmocap.review.changes = "LAYER"
    bend(applied, 12, 0.5)
    bpy.ops.handmocap.polish_take()
    assert bpy.ops.handmocap.apply_take() == {"FINISHED"}
    animation = hand(applied).animation_data
    assert animation.action_blend_type == "REPLACE"
    assert [(track.name, track.mute) for track in animation.nla_tracks] == [(f"{edit_layer.TRACK} of wave_002", True)]


def test_bones_that_turn_by_angles_are_told(applied: bpy.types.Scene) -> None:  # noqa: F811
    applied.handmocap.review.changes = "LAYER"
    bend(applied, 12, 0.5)
    hand(applied).pose.bones["ring1.R"].rotation_mode = "XYZ"
    with pytest.raises(RuntimeError, match="turn by quaternions"):
        bpy.ops.handmocap.polish_take()
