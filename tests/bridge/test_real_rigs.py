# SPDX-License-Identifier: GPL-3.0-or-later
"""Characters as people have them: what the hands show is what was seen, in every way of taking it over."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils import Vector
from numpy.typing import NDArray

from blender_handmocap.bridge import baked_keys, channels, character
from blender_handmocap.bridge.channels import BoneChannel
from blender_handmocap.bridge.character import Anchor, Baked, Choices, Edited, Place, Reach, WristMotion
from blender_handmocap.bridge.frames import WORLD_FROM_CAMERA
from blender_handmocap.bridge.live import LiveTarget
from blender_handmocap.bridge.modes import editing_bones
from blender_handmocap.engine import rotations
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.names import FINGERS, JOINT_NAMES, KEYPOINT_NAMES, SIDES, Side
from blender_handmocap.engine.rigs.preset import BoneMap
from blender_handmocap.engine.take import CONTACT_DTYPE, Take
from tests.engine.test_rigs_contact import BEYOND, MEETING, meeting_take
from tests.engine.test_rigs_retarget import ten_poses

Array = NDArray[np.float64]
MakeTake = Callable[..., Take]
RIGS: dict[str, dict[str, dict[str, object]]] = json.loads(
    (Path(__file__).parent / "data" / "mpfb_rigs.json").read_text(encoding="utf-8")
)["rigs"]
KINDS = {"default": "MPFB", "mixamo": "Mixamo", "game_engine": "Unreal 4"}
CLOSE = 5.0
"""degrees"""


def person(scene: bpy.types.Scene, name: str) -> bpy.types.Object:
    """An armature of MPFB's, with the joints of its base mesh."""
    armature = bpy.data.objects.new("Person", bpy.data.armatures.new("Person"))
    scene.collection.objects.link(armature)
    with editing_bones(armature) as edit_bones:
        for bone_name, bone in RIGS[name].items():
            made = edit_bones.new(bone_name)
            made.head, made.tail, made.roll = Vector(bone["head"]), Vector(bone["tail"]), bone["roll"]
        for bone_name, bone in RIGS[name].items():
            if bone["parent"]:
                edit_bones[bone_name].parent = edit_bones[bone["parent"]]
    return armature


@pytest.fixture
def ten(make_take: MakeTake) -> Take:
    """Ten poses of both hands, open to thumbs-up, turning and moving in front of the camera."""
    take = make_take(10, rate=Fraction(24))
    tracks = {}
    turns = np.linspace([0.1, -0.4, 0.2], [0.5, 0.5, -0.3], 10)
    for side in SIDES:
        rotation = rotations_from_angles(ten_poses(), free_hinges(side))
        # Fingers up in the picture, palms to the camera.
        up = np.array([[0, -1, 0], [0, 0, 1], [-1, 0, 0.0]]).T if side == "right" else np.eye(3)
        base = rotations.quaternion_from_matrix(rotations.nearest_rotation(up))
        rotation[:, 0] = rotations.multiply(rotations.quaternion_from_vector(turns), base)
        place = np.linspace([0.1, 0.0, 0.5], [0.16, 0.05, 0.55], 10) * [1.0 if side == "right" else -1.0, 1, 1]
        tracks[side] = replace(take.track(side), rotation=rotations.continuous(rotation), translation=place)
    return take.with_tracks(**tracks)


def maps_of(armature: bpy.types.Object) -> dict[Side, BoneMap]:
    found = character.recognise(armature)
    assert found is not None
    return dict(found.maps)


def bake(scene: bpy.types.Scene, take: Take, armature: bpy.types.Object, **choices: object) -> Baked:
    """Bake as chosen, without contact unless it is asked for: poses that follow each other at once touch by chance."""
    choices.setdefault("contact", False)
    return character.bake(
        scene, take, armature, maps_of(armature), np.arange(1, len(take) + 1), choices=Choices(**choices)
    )


