# SPDX-License-Identifier: GPL-3.0-or-later
"""A take on characters' own armatures, as Blender shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import bpy
import numpy as np
import pytest
from mathutils import Euler, Matrix, Vector
from numpy.typing import NDArray

from blender_handmocap.bridge import actions, channels, character, hand_rig, rest_skeleton, take_on_rig
from blender_handmocap.bridge.channels import BoneChannel
from blender_handmocap.bridge.character import Choices, Reach
from blender_handmocap.bridge.frames import world_points
from blender_handmocap.bridge.modes import editing_bones
from blender_handmocap.engine import rotations
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.names import FINGERS, JOINT_NAMES, SIDES, Side
from blender_handmocap.engine.rigs.preset import BoneMap, RigPreset
from blender_handmocap.engine.rigs.presets import PRESETS
from blender_handmocap.engine.rigs.retarget import fit_hand
from blender_handmocap.engine.take import HandTrack, State, Take
from tests.engine.test_rigs_retarget import make_rig, ten_poses

Array = NDArray[np.float64]
MakeTake = Callable[..., Take]
TURNED = Choices(reach=Reach.WRIST, contact=False)
MODES = ("QUATERNION", "XYZ", "ZYX", "AXIS_ANGLE")


@pytest.fixture
def ten(make_take: MakeTake) -> Take:
    """Ten poses of both hands, open to thumbs-up, the wrists turned all ways."""
    take = make_take(10, rate=Fraction(24))
    tracks = {}
    for side in SIDES:
        rotation = rotations_from_angles(ten_poses(), free_hinges(side))
        rotation[:, 0] = rotations.normalized(np.random.default_rng(7).normal(size=(10, 4)))
        tracks[side] = replace(take.track(side), rotation=rotations.continuous(rotation))
    return take.with_tracks(**tracks)


def build(scene: bpy.types.Scene, preset: RigPreset, seed: int) -> bpy.types.Object:
    """An armature of the preset's names with a random rest, turned and scaled as an importer may leave it."""
    random = np.random.default_rng([seed, len(preset.name)])
    skeleton = make_rig(preset, random)
    obj = bpy.data.objects.new("Character", bpy.data.armatures.new("Character"))
    scene.collection.objects.link(obj)
    with editing_bones(obj) as edit_bones:
        for index, name in enumerate(skeleton.names):
            bone = edit_bones.new(name)
            bone.head, bone.tail = skeleton.heads[index], skeleton.tails[index]
            bone.align_roll(Vector(skeleton.axes[index, :, 2]))
            if skeleton.parents[index] >= 0:
                bone.parent = edit_bones[skeleton.names[skeleton.parents[index]]]
    obj.rotation_euler = (np.pi / 2, 0.0, random.uniform(-1.0, 1.0))
    obj.scale = [float(random.choice([0.01, 1.0]))] * 3
    for bone in obj.pose.bones:
        bone.rotation_mode = str(random.choice(MODES))
    return obj


def finger_directions(armature: bpy.types.Object, bones: BoneMap) -> Array:
    """(10, 3) where the first two bones of each finger point, in the world, as Blender shows the character now."""
    evaluated = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
    heads = {role: evaluated.matrix_world @ evaluated.pose.bones[name].head for role, name in bones.bones.items()}
    steps = [heads[f"{f}{k + 1}"] - heads[f"{f}{k}"] for f in FINGERS for k in (1, 2)]
    return np.array([step.normalized() for step in steps])


def expected_directions(track: HandTrack, side: Side, index: int, hand: Array) -> Array:
    """The same of our own hand, its root turned by `hand` (3, 3)."""
    model = free_hand(side)
    rotation = track.rotation[index : index + 1].copy()
    rotation[:, 0] = rotations.quaternion_from_matrix(hand)
    joints = model.pose(rotation, np.zeros((1, 3)), model.rest()).joints[0]
    at = [JOINT_NAMES.index(f"{f}{k}") for f in FINGERS for k in (1, 2)]
    steps = np.array([joints[i + 1] - joints[i] for i in at])
    return steps / np.linalg.norm(steps, axis=-1, keepdims=True)


