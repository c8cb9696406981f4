# SPDX-License-Identifier: GPL-3.0-or-later
"""Every preset on a skeleton of its names in Blender: objects as importers leave them, all rotation modes."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from mathutils import Vector

from blender_handmocap.bridge import character
from blender_handmocap.bridge.character import Choices, Reach
from blender_handmocap.bridge.modes import editing_bones
from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.names import FINGERS, KEYPOINT_NAMES, SIDES
from blender_handmocap.engine.rigs.preset import RigPreset
from blender_handmocap.engine.rigs.presets import PRESETS
from blender_handmocap.engine.rigs.skeleton import RestSkeleton
from blender_handmocap.engine.take import Take
from tests.bridge.test_real_rigs import ten  # noqa: F401 - fixture
from tests.engine.test_rigs_retarget import CLOSE, Truth, between, make_rig, palm_normal, ten_poses

MODES = ("QUATERNION", "XYZ", "ZYX", "YXZ", "AXIS_ANGLE")


def in_blender(scene: bpy.types.Scene, skeleton: RestSkeleton, random: np.random.Generator) -> bpy.types.Object:
    """The skeleton as an armature whose object is turned and scaled, with rotation modes of all kinds."""
    armature = bpy.data.objects.new("Rig", bpy.data.armatures.new("Rig"))
    scene.collection.objects.link(armature)
    with editing_bones(armature) as edit_bones:
        made = []
        for bone, name in enumerate(skeleton.names):
            one = edit_bones.new(name)
            length = np.linalg.norm(skeleton.tails[bone] - skeleton.heads[bone])
            one.head = Vector(skeleton.heads[bone])
            one.tail = Vector(skeleton.heads[bone] + skeleton.axes[bone, :, 1] * length)
            one.align_roll(Vector(skeleton.axes[bone, :, 2]))
            if skeleton.parents[bone] >= 0:
                one.parent = made[skeleton.parents[bone]]
            made.append(one)
    for bone in armature.pose.bones:
        bone.rotation_mode = MODES[random.integers(len(MODES))]
    # As Blender's FBX importer leaves them: centimetres, Y up.
    armature.scale, armature.rotation_euler = (0.01,) * 3, (np.pi / 2, 0.0, random.uniform(-3.0, 3.0))
    bpy.context.view_layer.update()
    return armature


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_shows_ten_poses(scene: bpy.types.Scene, ten: Take, preset: RigPreset) -> None:  # noqa: F811
    truth, random = Truth(), np.random.default_rng([7, len(preset.name)])
    skeleton = make_rig(preset, random, truth=truth)
    # What a centimetre rig is in a program of centimetres; Blender drops bones much smaller than that.
    size = 100.0 / np.linalg.norm(skeleton.heads[-1] - skeleton.heads[1])
    skeleton = RestSkeleton(
        skeleton.names, skeleton.parents, skeleton.heads * size, skeleton.tails * size, skeleton.axes
    )
    armature = in_blender(scene, skeleton, random)
    found = character.recognise(armature)
    assert found is not None
    assert found.preset is preset
    character.bake(scene, ten, armature, found.maps, np.arange(1, 11), choices=Choices(Reach.FINGERS, contact=False))
    for index in range(10):
        scene.frame_set(index + 1)
        posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones
        for side in SIDES:
            rotation = rotations_from_angles(ten_poses()[index : index + 1], free_hinges(side))
            model = free_hand(side)
            ours = model.pose(rotation, np.zeros((1, 3)), model.rest()).keypoints[0] @ truth.hand[side].T
            theirs = np.full((21, 3), np.nan)
            for keypoint, name in enumerate(KEYPOINT_NAMES):
                if not name.endswith("4"):
                    theirs[keypoint] = np.array(posed[found.maps[side].bones[name]].head)
            assert between(palm_normal(theirs, side), palm_normal(ours, side)) < CLOSE
            for finger in FINGERS:
                for level in (1, 2):
                    a, b = (KEYPOINT_NAMES.index(f"{finger}{level + k}") for k in (0, 1))
                    assert between(theirs[b] - theirs[a], ours[b] - ours[a]) < CLOSE, (index, side, finger, level)