def shown(armature: bpy.types.Object, maps: dict[Side, BoneMap]) -> dict[Side, dict[str, Array]]:
    """Where the joints of each hand are in the world, as Blender shows them; `tip` levels are ends of last bones."""
    evaluated = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
    out: dict[Side, dict[str, Array]] = {}
    for side, bones in maps.items():
        where = {}
        for role, name in deforming(armature, bones).items():
            bone = evaluated.pose.bones[name]
            where[role] = np.array(evaluated.matrix_world @ bone.head)
            if role.endswith("3"):
                where[f"{role[:-1]}4"] = np.array(evaluated.matrix_world @ bone.tail)
        out[side] = where
    return out


def deforming(armature: bpy.types.Object, bones: BoneMap) -> dict[str, str]:
    """What moves the skin: on a generated rig the DEF bones that follow the mapped controls."""
    mapped = {role: name for role, name in bones.bones.items() if role in JOINT_NAMES}
    if bones.preset != "Rigify":
        return mapped
    suffix = mapped["wrist"][-1]
    return {role: f"DEF-hand.{suffix}" if role == "wrist" else f"DEF-{name}" for role, name in mapped.items()}


def expected(take: Take, side: Side, index: int, hand: Array) -> dict[str, Array]:
    """The same of our own hand, its root turned by `hand` (3, 3)."""
    model = free_hand(side)
    rotation = take.track(side).rotation[index : index + 1].copy()
    rotation[:, 0] = rotations.quaternion_from_matrix(hand)
    points = model.pose(rotation, np.zeros((1, 3)), model.rest()).keypoints[0]
    return dict(zip(KEYPOINT_NAMES, points, strict=True))


def directions(where: dict[str, Array]) -> Array:
    """(15, 3) unit vectors along every finger bone."""
    steps = np.array([where[f"{f}{k + 1}"] - where[f"{f}{k}"] for f in FINGERS for k in (1, 2, 3)])
    return steps / np.linalg.norm(steps, axis=-1, keepdims=True)


def palm_normal(where: dict[str, Array], side: Side) -> Array:
    """Out of the back of the hand, from the knuckles."""
    away = 0.5 * (where["index1"] + where["pinky1"]) - where["wrist"]
    normal = np.cross(where["index1"] - where["pinky1"], away) * (1.0 if side == "left" else -1.0)
    return normal / np.linalg.norm(normal)


def flexion(where: dict[str, Array], side: Side, finger: str) -> float:
    """How far a finger's last joint is on the palm's side of its knuckle, in bone lengths; negative: bent backwards."""
    length = np.linalg.norm(where[f"{finger}2"] - where[f"{finger}1"])
    return float(-(where[f"{finger}3"] - where[f"{finger}1"]) @ palm_normal(where, side) / length)


def degrees_between(first: Array, second: Array) -> Array:
    return np.degrees(np.arccos(np.clip((first * second).sum(-1), -1.0, 1.0)))


def seen_hand(take: Take, side: Side, index: int) -> Array:
    return WORLD_FROM_CAMERA @ rotations.matrix_from_quaternion(take.track(side).rotation[index, 0])


def check_ten_poses(scene: bpy.types.Scene, take: Take, armature: bpy.types.Object) -> None:
    maps = maps_of(armature)
    for index in range(10):
        scene.frame_set(index + 1)
        theirs = shown(armature, maps)
        for side in SIDES:
            ours = expected(take, side, index, seen_hand(take, side, index))
            apart = degrees_between(directions(theirs[side]), directions(ours))
            assert apart.max() < CLOSE, (index, side, apart)
            assert degrees_between(palm_normal(theirs[side], side), palm_normal(ours, side)) < CLOSE
            if index == 1:  # a fist
                assert min(flexion(theirs[side], side, f) for f in ("index", "middle", "ring", "pinky")) > 0.3
            if index == 2:  # a thumbs-up: the thumb up from the fist, away from the other fingers
                thumb, finger = directions(theirs[side])[2], directions(theirs[side])[4]
                across = theirs[side]["index1"] - theirs[side]["pinky1"]
                assert thumb @ across / np.linalg.norm(across) > 0.4
                assert thumb @ finger < 0.5