def degrees_between(first: Array, second: Array) -> Array:
    return np.degrees(np.arccos(np.clip((first * second).sum(-1), -1.0, 1.0)))


def rotation_of(matrix: Matrix) -> Array:
    return rotations.nearest_rotation(np.array(matrix.to_3x3(), dtype=np.float64))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_points_its_fingers_as_we_do(scene: bpy.types.Scene, ten: Take, preset: RigPreset) -> None:
    armature = build(scene, preset, 0)
    found = character.recognise(armature)
    assert found is not None
    assert found.preset is preset
    baked = character.bake(scene, ten, armature, found.maps, np.arange(1, 11), choices=TURNED)
    assert not baked.notes
    for index in range(10):
        scene.frame_set(index + 1)
        for side in SIDES:
            seen = rotations.matrix_from_quaternion(ten.track(side).rotation[index, 0])
            hand = world_points(np.eye(3)).T @ seen
            expected = expected_directions(ten.track(side), side, index, hand)
            assert degrees_between(finger_directions(armature, found.maps[side]), expected).max() < 1.0


def test_fingers_alone_leave_the_wrist_to_the_body(scene: bpy.types.Scene, ten: Take) -> None:
    armature = build(scene, PRESETS[3], 0)
    found = character.recognise(armature)
    assert found is not None
    wrist = found.maps["left"].bones["wrist"]
    body = rotations.quaternion_from_vector(np.linspace([0, 0, 0], [1.0, 0.5, 0.2], 30))
    channels.write(
        armature,
        np.arange(1, 31),
        [BoneChannel(wrist, body), BoneChannel("root" if "root" in armature.pose.bones else wrist, body)],
    )
    owner = actions.existing_channels(armature)
    path = armature.pose.bones[wrist].path_from_id()
    before = [tuple(p.co) for c in owner.fcurves if c.data_path.startswith(path) for p in c.keyframe_points]
    character.bake(scene, ten, armature, found.maps, np.arange(11, 21), choices=Choices(contact=False))
    owner = actions.existing_channels(armature)
    after = [tuple(p.co) for c in owner.fcurves if c.data_path.startswith(path) for p in c.keyframe_points]
    assert after == before
    skeleton = rest_skeleton.read(armature)
    fit = fit_hand(skeleton, found.maps["left"], free_hand("left"))
    for index in (0, 4, 9):
        scene.frame_set(11 + index)
        evaluated = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        bone = evaluated.pose.bones[wrist]
        turned = rotation_of(evaluated.matrix_world @ bone.matrix @ bone.bone.matrix_local.inverted())
        expected = expected_directions(ten.left, "left", index, turned @ fit.palm)
        assert degrees_between(finger_directions(armature, found.maps["left"]), expected).max() < 1.0


def test_a_wrist_on_a_moving_arm_still_turns_as_seen(scene: bpy.types.Scene, ten: Take) -> None:
    armature = build(scene, next(p for p in PRESETS if p.name == "Unreal 5"), 1)
    found = character.recognise(armature)
    assert found is not None
    arm = found.maps["right"].bones["forearm"]
    channels.write(armature, [1, 10], [BoneChannel(arm, rotations.quaternion_from_vector([[0, 0, 0], [1.2, 0, 0.4]]))])
    armature.rotation_mode = "XYZ"
    armature.keyframe_insert("rotation_euler", frame=1)
    armature.rotation_euler.z += 1.0
    armature.keyframe_insert("rotation_euler", frame=10)
    scene.frame_set(4)
    character.bake(scene, ten, armature, found.maps, np.arange(1, 11), choices=TURNED)
    assert scene.frame_current == 4
    for index in (0, 5, 9):
        scene.frame_set(index + 1)
        seen = rotations.matrix_from_quaternion(ten.right.rotation[index, 0])
        expected = expected_directions(ten.right, "right", index, world_points(np.eye(3)).T @ seen)
        assert degrees_between(finger_directions(armature, found.maps["right"]), expected).max() < 1.0


