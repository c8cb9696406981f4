# SPDX-License-Identifier: GPL-3.0-or-later
"""Bulk keys: right, respectful, and fast."""

from __future__ import annotations

import time

import bpy
import numpy as np
import pytest
from numpy.typing import NDArray

from blender_handmocap.bridge import actions, channels, rotation_modes
from blender_handmocap.bridge.channels import BoneChannel, KeyType, ValueChannel
from blender_handmocap.engine import rotations
from blender_handmocap.engine.errors import BadInputError

Array = NDArray[np.float64]


def make_armature(scene: bpy.types.Scene, names: list[str]) -> bpy.types.Object:
    data = bpy.data.armatures.new("Rig")
    obj = bpy.data.objects.new("Rig", data)
    scene.collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.mode_set(mode="EDIT")
    for index, name in enumerate(names):
        bone = data.edit_bones.new(name)
        bone.head, bone.tail = (index, 0, 0), (index, 1, 0)
    bpy.ops.object.mode_set(mode="OBJECT")
    return obj


def turning(frames: int, seed: int = 0) -> Array:
    """A smooth random rotation (T, 4)."""
    steps = np.random.default_rng(seed).normal(size=(frames, 3)).cumsum(0) * 0.05
    return rotations.quaternion_from_vector(steps)


def curve_of(obj: bpy.types.Object, path: str, index: int) -> bpy.types.FCurve:
    owner = actions.existing_channels(obj)
    return next(c for c in owner.fcurves if (c.data_path, c.array_index) == (path, index))


def keys_of(curve: bpy.types.FCurve) -> Array:
    return np.array([tuple(p.co) for p in curve.keyframe_points])


def shown(scene: bpy.types.Scene, bone: bpy.types.PoseBone, frame: int) -> Array:
    scene.frame_set(frame)
    q = np.array(bone.matrix_basis.to_quaternion(), dtype=np.float64)
    return rotations.normalized(q)


@pytest.mark.parametrize("mode", ["QUATERNION", "AXIS_ANGLE", "XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"])
def test_blender_shows_what_was_written_in_every_rotation_mode(scene: bpy.types.Scene, mode: str) -> None:
    obj = make_armature(scene, ["a", 'quote " and \\ back'])
    q = turning(50)
    for name in ("a", 'quote " and \\ back'):
        obj.pose.bones[name].rotation_mode = mode
        channels.write(obj, np.arange(1, 51), [BoneChannel(name, q, q[:, 1:] * 2)])
        for frame in (1, 17, 50):
            assert rotations.angle_between(shown(scene, obj.pose.bones[name], frame), q[frame - 1]) < 1e-5
            assert np.abs(np.array(obj.pose.bones[name].location) - q[frame - 1, 1:] * 2).max() < 1e-6
    groups = {g.name: len(g.channels) for g in actions.existing_channels(obj).groups}
    size = 4 if mode in rotation_modes.DATA_PATHS else 3
    assert groups == {"a": size + 3, 'quote " and \\ back': size + 3}


def test_keys_outside_the_range_and_other_channels_stay(scene: bpy.types.Scene) -> None:
    obj = make_armature(scene, ["a", "b"])
    bone = obj.pose.bones["a"]
    bone.rotation_mode = "XYZ"
    for frame, angle in ((1, 0.1), (10, 0.2), (15, 0.9), (20, 0.3), (30, 0.4)):
        bone.rotation_euler = (angle, 0, 0)
        bone.keyframe_insert("rotation_euler", frame=frame)
        bone.keyframe_insert("scale", frame=frame)
        obj.pose.bones["b"].keyframe_insert("location", frame=frame)
    curve = curve_of(obj, bone.path_from_id("rotation_euler"), 0)
    first, last = curve.keyframe_points[0], curve.keyframe_points[4]
    first.handle_left_type = first.handle_right_type = "FREE"
    first.handle_right = (4.0, 7.0)
    first.interpolation, last.type = "BEZIER", "EXTREME"
    last.interpolation, last.easing = "ELASTIC", "EASE_OUT"
    last.amplitude = 3.5
    untouched = keys_of(curve_of(obj, bone.path_from_id("scale"), 0))
    channels.write(obj, [10, 12, 20], [BoneChannel("a", rotation_modes.to_quaternions(np.full((3, 3), 0.5), "XYZ"))])
    curve = curve_of(obj, bone.path_from_id("rotation_euler"), 0)
    expected = [(1, 0.1), (10, 0.5), (12, 0.5), (20, 0.5), (30, 0.4)]
    assert np.abs(keys_of(curve) - expected).max() < 1e-6
    first, last = curve.keyframe_points[0], curve.keyframe_points[4]
    assert (first.interpolation, first.handle_right_type, last.type) == ("BEZIER", "FREE", "EXTREME")
    assert np.allclose(first.handle_right, (4.0, 7.0))
    assert (last.interpolation, last.easing, last.amplitude) == ("ELASTIC", "EASE_OUT", 3.5)
    assert (keys_of(curve_of(obj, bone.path_from_id("scale"), 0)) == untouched).all()
    assert len(keys_of(curve_of(obj, 'pose.bones["b"].location', 0))) == 5