@pytest.mark.parametrize("name", list(KINDS))
def test_ten_poses_on_a_person(scene: bpy.types.Scene, ten: Take, name: str) -> None:
    armature = person(scene, name)
    found = character.recognise(armature)
    assert found is not None
    assert found.preset is not None
    assert found.preset.name.startswith(KINDS[name])
    assert found.score > 0.9
    assert not any(bones.missing for bones in found.maps.values())
    armature.rotation_euler, armature.scale = (0.3, 0.2, 1.0), (0.1, 0.1, 0.1)
    bake(scene, ten, armature, reach=Reach.WRIST)
    check_ten_poses(scene, ten, armature)


@pytest.mark.slow
def test_ten_poses_on_rigify(rigify: bpy.types.Object, ten: Take) -> None:
    scene = bpy.context.scene
    bake(scene, ten, rigify, reach=Reach.WRIST)
    check_ten_poses(scene, ten, rigify)
    # The masters are neutral and the keys show: those of the IK target while the arm answers to it.
    assert rigify.pose.bones["f_index.01_master.L"].matrix_basis.is_identity
    assert rigify.pose.bones["upper_arm_parent.L"]["IK_FK"] == pytest.approx(0.0)
    for mark in (baked_keys.BAKED, baked_keys.BODY):
        baked_keys.forget(rigify, mark)
    to_bones(scene, rigify, len(ten))
    bake(scene, ten, rigify, reach=Reach.WRIST)
    check_ten_poses(scene, ten, rigify)
    assert rigify.pose.bones["upper_arm_parent.L"]["IK_FK"] == pytest.approx(1.0)


def space_of(armature: bpy.types.Object, maps: dict[Side, BoneMap], side: Side) -> Array:
    """(3, 3) the hand's canonical axes in the world, read from wrist and knuckles."""
    where = shown(armature, maps)[side]
    ours = free_hand(side).rest().joints
    roles = ["wrist", "index1", "middle1", "ring1", "pinky1"]
    source = np.array([ours[JOINT_NAMES.index(role)] for role in roles])
    return rotations.aligning_rotation(source, np.array([where[role] for role in roles]))


def check_in_space(scene: bpy.types.Scene, take: Take, armature: bpy.types.Object, turned: Array) -> None:
    """Between the hands and over time the wrists do what they did in the take, `turned` and on the hands' own scale."""
    maps = maps_of(armature)
    where: dict[Side, list[Array]] = {side: [] for side in SIDES}
    for index in range(len(take)):
        scene.frame_set(index + 1)
        theirs = shown(armature, maps)
        for side in SIDES:
            where[side].append(theirs[side]["wrist"])
            hand = turned @ seen_hand(take, side, index)
            apart = degrees_between(directions(theirs[side]), directions(expected(take, side, index, hand)))
            assert apart.max() < CLOSE, (index, side)
    between = np.array(where["right"]) - np.array(where["left"])
    wanted = (take.right.translation - take.left.translation) @ (turned @ WORLD_FROM_CAMERA).T
    palm = palm_of(armature)
    factor = np.linalg.norm(between) / np.linalg.norm(wanted)
    assert np.linalg.norm(between - factor * wanted, axis=-1).max() < 0.03 * palm
    assert factor * take.size == pytest.approx(palm, rel=0.1)