@pytest.mark.slow
def test_rigify_in_flesh(rigify: bpy.types.Object, ten: Take) -> None:
    scene = bpy.context.scene
    found = character.recognise(rigify)
    assert found is not None
    assert found.preset is not None
    assert found.preset.name == "Rigify"
    assert all(not bones.missing for bones in found.maps.values())
    rigify.location, rigify.rotation_euler = (1.0, 2.0, 0.5), Euler((0.0, 0.0, 0.7))
    master = rigify.pose.bones["f_index.01_master.L"]
    master.scale.y = 0.7
    master.keyframe_insert("scale", frame=5)
    character.bake(scene, ten, rigify, found.maps, np.arange(1, 11), choices=TURNED)
    for index in range(10):
        scene.frame_set(index + 1)
        assert tuple(master.scale) == pytest.approx((1.0, 1.0, 1.0))
        for side, suffix in (("left", "L"), ("right", "R")):
            # What deforms the mesh, not only the controls, must follow.
            roles = {
                role: name.replace("f_", "DEF-f_").replace("thumb", "DEF-thumb")
                for role, name in found.maps[side].bones.items()
            }
            roles["wrist"] = f"DEF-hand.{suffix}"
            shown = BoneMap(side=side, bones={r: n for r, n in roles.items() if r in JOINT_NAMES})
            seen = rotations.matrix_from_quaternion(ten.track(side).rotation[index, 0])
            expected = expected_directions(ten.track(side), side, index, world_points(np.eye(3)).T @ seen)
            assert degrees_between(finger_directions(rigify, shown), expected).max() < 5.0, (index, side)


def test_our_own_rig_is_a_character_too(scene: bpy.types.Scene, ten: Take) -> None:
    rig = hand_rig.add_hands(scene, ["left"])["left"]
    found = character.recognise(rig.armature)
    assert found is not None
    assert found.preset is not None
    assert found.preset.name == "HandMocap hands"
    character.bake(scene, ten, rig.armature, found.maps, np.arange(1, 11), choices=TURNED)
    direct = {c.bone: c.rotation for c in take_on_rig.bone_channels(ten.left, rig)}
    for index in (0, 5, 9):
        scene.frame_set(index + 1)
        for name, rotation in direct.items():
            shown = np.array(rig.armature.pose.bones[name].rotation_quaternion)
            assert np.degrees(rotations.angle_between(shown, rotation[index])) < 3.0, name


def test_absent_frames_and_one_hand(scene: bpy.types.Scene, ten: Take) -> None:
    armature = build(scene, PRESETS[3], 0)
    found = character.recognise(armature)
    assert found is not None
    state = np.array([1, 1, 0, 0, 1, 1, 1, 2, 1, 1], np.uint8)
    take = ten.with_tracks(left=replace(ten.left, state=state), right=HandTrack.absent(10))
    baked = character.bake(scene, take, armature, found.maps, np.arange(1, 11))
    assert list(baked.written) == ["left"]
    curve = actions.existing_channels(armature).fcurves[0]
    assert [p.co[0] for p in curve.keyframe_points] == [1, 2, 5, 6, 7, 8, 9, 10]
    assert State.FILLED == 2
    assert curve.keyframe_points[5].type == "BREAKDOWN"


def test_a_map_with_a_bone_that_is_gone_is_a_sentence(scene: bpy.types.Scene, ten: Take) -> None:
    armature = build(scene, PRESETS[3], 0)
    maps = {"left": BoneMap(side="left", bones={"wrist": "no such bone"})}
    with pytest.raises(BadInputError, match="no such bone; choose another"):
        character.bake(scene, ten, armature, maps, np.arange(1, 11))
    assert armature.animation_data is None


def test_an_armature_without_hands_is_not_recognised(scene: bpy.types.Scene) -> None:
    obj = bpy.data.objects.new("Legs", bpy.data.armatures.new("Legs"))
    scene.collection.objects.link(obj)
    with pytest.raises(BadInputError, match="no bones"):
        character.recognise(obj)
    with editing_bones(obj) as edit_bones:
        edit_bones.new("leg").tail = (0, 0, 1)
    assert character.recognise(obj) is None
