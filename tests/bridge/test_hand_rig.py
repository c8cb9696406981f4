# SPDX-License-Identifier: GPL-3.0-or-later
"""The rig in Blender is the engine's hand, whatever its pose and shape."""

from __future__ import annotations

from dataclasses import replace

import bpy
import numpy as np
import pytest
from numpy.typing import NDArray

from blender_handmocap.bridge import hand_rig
from blender_handmocap.bridge.frames import world_points
from blender_handmocap.engine import rotations
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.hand.free import free_hand, free_hinges, free_surface
from blender_handmocap.engine.hand.model import HandModel
from blender_handmocap.engine.hand.names import JOINT_COUNT, SIDES, TIP_JOINTS, Side

Array = NDArray[np.float64]

TOLERANCE = 1e-4


def random_pose(rng: np.random.Generator) -> tuple[Array, Array]:
    """A Take's rotation (16, 4) and translation (3,)."""
    vectors = rng.normal(size=(JOINT_COUNT, 3)) * 0.5
    vectors[0] = rng.normal(size=3) * 2.0
    return rotations.quaternion_from_vector(vectors), rng.normal(size=3) * 0.2 + [0.0, 0.0, 0.6]


def random_shape(rng: np.random.Generator) -> tuple[Array, float]:
    return rng.normal(size=10) * 1.5, float(rng.uniform(0.07, 0.12))


def pose_rig(rig: hand_rig.HandRig, rotation: Array, translation: Array) -> None:
    frames = hand_rig.rig_frames(rig.armature)
    names = hand_rig.bone_names(rig.armature)
    for name, quaternion in zip(names[:JOINT_COUNT], frames.bone_rotations(rotation), strict=True):
        rig.armature.pose.bones[name].rotation_quaternion = quaternion
    rig.armature.pose.bones[names[0]].location = frames.bone_location(translation)
    bpy.context.view_layer.update()


def skin_points(rig: hand_rig.HandRig) -> Array:
    """The vertices (V, 3) Blender shows, world axes."""
    evaluated = rig.mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
    points = np.empty(3 * len(evaluated.data.vertices), np.float32)
    evaluated.data.vertices.foreach_get("co", points)
    world = np.array(evaluated.matrix_world, dtype=np.float64)
    return points.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]


def engine_points(model: HandModel, rotation: Array, translation: Array, betas: Array, size: float) -> Array:
    rest = model.rest(betas, size)
    return world_points(model.vertices(rotation[None], translation[None], rest)[0])


def assert_same_hand(
    rig: hand_rig.HandRig, model: HandModel, pose: tuple[Array, Array], shape: tuple[Array, float]
) -> None:
    pose_rig(rig, *pose)
    expected = engine_points(model, *pose, *shape)
    assert np.abs(skin_points(rig) - expected).max() < TOLERANCE
    posed = model.pose(pose[0][None], pose[1][None], model.rest(*shape))
    names = hand_rig.bone_names(rig.armature)
    heads = np.array([rig.armature.pose.bones[name].head for name in names])
    ends = np.concatenate([posed.joints[0], posed.keypoints[0, [4, 8, 12, 16, 20]]])
    assert np.abs(heads - world_points(ends)).max() < TOLERANCE


@pytest.mark.parametrize("side", SIDES)
def test_every_vertex_is_the_engines(scene: bpy.types.Scene, side: Side) -> None:
    rng = np.random.default_rng(7)
    rig = hand_rig.add_hands(scene, [side])[side]
    model = free_hand(side)
    for _ in range(6):
        shape = random_shape(rng)
        hand_rig.reshape(rig.armature, betas=shape[0], size=shape[1])
        assert_same_hand(rig, model, random_pose(rng), shape)


@pytest.mark.parametrize("side", SIDES)
def test_pose_correctives_are_the_engines(scene: bpy.types.Scene, side: Side) -> None:
    rng = np.random.default_rng(11)
    plain = free_hand("right")
    model = replace(plain, pose_dirs=rng.normal(size=(135, *plain.template.shape)) * 2e-3)
    if side == "left":
        model = model.mirrored()
    rig = hand_rig.add_hand(scene, model, free_hinges(side), surface=free_surface())
    for mode in ("QUATERNION", "ZXY"):
        for bone in rig.armature.pose.bones:
            bone.rotation_mode = "QUATERNION"
        shape = random_shape(rng)
        pose = random_pose(rng)
        hand_rig.reshape(rig.armature, betas=shape[0], size=shape[1])
        pose_rig(rig, *pose)
        for bone in rig.armature.pose.bones:
            euler = bone.rotation_quaternion.to_euler("ZXY")
            bone.rotation_mode = mode
            bone.rotation_euler = euler
        bpy.context.view_layer.update()
        assert np.abs(skin_points(rig) - engine_points(model, *pose, *shape)).max() < TOLERANCE