@pytest.mark.parametrize("anchor", [Anchor.CHEST, Anchor.HEAD])
def test_hands_in_space_on_arms(scene: bpy.types.Scene, ten: Take, anchor: Anchor) -> None:
    """The arms reach with upper arm and forearm; the hands go along with a body that turns."""
    armature = person(scene, "default")
    twist = 0.5 if anchor is Anchor.HEAD else 0.0
    baked = bake(scene, ten, armature, reach=Reach.SPACE, contact=False, twist=twist, place=Place(anchor=anchor))
    assert not baked.notes
    check_in_space(scene, ten, armature, np.eye(3))
    # Turned as a whole, the character takes its hands with it.
    scene.frame_set(3)
    before = shown(armature, maps_of(armature))
    armature.rotation_euler.z, armature.location.x = 1.2, 3.0
    bpy.context.view_layer.update()
    turn = np.array(armature.matrix_world)
    after = shown(armature, maps_of(armature))
    for side in SIDES:
        expected_wrist = turn[:3, :3] @ before[side]["wrist"] + turn[:3, 3]
        np.testing.assert_allclose(after[side]["wrist"], expected_wrist, atol=1e-4)
    # Only arms and fingers were keyed.
    keyed = {curve.data_path.split('"')[1] for curve in baked_keys.curves_of(armature).values()}
    assert not any(word in bone for bone in keyed for word in ("spine", "head", "neck", "clavicle", "shoulder0"))
    assert {"upperarm01.L", "lowerarm01.R", "wrist.L", "finger2-1.R"} <= keyed
    assert ("lowerarm02.L" in keyed) == (twist > 0.0)


def palm_of(armature: bpy.types.Object) -> float:
    where = shown(armature, maps_of(armature))["left"]
    return float(np.linalg.norm(where["middle1"] - where["wrist"]))


def test_hands_in_space_follow_the_chest_and_lean(scene: bpy.types.Scene, ten: Take) -> None:
    armature = person(scene, "mixamo")
    spine = next(n for n in RIGS["mixamo"] if n.endswith("Spine2"))
    turns = rotations.quaternion_from_vector(np.linspace([0, 0, 0], [0, 0.6, 0], 10))
    channels.write(armature, np.arange(1, 11), [BoneChannel(spine, turns)])
    bake(scene, ten, armature, reach=Reach.SPACE, contact=False, place=Place(tilt=0.4))
    maps = maps_of(armature)
    rest = armature.data.bones[spine].matrix_local.to_3x3()
    lean = rotations.matrix_from_vector(np.array([0.4, 0.0, 0.0]))
    for index in (0, 5, 9):
        scene.frame_set(index + 1)
        evaluated = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        follow = np.array(evaluated.pose.bones[spine].matrix.to_3x3() @ rest.inverted())
        for side in SIDES:
            hand = follow @ lean @ seen_hand(ten, side, index)
            apart = degrees_between(
                directions(shown(armature, maps)[side]), directions(expected(ten, side, index, hand))
            )
            assert apart.max() < CLOSE


@pytest.mark.slow
@pytest.mark.parametrize("by_bones", [0.0, 1.0])
def test_live_turns_the_wrists_of_rigify_whatever_moves_its_arms(
    rigify: bpy.types.Object, ten: Take, by_bones: float
) -> None:
    scene = bpy.context.scene
    for side in "LR":
        rigify.pose.bones[f"upper_arm_parent.{side}"]["IK_FK"] = by_bones
    bpy.context.view_layer.update()
    maps = maps_of(rigify)
    target = LiveTarget(rigify.name, maps, with_wrist=True)
    for index in range(0, 10, 3):
        frame = {side: {"rotation": ten.track(side).rotation[index].tolist()} for side in SIDES}
        target.show(scene, frame)
        bpy.context.view_layer.update()
        theirs = shown(rigify, maps)
        for side in SIDES:
            ours = expected(ten, side, index, seen_hand(ten, side, index))
            assert degrees_between(directions(theirs[side]), directions(ours)).max() < CLOSE