def test_written_rotations_join_those_before_without_a_turn(scene: bpy.types.Scene) -> None:
    q = turning(60)
    for mode in ("QUATERNION", "ZXY", "AXIS_ANGLE"):
        obj = make_armature(scene, ["a"])
        bone = obj.pose.bones["a"]
        bone.rotation_mode = mode
        channels.write(obj, np.arange(30), [BoneChannel("a", q[:30])])
        channels.write(obj, np.arange(30, 60), [BoneChannel("a", -q[30:])])
        path = bone.path_from_id(rotation_modes.data_path(mode))
        size = 4 if mode in rotation_modes.DATA_PATHS else 3
        values = np.stack([keys_of(curve_of(obj, path, i))[:, 1] for i in range(size)], axis=-1)
        assert values.shape[0] == 60
        assert np.abs(values - rotation_modes.from_quaternions(q, mode)).max() < 1e-5


def test_locks_are_respected(scene: bpy.types.Scene) -> None:
    obj = make_armature(scene, ["all", "axis", "quaternion", "four", "place", "curve"])
    bones = obj.pose.bones
    q = turning(5)
    bones["all"].lock_rotation = (True, True, True)
    bones["axis"].rotation_mode, bones["axis"].lock_rotation = "XYZ", (False, True, False)
    bones["quaternion"].lock_rotations_4d, bones["quaternion"].lock_rotation = False, (False, True, True)
    bones["quaternion"].rotation_quaternion = rotation_modes.to_quaternions([0.0, 0.3, -0.2], "XYZ")
    bones["four"].lock_rotations_4d, bones["four"].lock_rotation_w = True, True
    bones["place"].lock_location = (False, False, True)
    channels.write(obj, range(5), [BoneChannel("curve", q)])
    curve_of(obj, bones["curve"].path_from_id("rotation_quaternion"), 2).lock = True
    written = channels.write(
        obj,
        range(5),
        [BoneChannel(name, np.roll(q, 1, axis=0), np.ones((5, 3))) for name in bones.keys()],  # noqa: SIM118
    )
    owner = actions.existing_channels(obj)
    have = {(c.data_path, c.array_index) for c in owner.fcurves}
    assert not any(path == bones["all"].path_from_id("rotation_quaternion") for path, _ in have)
    assert (bones["axis"].path_from_id("rotation_euler"), 1) not in have
    assert (bones["axis"].path_from_id("rotation_euler"), 0) in have
    assert (bones["four"].path_from_id("rotation_quaternion"), 0) not in have
    assert (bones["place"].path_from_id("location"), 2) not in have
    kept = np.stack(
        [keys_of(curve_of(obj, bones["quaternion"].path_from_id("rotation_quaternion"), i))[:, 1] for i in range(4)], -1
    )
    angles = rotation_modes.from_quaternions(kept, "XYZ")
    assert np.abs(angles[:, 1:] - [0.3, -0.2]).max() < 1e-5
    assert np.ptp(angles[:, 0]) > 1e-3
    locked = keys_of(curve_of(obj, bones["curve"].path_from_id("rotation_quaternion"), 2))
    assert np.abs(locked[:, 1] - q[:, 2]).max() < 1e-6
    assert {"all", "axis", "quaternion", "four", "place"} <= set(written.locked)


def test_key_types_tell_seen_from_filled(scene: bpy.types.Scene) -> None:
    obj = make_armature(scene, ["a"])
    kinds = [KeyType.SEEN, KeyType.FILLED, KeyType.CORRECTED]
    channels.write(obj, [1, 2, 3], [BoneChannel("a", turning(3))], key_types=kinds)
    points = curve_of(obj, 'pose.bones["a"].rotation_quaternion', 0).keyframe_points
    assert [p.type for p in points] == ["KEYFRAME", "BREAKDOWN", "EXTREME"]
    assert {p.interpolation for p in points} == {"LINEAR"}


def test_numbers_are_animated_too(scene: bpy.types.Scene) -> None:
    obj = make_armature(scene, ["a"])
    obj["confidence"] = 0.0
    channels.write(obj, [1, 11], [ValueChannel('["confidence"]', np.array([0.0, 1.0]), group="HandMocap")])
    scene.frame_set(6)
    assert obj["confidence"] == pytest.approx(0.5)