def test_keys_keep_their_meaning_when_the_shape_changes(scene: bpy.types.Scene) -> None:
    rng = np.random.default_rng(3)
    rig = hand_rig.add_hands(scene, ["left"])["left"]
    pose = random_pose(rng)
    pose_rig(rig, *pose)
    before = [tuple(bone.rotation_quaternion) for bone in rig.armature.pose.bones]
    axes = hand_rig.rig_frames(rig.armature).rest
    shape = random_shape(rng)
    hand_rig.reshape(rig.armature, betas=shape[0], size=shape[1])
    bpy.context.view_layer.update()
    assert [tuple(bone.rotation_quaternion) for bone in rig.armature.pose.bones] == before
    assert np.abs(hand_rig.rig_frames(rig.armature).rest - axes).max() < 1e-4
    assert np.abs(skin_points(rig) - engine_points(free_hand("left"), *pose, *shape)).max() < TOLERANCE


def test_shape_survives_many_changes_without_drift(scene: bpy.types.Scene) -> None:
    rng = np.random.default_rng(5)
    rig = hand_rig.add_hands(scene, ["right"])["right"]
    for _ in range(60):
        shape = random_shape(rng)
        hand_rig.reshape(rig.armature, betas=shape[0], size=shape[1])
    assert_same_hand(rig, free_hand("right"), random_pose(rng), shape)
    assert hand_rig.shape_of(rig.armature)[1] == shape[1]


@pytest.mark.parametrize("side", SIDES)
def test_positive_x_flexes_towards_the_palm(scene: bpy.types.Scene, side: Side) -> None:
    rig = hand_rig.add_hands(scene, [side])[side]
    for name in hand_rig.bone_names(rig.armature)[1:JOINT_COUNT]:
        if not name.startswith("thumb"):
            rig.armature.pose.bones[name].rotation_quaternion = (np.cos(0.4), np.sin(0.4), 0.0, 0.0)
    bpy.context.view_layer.update()
    names = hand_rig.bone_names(rig.armature)
    bones = rig.armature.pose.bones
    for tip in (1, 2, 3, 4):
        rest_tip = rig.armature.data.bones[names[JOINT_COUNT + tip]].head_local
        bent_tip = bones[names[JOINT_COUNT + tip]].head - bones[names[0]].head
        # The palm faces down, so a curled fingertip is lower and nearer to the wrist.
        assert bent_tip.z < rest_tip.z - 0.02
        assert bent_tip.y < rest_tip.y - 0.02


def test_sides_mirror_each_other(scene: bpy.types.Scene) -> None:
    rigs = hand_rig.add_hands(scene)
    left, right = (hand_rig.rig_frames(rigs[side].armature).rest for side in SIDES)
    flip = np.array([-1.0, 1.0, 1.0])
    # A mirrored bone's X is the negative of the mirror image, which keeps the axes right-handed.
    assert np.abs(left - right * flip[:, None] * flip).max() < 1e-4
    points = {side: np.array([v.co for v in rigs[side].mesh.data.vertices]) for side in SIDES}
    assert np.abs(points["left"] - points["right"] * flip).max() < 1e-6
    for rig in rigs.values():
        normals = np.array([p.normal for p in rig.mesh.data.polygons])
        centres = np.array([p.center for p in rig.mesh.data.polygons])
        areas = np.array([p.area for p in rig.mesh.data.polygons])
        assert (normals * (centres - centres.mean(0))).sum(1) @ areas > 0