@pytest.mark.slow
def test_hands_in_space_on_rigify_use_its_ik(rigify: bpy.types.Object, ten: Take) -> None:
    scene = bpy.context.scene
    rigify.location, rigify.rotation_euler = (1.0, 2.0, 0.5), (0.0, 0.0, 0.0)
    bake(scene, ten, rigify, reach=Reach.SPACE, contact=False)
    assert rigify.pose.bones["upper_arm_parent.L"]["IK_FK"] == pytest.approx(0.0)
    check_in_space(scene, ten, rigify, np.eye(3))
    keyed = {curve.data_path.split('"')[1] for curve in baked_keys.curves_of(rigify).values()}
    assert "hand_ik.L" in keyed
    assert not {"hand_fk.L", "upper_arm_fk.L", "torso"} & keyed


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.75, 1.2])
@pytest.mark.parametrize("by_target", [False, True])
def test_hands_held_too_near_or_too_far_touch_on_rigify(
    rigify: bpy.types.Object, scale: float, by_target: bool
) -> None:
    """Fingers and wrist on arms of controls: their FK bones or their IK targets go the rest of the way."""
    scene = bpy.context.scene
    take = seen_from_in_front(meeting_take(recorded=True))
    # The body's arms as if they had been captured with other hands: by IK, or copied onto FK controls.
    assert not bake(scene, take, rigify, reach=Reach.SPACE, place=Place(scale=scale)).notes
    if not by_target:
        to_bones(scene, rigify, len(take))
    for mark in (baked_keys.BAKED, baked_keys.BODY):
        baked_keys.forget(rigify, mark)
    before = path_of(scene, rigify, "hand", len(take))
    gaps, steps = {}, {}
    for contact in (False, True):
        notes = bake(scene, take, rigify, reach=Reach.WRIST, contact=contact, edited=Edited.REPLACE).notes
        assert not notes
        path = path_of(scene, rigify, "f_index.03", len(take), tail=True)
        gaps[contact] = float(np.linalg.norm(path[MEETING, 0] - path[MEETING, 1], axis=-1).max())
        steps[contact] = float(np.linalg.norm(np.diff(path, n=2, axis=0), axis=-1).max())
        assert rigify.pose.bones["upper_arm_parent.L"]["IK_FK"] == pytest.approx(0.0 if by_target else 1.0)
        if not contact:
            # The arms are the body's own, whatever moves them.
            assert np.abs(path_of(scene, rigify, "hand", len(take)) - before).max() < 2e-3
    unit = palm_of(rigify) / take.size
    assert gaps[True] < BEYOND * unit
    assert gaps[True] < 0.5 * gaps[False]
    assert steps[True] < 2.0 * steps[False]


def path_of(scene: bpy.types.Scene, rigify: bpy.types.Object, bone: str, frames: int, *, tail: bool = False) -> Array:
    """(T, 2, 3) where the deforming bones of both sides are."""
    out = []
    for index in range(frames):
        scene.frame_set(index + 1)
        evaluated = rigify.evaluated_get(bpy.context.evaluated_depsgraph_get())
        bones = [evaluated.pose.bones[f"DEF-{bone}.{side}"] for side in "LR"]
        out.append([np.array(evaluated.matrix_world @ (b.tail if tail else b.head)) for b in bones])
    return np.array(out)


def to_bones(scene: bpy.types.Scene, rigify: bpy.types.Object, frames: int) -> None:
    """Let the FK controls do what the IK does, and show them."""
    names = [f"{bone}.{side}" for side in "LR" for bone in ("upper_arm", "forearm", "hand")]
    poses = []
    for index in range(frames):
        scene.frame_set(index + 1)
        evaluated = rigify.evaluated_get(bpy.context.evaluated_depsgraph_get())
        poses.append({name: evaluated.pose.bones[f"ORG-{name}"].matrix.copy() for name in names})
    for index, pose in enumerate(poses):
        for side in "LR":
            parent = rigify.pose.bones[f"upper_arm_parent.{side}"]
            parent["IK_FK"] = 1.0
            parent.keyframe_insert('["IK_FK"]', frame=index + 1)
        scene.frame_set(index + 1)
        for name in names:
            control = rigify.pose.bones[name.replace(".", "_fk.")]
            control.rotation_mode = "QUATERNION"
            control.matrix = pose[name]
            bpy.context.view_layer.update()
            control.keyframe_insert("rotation_quaternion", frame=index + 1)


