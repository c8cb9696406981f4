# SPDX-License-Identifier: GPL-3.0-or-later
"""Points dragged over the footage, poses held, smoothing and thinning that lose nobody's work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils import Vector

from blender_handmocap.bridge import baked_keys, camera_path, drag_points, edits, hand_rig, thin_keys
from blender_handmocap.bridge.frames import WORLD_FROM_CAMERA, world_points
from blender_handmocap.bridge.thin_keys import Thinning
from blender_handmocap.engine import review, rotations
from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.hand.names import KEYPOINT_NAMES
from blender_handmocap.engine.take import CorrectionKind, State, Take, load_take, save_take
from tests.bridge.test_review_operators import MakeTake, applied, watched  # noqa: F401 - fixtures


def take_of(tmp_path: Path, name: str = "wave_001") -> Take:
    return load_take(tmp_path / f"{name}.take.npz")


def test_a_dragged_point_is_met_in_the_picture(applied: bpy.types.Scene, tmp_path: Path) -> None:  # noqa: F811
    take = take_of(tmp_path)
    applied.frame_set(12)
    assert bpy.ops.handmocap.show_points() == {"FINISHED"}
    points = {obj.name: obj for obj in applied.objects if obj.type == "EMPTY" and "point" in obj.name}
    assert len(points) == 42
    # Nobody has touched them, so nothing is corrected.
    assert drag_points.moved(applied, take) == {}
    tip = KEYPOINT_NAMES.index("index4")
    point = points["index4.R point"]
    np.testing.assert_allclose(np.array(point.location), world_points(take.right.points[11, tip]), atol=1e-6)
    point.location.x += 0.012
    point.location.z += 0.008
    bpy.context.view_layer.update()
    wanted = drag_points.moved(applied, take)
    assert list(wanted) == [("right", 11)]
    assert list(wanted["right", 11]) == [tip]
    assert bpy.ops.handmocap.resolve() == {"FINISHED"}
    new = take_of(tmp_path, "wave_002")
    camera = Camera(K=new.K, dist=new.dist, width=640, height=480)
    off = camera.project(new.right.points[11, tip][None])[0] - wanted["right", 11][tip]
    assert np.linalg.norm(off) < 0.3
    assert new.right.state[11] == State.CORRECTED
    # The neighbours follow, frames far away less; the points are gone.
    moved = np.linalg.norm(new.right.points[:, tip] - take.right.points[:, tip], axis=-1)
    assert moved[10] > 0.4 * moved[11]
    assert moved[[0, 23]].max() < moved[11]
    assert not drag_points.shown(applied)


def test_points_can_be_taken_away(applied: bpy.types.Scene) -> None:  # noqa: F811
    applied.frame_set(3)
    before = len(applied.objects)
    bpy.ops.handmocap.show_points()
    bpy.ops.handmocap.show_points()
    assert len(applied.objects) == before + 42
    bpy.ops.handmocap.clear_points()
    assert len(applied.objects) == before
    applied.frame_set(300)
    with pytest.raises(RuntimeError, match="outside the take"):
        bpy.ops.handmocap.show_points()


def test_a_pose_is_held_and_forgotten(make_take: MakeTake) -> None:
    take = make_take(20)
    held = review.held(take, "left", [5, 6, 7])
    assert set(held.corrections["frame"]) == {5, 6, 7}
    turn = held.corrections[(held.corrections["frame"] == 6) & (held.corrections["index"] == 3)][0]
    np.testing.assert_allclose(turn["value"], take.left.rotation[4, 3])
    place = held.corrections[
        (held.corrections["frame"] == 7) & (held.corrections["kind"] == CorrectionKind.TRANSLATION)
    ]
    np.testing.assert_allclose(place["value"][0, :3], take.left.translation[4])
    # At the start there is nothing before: what comes after is held.
    first = review.held(take, "left", [0, 1]).corrections[0]
    np.testing.assert_allclose(first["value"], take.left.rotation[2, 0])
    assert set(review.cleared(held, "left", [5, 6]).corrections["frame"]) == {7}
    assert len(review.cleared(held, "right", [5, 6, 7]).corrections) == len(held.corrections)
    with pytest.raises(BadInputError, match="no other frame"):
        review.held(take, "left", list(range(20)))


def test_smoothing_again_keeps_what_was_changed(applied: bpy.types.Scene, tmp_path: Path) -> None:  # noqa: F811
    rig = hand_rig.find_hands(applied)["right"]
    applied.frame_set(12)
    bone = rig.armature.pose.bones["middle1.R"]
    wanted = rotations.multiply(np.array(bone.rotation_quaternion), rotations.quaternion_from_vector([0.4, 0, 0]))
    bone.rotation_quaternion = wanted
    bone.keyframe_insert("rotation_quaternion", frame=12)
    applied.handmocap.smoothing = 2.0
    assert bpy.ops.handmocap.polish_take() == {"FINISHED"}
    assert applied.handmocap.takes[applied.handmocap.take_index].name == "wave_002"
    new = take_of(tmp_path, "wave_002")
    assert new.meta["parent"] == "wave_001.take.npz"
    assert set(new.corrections["kind"]) == {CorrectionKind.ROTATION}
    applied.frame_set(12)
    shown = np.array(hand_rig.find_hands(applied)["right"].armature.pose.bones["middle1.R"].rotation_quaternion)
    assert np.degrees(rotations.angle_between(shown, wanted)) < 0.1
    # And once more, from the new take.
    assert bpy.ops.handmocap.polish_take() == {"FINISHED"}
    applied.frame_set(12)
    shown = np.array(hand_rig.find_hands(applied)["right"].armature.pose.bones["middle1.R"].rotation_quaternion)
    assert np.degrees(rotations.angle_between(shown, wanted)) < 0.1


@pytest.mark.parametrize("how", list(Thinning))
def test_fewer_keys_say_the_same(applied: bpy.types.Scene, tmp_path: Path, how: Thinning) -> None:  # noqa: F811
    rig = hand_rig.find_hands(applied)["left"]
    frames = np.arange(1.0, 25.0)
    before = {
        name: baked_keys.rotations_at(rig.armature, name, frames) for name in hand_rig.bone_names(rig.armature)[:16]
    }
    applied.handmocap.clean_up.thinning = how.value
    applied.handmocap.clean_up.error = np.radians(1.0)
    assert bpy.ops.handmocap.thin_keys() == {"FINISHED"}
    worst = max(
        float(np.degrees(rotations.angle_between(baked_keys.rotations_at(rig.armature, name, frames), dense)).max())
        for name, dense in before.items()
    )
    keyed = {
        key: tuple(point.co[0] for point in curve.keyframe_points)
        for key, curve in baked_keys.curves_of(rig.armature).items()
        if "rotation" in key[0]
    }
    assert max(len(times) for times in keyed.values()) < 20
    if how is Thinning.POSES:
        assert len(set(keyed.values())) == 1
    else:
        assert worst < 1.1
    if how is Thinning.TOGETHER:
        assert len(set(keyed.values())) == 1
    # What the thinning left is nobody's edit; what is changed after it is.
    take = take_of(tmp_path)
    rigs = hand_rig.find_hands(applied)
    assert edits.with_edits(take, rigs, 1)[1] == 0
    bone = rig.armature.pose.bones["ring2.L"]
    bone.rotation_quaternion = rotations.quaternion_from_vector([1.0, 0, 0])
    bone.keyframe_insert("rotation_quaternion", frame=9)
    assert edits.with_edits(take, rigs, 1)[1] >= 1


def test_nothing_to_thin_is_a_sentence(enabled: bpy.types.Scene) -> None:
    with pytest.raises(RuntimeError, match="apply a take first"):
        bpy.ops.handmocap.thin_keys()
    with pytest.raises(RuntimeError, match="No character is chosen"):
        bpy.ops.handmocap.thin_keys(character=True)
    bare = bpy.data.objects.new("Bare", bpy.data.armatures.new("Bare"))
    with pytest.raises(BadInputError, match="No take was put on Bare"):
        thin_keys.thin(bare, Thinning.ERROR, 0.1, rate=24.0)


def test_weak_frames_are_found_for_one_hand_forwards_and_back(applied: bpy.types.Scene, tmp_path: Path) -> None:  # noqa: F811
    take = take_of(tmp_path)
    low = take.left.confidence.copy()
    low[[5, 15]] = 0.01, 0.02
    save_take(take.with_tracks(left=replace(take.left, confidence=low)), tmp_path / "wave_001.take.npz")
    bpy.context.view_layer.objects.active = hand_rig.find_hands(applied)["left"].armature
    applied.frame_set(1)
    bpy.ops.handmocap.next_weak_frame()
    assert applied.frame_current == 6
    bpy.ops.handmocap.next_weak_frame(back=True)
    assert applied.frame_current != 6


def test_poses_in_the_world_go_back_to_the_camera_that_saw_them(make_take: MakeTake) -> None:
    take = make_take(12)
    turn = rotations.matrix_from_vector(np.linspace([0, 0, 0], [0.2, 1.0, -0.4], 12))
    place = np.linspace([0, 0, 0], [0.3, -0.1, 0.8], 12)
    take = take.with_tracks(
        meta={**take.meta, camera_path.META: {"rotation": turn.tolist(), "translation": place.tolist()}}
    )
    world = camera_path.in_world(take).left
    assert np.abs(world.translation - take.left.translation).max() > 0.2
    rotation, translation = camera_path.seen_by_camera(take, world.rotation, world.translation)
    np.testing.assert_allclose(translation, take.left.translation, atol=1e-9)
    assert rotations.angle_between(rotation, take.left.rotation).max() < 1e-6
    one = camera_path.seen_by_camera(take, world.rotation[7:8], world.translation[7:8], index=7)
    np.testing.assert_allclose(one[1][0], take.left.translation[7], atol=1e-9)


def test_moved_points_are_told_in_the_picture_of_a_moving_camera(
    enabled: bpy.types.Scene,
    make_take: MakeTake,
) -> None:
    take = make_take(6)
    turn = rotations.matrix_from_vector(np.tile([0.0, 0.5, 0.0], (6, 1)))
    path = {"rotation": turn.tolist(), "translation": np.tile([0.1, 0.0, 0.2], (6, 1)).tolist()}
    take = take.with_tracks(meta={**take.meta, camera_path.META: path})
    drag_points.show(enabled, take, 2, {"left": None})
    point = bpy.data.objects["thumb4.L point"]
    tip = KEYPOINT_NAMES.index("thumb4")
    camera = Camera(K=take.K, dist=take.dist, width=640, height=480)
    # Along the picture's x axis, as the turned camera has it.
    point.location = Vector(np.array(point.location) + WORLD_FROM_CAMERA @ turn[2].T @ np.array([0.01, 0.0, 0.0]))
    bpy.context.view_layer.update()
    moved = drag_points.moved(enabled, take)["left", 2]
    wanted = camera.project(take.left.points[2, tip] + np.array([0.01, 0.0, 0.0]))
    np.testing.assert_allclose(moved[tip], wanted, atol=0.01)