def test_nla_tweak_mode_is_left(scene: bpy.types.Scene) -> None:
    obj = make_armature(scene, ["a"])
    channels.write(obj, [1, 2], [BoneChannel("a", turning(2))])
    strip_action = obj.animation_data.action
    track = obj.animation_data.nla_tracks.new()
    strip = track.strips.new("body", 1, strip_action)
    if actions.HAS_SLOTS:
        strip.action_slot = strip_action.slots[0]
    obj.animation_data.action = None
    track.select = strip.select = True
    obj.animation_data.nla_tracks.active = track
    obj.animation_data.use_tweak_mode = True
    assert obj.animation_data.use_tweak_mode
    channels.write(obj, [5, 6], [BoneChannel("a", turning(2))])
    assert not obj.animation_data.use_tweak_mode
    assert obj.animation_data.action not in (None, strip_action)
    assert obj.animation_data.nla_tracks[0].strips[0].action is strip_action
    assert rotations.angle_between(shown(scene, obj.pose.bones["a"], 6), turning(2)[1]) < 1e-5


@pytest.mark.skipif(not actions.HAS_SLOTS, reason="slots came with Blender 4.4")
def test_an_action_of_several_slots_animates_each_object(scene: bpy.types.Scene) -> None:
    first, second = make_armature(scene, ["a"]), make_armature(scene, ["a"])
    action = bpy.data.actions.new("take")
    for obj, slot, seed in ((first, "Left", 1), (second, "Right", 2)):
        actions.assign(obj, action, slot=slot)
        channels.write(obj, range(10), [BoneChannel("a", turning(10, seed))])
    assert [slot.name_display for slot in action.slots] == ["Left", "Right"]
    for obj, seed in ((first, 1), (second, 2)):
        assert rotations.angle_between(shown(scene, obj.pose.bones["a"], 7), turning(10, seed)[7]) < 1e-5
    # Assigning again finds the same slot rather than making another.
    actions.assign(first, action, slot="Left")
    assert len(action.slots) == 2


@pytest.mark.skipif(not actions.HAS_SLOTS, reason="slots came with Blender 4.4")
def test_an_action_without_a_slot_of_ours_gets_one(scene: bpy.types.Scene) -> None:
    obj = make_armature(scene, ["a"])
    action = bpy.data.actions.new("other")
    action.slots.new(id_type="OBJECT", name="One")
    action.slots.new(id_type="OBJECT", name="Two")
    obj.animation_data_create().action = action
    assert obj.animation_data.action_slot is None
    channels.write(obj, [1], [BoneChannel("a", turning(1))])
    assert obj.animation_data.action_slot is not None


def test_nothing_to_write_makes_nothing(scene: bpy.types.Scene) -> None:
    obj = make_armature(scene, ["a"])
    assert channels.write(obj, [], [BoneChannel("a", np.zeros((0, 4)))]).keys == 0
    assert obj.animation_data is None
    assert channels.write(obj, [1], [BoneChannel("gone", turning(1))]).missing == ["gone"]


def test_a_linked_object_is_refused_in_a_sentence(scene: bpy.types.Scene, tmp_path: object) -> None:
    make_armature(scene, ["a"])
    path = f"{tmp_path}/library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(path, link=True) as (_, wanted):
        wanted.objects = ["Rig"]
    linked = bpy.data.objects["Rig"]
    with pytest.raises(BadInputError, match="library override"):
        channels.write(linked, [1], [BoneChannel("a", turning(1))])


def test_much_faster_than_a_key_at_a_time(scene: bpy.types.Scene) -> None:
    names = [f"bone{i}" for i in range(42)]
    obj, other = make_armature(scene, names), make_armature(scene, names)
    frames = 1000
    q = turning(frames)
    items = [BoneChannel(name, q) for name in names]
    seconds = []
    for _ in range(3):
        obj.animation_data_clear()
        start = time.perf_counter()
        written = channels.write(obj, np.arange(frames), items)
        seconds.append(time.perf_counter() - start)
    assert written.keys == 42 * 4 * frames
    bulk = min(seconds) / written.keys
    # What a key costs keyframe_insert grows with those already in its curve and hardly with the number of curves,
    # so the sample is a few bones over the same frames.
    sample = names[:4]
    start = time.perf_counter()
    for frame in range(frames):
        for name in sample:
            bone = other.pose.bones[name]
            bone.rotation_quaternion = q[frame]
            bone.keyframe_insert("rotation_quaternion", frame=frame, group=name)
    one_by_one = (time.perf_counter() - start) / (len(sample) * 4 * frames)
    assert one_by_one / bulk >= 50, f"only {one_by_one / bulk:.0f} times; {min(seconds):.3f} s for the take"