def test_fingertips_that_touch_touch_on_the_character(scene: bpy.types.Scene) -> None:
    take = meeting_take(recorded=True)
    width = {"width": 640, "height": 480, "mirrored": False}
    take = take.with_tracks(meta={**take.meta, **width})
    armature = person(scene, "default")
    armature.scale = (0.1, 0.1, 0.1)
    maps = maps_of(armature)
    apart = {}
    for contact in (False, True):
        bake(scene, take, armature, reach=Reach.SPACE, contact=contact, edited=Edited.REPLACE, place=Place(scale=1.4))
        gaps = []
        for index in range(len(take))[MEETING]:
            scene.frame_set(index + 1)
            tips = shown(armature, maps)
            gaps.append(float(np.linalg.norm(tips["left"]["index4"] - tips["right"]["index4"])))
        apart[contact] = max(gaps)
    unit = palm_of(armature) / take.size
    assert apart[False] > 4 * BEYOND * unit
    assert apart[True] < BEYOND * unit
    assert len(take.contacts) and take.contacts.dtype == CONTACT_DTYPE


@pytest.mark.parametrize("size", [0.8, 1.3])
def test_hands_of_another_size_touch_where_the_bodys_arms_hold_them(scene: bpy.types.Scene, size: float) -> None:
    """Fingers and wrist: a body capture brings the hands near each other, the arms go the rest of the way."""
    take = seen_from_in_front(meeting_take(recorded=True))
    armature = person(scene, "default")
    armature.scale = (0.1, 0.1, 0.1)
    # The body's arms as if they had been captured with hands of the usual size.
    assert not bake(scene, take, armature, reach=Reach.SPACE).notes
    for mark in (baked_keys.BAKED, baked_keys.BODY):
        baked_keys.forget(armature, mark)
    scale_hands(armature, size)
    gaps, steps = {}, {}
    for contact in (False, True):
        notes = bake(scene, take, armature, reach=Reach.WRIST, contact=contact, edited=Edited.REPLACE).notes
        assert not any("apart" in note for note in notes), notes
        tips = []
        for index in range(len(take)):
            scene.frame_set(index + 1)
            where = shown(armature, maps_of(armature))
            tips.append([where[side]["index4"] for side in SIDES])
        path = np.array(tips)
        gaps[contact] = float(np.linalg.norm(path[MEETING, 0] - path[MEETING, 1], axis=-1).max())
        steps[contact] = float(np.linalg.norm(np.diff(path, n=2, axis=0), axis=-1).max())
    unit = palm_of(armature) / take.size
    assert gaps[False] > 2 * BEYOND * unit
    assert gaps[True] < BEYOND * unit
    # Nothing pops: the tips are not pushed harder than twice as much as the body moves them.
    assert steps[True] < 2.0 * steps[False]
    # Far from the touch the arms are the body's own.
    name = "upperarm01.L"
    body = baked_keys.recalled(armature, baked_keys.BODY)[
        armature.pose.bones[name].path_from_id("rotation_quaternion"), 0
    ]
    now = baked_keys.curves_of(armature)[armature.pose.bones[name].path_from_id("rotation_quaternion"), 0]
    assert abs(now.evaluate(1) - body.values[0]) < 5e-3


def seen_from_in_front(take: Take) -> Take:
    """The take with the right hand on the right of a character that shows it."""
    about = rotations.quaternion_from_vector([0.0, np.pi, 0.0])
    tracks = {}
    for side in SIDES:
        track = take.track(side)
        rotation = track.rotation.copy()
        rotation[:, 0] = rotations.multiply(about, rotation[:, 0])
        tracks[side] = replace(track, rotation=rotation, translation=track.translation * [-1.0, 1.0, -1.0])
    return take.with_tracks(meta={**take.meta, "width": 640, "height": 480, "mirrored": False}, **tracks)