def test_the_shape_of_the_rig(scene: bpy.types.Scene) -> None:
    rigs = hand_rig.add_hands(scene)
    assert set(hand_rig.find_hands(scene)) == set(SIDES)
    for side, suffix in (("left", "L"), ("right", "R")):
        rig = rigs[side]
        names = [bone.name for bone in rig.armature.data.bones]
        assert len(names) == 21
        assert {f"wrist.{suffix}", f"index1.{suffix}", f"pinky3.{suffix}", f"thumb4.{suffix}"} <= set(names)
        assert rig.armature.data.bones[f"ring2.{suffix}"].parent.name == f"ring1.{suffix}"
        assert [c.name for c in rig.armature.users_collection] == [hand_rig.COLLECTION_NAME]
        assert list(rig.armature.scale) == [1.0, 1.0, 1.0]
        assert len(rig.mesh.data.uv_layers) == 1
        assert len(rig.mesh.data.shape_keys.key_blocks) == 11
        assert rig.mesh.data.materials[0] is not None
        modifier = rig.mesh.modifiers[0]
        assert (modifier.use_deform_preserve_volume, modifier.use_bone_envelopes) == (False, False)
        tips = [rig.armature.data.bones[n] for n in names if n.split(".")[0].endswith("4")]
        assert len(tips) == 5
        assert not any(bone.use_deform for bone in tips)
        weights = np.zeros(len(rig.mesh.data.vertices))
        for vertex in rig.mesh.data.vertices:
            weights[vertex.index] = sum(g.weight for g in vertex.groups)
        assert np.abs(weights - 1.0).max() < 1e-5


def test_frames_go_there_and_back(scene: bpy.types.Scene) -> None:
    rng = np.random.default_rng(2)
    for side, rig in hand_rig.add_hands(scene).items():
        frames = hand_rig.rig_frames(rig.armature)
        rotation, translation = random_pose(rng)
        back = frames.take_rotations(frames.bone_rotations(rotation))
        assert rotations.angle_between(back, rotation).max() < 1e-6, side
        assert np.abs(frames.take_translation(frames.bone_location(translation)) - translation).max() < 1e-6


def test_renamed_bones_are_still_known(scene: bpy.types.Scene) -> None:
    rig = hand_rig.add_hands(scene, ["right"])["right"]
    rig.armature.data.bones["index1.R"].name = 'zeiger "1"'
    assert hand_rig.bone_names(rig.armature)[1] == 'zeiger "1"'
    hand_rig.reshape(rig.armature, size=0.1)
    assert_same_hand(rig, free_hand("right"), random_pose(np.random.default_rng(0)), (np.zeros(10), 0.1))


def test_a_rig_without_a_bone_is_refused_in_a_sentence(scene: bpy.types.Scene) -> None:
    rig = hand_rig.add_hands(scene, ["right"])["right"]
    bpy.context.view_layer.objects.active = rig.armature
    bpy.ops.object.mode_set(mode="EDIT")
    rig.armature.data.edit_bones.remove(rig.armature.data.edit_bones["ring3.R"])
    bpy.ops.object.mode_set(mode="OBJECT")
    with pytest.raises(BadInputError, match="ring3"):
        hand_rig.reshape(rig.armature, size=0.1)


@pytest.mark.parametrize("betas", [np.zeros(9), np.full(10, np.nan)])
def test_a_broken_shape_changes_nothing(scene: bpy.types.Scene, betas: Array) -> None:
    rig = hand_rig.add_hands(scene, ["right"])["right"]
    with pytest.raises(BadInputError):
        hand_rig.reshape(rig.armature, betas=betas)
    assert not hand_rig.shape_of(rig.armature)[0].any()


def test_reshaping_leaves_the_users_mode_and_selection(scene: bpy.types.Scene) -> None:
    rigs = hand_rig.add_hands(scene)
    left, right = rigs["left"].armature, rigs["right"].armature
    bpy.ops.object.select_all(action="DESELECT")
    left.select_set(True)
    right.select_set(True)
    bpy.context.view_layer.objects.active = left
    bpy.ops.object.mode_set(mode="POSE")
    hand_rig.reshape(right, size=0.1)
    assert (left.mode, right.mode, bpy.context.view_layer.objects.active.name) == ("POSE", "POSE", left.name)
    assert left.select_get()
    assert right.select_get()
    bpy.ops.object.mode_set(mode="OBJECT")
    right.hide_set(True)
    left.hide_viewport = True
    hand_rig.reshape(right, size=0.09)
    hand_rig.reshape(left, size=0.09)
    assert right.hide_get()
    assert left.hide_viewport


def test_a_tip_bone_hangs_from_the_last_joint(scene: bpy.types.Scene) -> None:
    rig = hand_rig.add_hands(scene, ["right"])["right"]
    names = hand_rig.bone_names(rig.armature)
    for finger, joint in enumerate(TIP_JOINTS):
        assert rig.armature.data.bones[names[JOINT_COUNT + finger]].parent.name == names[joint]