def scale_hands(armature: bpy.types.Object, size: float) -> None:
    """Other hands on the same body."""
    with editing_bones(armature) as edit_bones:
        for side in "LR":
            wrist = edit_bones[f"wrist.{side}"].head.copy()
            for bone in edit_bones[f"wrist.{side}"].children_recursive:
                bone.use_connect = False
                head, tail = bone.head.copy(), bone.tail.copy()
                bone.head, bone.tail = wrist + size * (head - wrist), wrist + size * (tail - wrist)


def test_hands_too_far_apart_to_touch_are_told(scene: bpy.types.Scene) -> None:
    take = meeting_take(recorded=True)
    take = take.with_tracks(meta={**take.meta, "width": 640, "height": 480, "mirrored": False})
    notes = bake(scene, take, person(scene, "default"), reach=Reach.WRIST, contact=True).notes
    assert any("cm apart, too far" in note for note in notes)


def test_the_takes_wrist_is_added_to_the_bodys_and_only_once(scene: bpy.types.Scene, ten: Take) -> None:
    armature = person(scene, "default")
    body = rotations.quaternion_from_vector(np.linspace([0, 0, 0], [0.4, 0.2, 0.1], 10))
    channels.write(armature, np.arange(1, 11), [BoneChannel("wrist.L", body)])
    wrist = armature.pose.bones["wrist.L"]
    for _ in range(2):
        bake(scene, ten, armature, wrist=WristMotion.ADD)
        fit = character.character_hand.fit_hand(
            character.rest_skeleton.read(armature), maps_of(armature)["left"], free_hand("left")
        )
        to_bone = np.array(wrist.bone.matrix_local.to_3x3()).T @ fit.palm
        root = rotations.matrix_from_quaternion(ten.left.rotation[:, 0])
        for index in (0, 4, 9):
            scene.frame_set(index + 1)
            added = to_bone @ root[0].T @ root[index] @ to_bone.T
            wanted = rotations.matrix_from_quaternion(body[index]) @ added
            got = rotations.matrix_from_quaternion(np.array(wrist.rotation_quaternion))
            np.testing.assert_allclose(got, wanted, atol=1e-4)
    # Fingers alone: the body's own wrist is back.
    bake(scene, ten, armature)
    scene.frame_set(10)
    assert np.abs(np.array(wrist.rotation_quaternion) - body[9]).max() < 1e-4


def test_the_forearm_takes_its_share_of_the_twist(scene: bpy.types.Scene, ten: Take) -> None:
    armature = person(scene, "default")
    bake(scene, ten, armature, reach=Reach.WRIST)
    maps = maps_of(armature)

    def twists() -> Array:
        """(10,) the wrist's turn about the forearm, degrees."""
        out = []
        for index in range(10):
            scene.frame_set(index + 1)
            q = np.array(armature.pose.bones["wrist.L"].matrix_basis.to_quaternion())
            axis = np.array(armature.data.bones["wrist.L"].matrix_local.to_3x3()).T @ along
            out.append(np.degrees(2 * np.arctan2(q[1:] @ axis, q[0])))
        return np.abs((np.array(out) + 180) % 360 - 180)

    bones = armature.data.bones
    along = np.array((bones["wrist.L"].head_local - bones["lowerarm02.L"].head_local).normalized())
    alone = twists()
    bake(scene, ten, armature, reach=Reach.WRIST, twist=0.5)
    shared = twists()
    most = alone.argmax()
    assert alone[most] > 30.0
    assert shared[most] < 0.75 * alone[most]
    check_ten_poses(scene, ten, armature)
    keyed = {curve.data_path.split('"')[1] for curve in baked_keys.curves_of(armature).values()}
    assert "lowerarm02.L" in keyed
    # Without it the forearm is the body's again.
    bake(scene, ten, armature, reach=Reach.WRIST)
    keyed = {curve.data_path.split('"')[1] for curve in baked_keys.curves_of(armature).values()}
    assert "lowerarm02.L" not in keyed
    assert set(maps) == set(SIDES)


def test_changed_keys_are_asked_about_kept_or_replaced(scene: bpy.types.Scene, ten: Take) -> None:
    armature = person(scene, "mixamo")
    bake(scene, ten, armature)
    name = maps_of(armature)["left"].bones["index2"]
    bone = armature.pose.bones[name]
    assert baked_keys.changed(armature) == {}
    bake(scene, ten, armature)
    scene.frame_set(5)
    baked_pose = np.array(bone.rotation_quaternion)
    mine = rotations.multiply(baked_pose, rotations.quaternion_from_vector([0.5, 0, 0]))
    bone.rotation_quaternion = mine
    bone.keyframe_insert("rotation_quaternion", frame=5)
    assert {k: v.tolist() for k, v in baked_keys.changed(armature).items()} == {name: [5.0]}
    with pytest.raises(BadInputError, match="were changed since the last bake"):
        bake(scene, ten, armature)
    other = ten.with_tracks(left=replace(ten.left, rotation=ten.left.rotation[::-1].copy()))
    bake(scene, other, armature, edited=Edited.KEEP)
    scene.frame_set(5)
    assert np.degrees(rotations.angle_between(np.array(bone.rotation_quaternion), mine)) < 0.1
    bake(scene, other, armature, edited=Edited.REPLACE)
    scene.frame_set(5)
    assert np.degrees(rotations.angle_between(np.array(bone.rotation_quaternion), mine)) > 5.0
    assert baked_keys.changed(armature) == {}


def test_only_the_range_is_baked(scene: bpy.types.Scene, ten: Take) -> None:
    armature = person(scene, "mixamo")
    name = maps_of(armature)["right"].bones["ring1"]
    channels.write(armature, [1, 10], [BoneChannel(name, np.tile(rotations.IDENTITY, (2, 1)))])
    frames = np.arange(1, 11)
    character.bake(scene, ten, armature, maps_of(armature), frames, within=(4, 6))
    curve = next(c for k, c in baked_keys.curves_of(armature).items() if f'"{name}"' in k[0])
    assert [point.co[0] for point in curve.keyframe_points] == [1, 4, 5, 6, 10]
    with pytest.raises(BadInputError, match="No frame of the take falls"):
        character.bake(scene, ten, armature, maps_of(armature), frames, within=(40, 60))


def test_a_linked_character_needs_an_override_and_bakes_on_it(
    scene: bpy.types.Scene, ten: Take, tmp_path: Path
) -> None:
    armature = person(scene, "mixamo")
    bpy.data.libraries.write(str(tmp_path / "person.blend"), {armature}, fake_user=True)
    bpy.data.objects.remove(armature)
    with bpy.data.libraries.load(str(tmp_path / "person.blend"), link=True) as (_, wanted):
        wanted.objects = ["Person"]
    linked = wanted.objects[0]
    scene.collection.objects.link(linked)
    with pytest.raises(BadInputError, match="library override"):
        bake(scene, ten, linked, reach=Reach.WRIST)
    override = linked.override_create(remap_local_usages=True)
    bake(scene, ten, override, reach=Reach.WRIST)
    check_ten_poses(scene, ten, override)


def test_an_arm_that_is_too_short_or_missing_is_told(scene: bpy.types.Scene, ten: Take) -> None:
    armature = person(scene, "mixamo")
    notes = bake(scene, ten, armature, reach=Reach.SPACE, place=Place(scale=9.0)).notes
    assert any("too short in" in note for note in notes)
    lonely = bpy.data.objects.new("Hand", bpy.data.armatures.new("Hand"))
    scene.collection.objects.link(lonely)
    with editing_bones(lonely) as edit_bones:
        for name in maps_of(armature)["left"].bones.values():
            source = RIGS["mixamo"][name]
            bone = edit_bones.new(name)
            bone.head, bone.tail = Vector(source["head"]), Vector(source["tail"])
        wrist = maps_of(armature)["left"].bones["wrist"]
        for bone in edit_bones:
            bone.parent = edit_bones[wrist] if bone.name != wrist and "Hand" in bone.name else None
    with pytest.raises(BadInputError, match="arm of Hand was not found"):
        bake(scene, ten, lonely, reach=Reach.SPACE)
