# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Character, Export and Import buttons do."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import bpy
import numpy as np
import pytest

from blender_handmocap.bridge import bake_preview, baked_keys, hand_rig
from blender_handmocap.engine import rotations
from blender_handmocap.engine.take import load_take, save_take
from tests.bridge.test_real_rigs import KINDS, person
from tests.bridge.test_review_operators import MakeTake, applied, watched  # noqa: F401 - fixtures
from tests.engine.test_import_results import FRAMES, HEIGHT, WIDTH, records

BONE = "mixamorig:LeftHandIndex2"


@pytest.fixture
def cast(enabled: bpy.types.Scene, make_take: MakeTake, tmp_path: Path) -> bpy.types.Scene:
    """A scene with a take in the list and a character chosen."""
    save_take(watched(make_take(24)), tmp_path / "wave_001.take.npz")
    bpy.ops.handmocap.add_take(filepath=str(tmp_path / "wave_001.take.npz"))
    enabled.handmocap.character = person(enabled, "mixamo")
    return enabled


def test_recognise_and_bake(cast: bpy.types.Scene) -> None:
    assert bpy.ops.handmocap.recognise_character() == {"FINISHED"}
    assert cast.handmocap.preset == KINDS["mixamo"]
    assert bpy.ops.handmocap.bake_character() == {"FINISHED"}
    assert baked_keys.changed(cast.handmocap.character) == {}
    assert {key[0].split('"')[1] for key in baked_keys.curves_of(cast.handmocap.character)} >= {BONE}


def test_a_preview_leaves_no_trace(cast: bpy.types.Scene) -> None:
    armature = cast.handmocap.character
    bone = armature.pose.bones[BONE]
    bone.rotation_mode = "QUATERNION"
    bone.rotation_quaternion = rotations.quaternion_from_vector([0.3, 0.0, 0.0])
    bone.keyframe_insert("rotation_quaternion", frame=1)
    mine = armature.animation_data.action
    before = [tuple(point.co) for curve in baked_keys.curves_of(armature).values() for point in curve.keyframe_points]
    other = np.array(armature.pose.bones["mixamorig:RightHandRing1"].rotation_quaternion)
    for _ in range(2):
        assert bpy.ops.handmocap.preview_character() == {"FINISHED"}
        assert bake_preview.shown(armature)
        assert armature.animation_data.action is not mine
        cast.frame_set(12)
        assert len(baked_keys.curves_of(armature)) > 50
    assert bpy.ops.handmocap.leave_preview() == {"FINISHED"}
    assert armature.animation_data.action is mine
    assert [action.name for action in bpy.data.actions] == [mine.name]
    after = [tuple(point.co) for curve in baked_keys.curves_of(armature).values() for point in curve.keyframe_points]
    assert after == before
    np.testing.assert_allclose(np.array(armature.pose.bones["mixamorig:RightHandRing1"].rotation_quaternion), other)
    assert not bpy.ops.handmocap.leave_preview.poll()
    # Baking while one looks at a preview goes into the character's own action.
    bpy.ops.handmocap.preview_character()
    assert bpy.ops.handmocap.bake_character() == {"FINISHED"}
    assert armature.animation_data.action is mine
    assert not bake_preview.shown(armature)


def test_a_preview_that_fails_is_left(cast: bpy.types.Scene) -> None:
    armature = cast.handmocap.character
    bpy.ops.handmocap.recognise_character()
    cast.handmocap.bones[1].bone = "no such bone"
    with pytest.raises(RuntimeError, match="no such bone"):
        bpy.ops.handmocap.preview_character()
    assert not bake_preview.shown(armature)


def test_a_marker_and_a_clip_frame_bring_body_and_hands_together(cast: bpy.types.Scene) -> None:
    cast.render.fps = 30
    marker = cast.timeline_markers.new("clap", frame=100)
    cast.handmocap.retarget.sync_marker = "clap"
    cast.handmocap.retarget.sync_frame = 10
    assert bpy.ops.handmocap.bake_character() == {"FINISHED"}
    curve = next(iter(baked_keys.curves_of(cast.handmocap.character).values()))
    assert tuple(curve.range()) == (90.0, 113.0)
    cast.handmocap.retarget.sync_frame = 99
    with pytest.raises(RuntimeError, match="has no frame 99"):
        bpy.ops.handmocap.bake_character()
    cast.timeline_markers.remove(marker)
    with pytest.raises(RuntimeError, match="no marker clap"):
        bpy.ops.handmocap.bake_character()


def test_bone_maps_go_round_and_other_files_are_refused(cast: bpy.types.Scene, tmp_path: Path) -> None:
    bpy.ops.handmocap.recognise_character()
    chosen = cast.handmocap
    chosen.bones[3].bone = "mixamorig:Neck"
    role = chosen.bones[3].role
    path = tmp_path / "map.json"
    bpy.ops.handmocap.save_bones(filepath=str(path))
    chosen.bones.clear()
    bpy.ops.handmocap.load_bones(filepath=str(path))
    assert next(entry.bone for entry in chosen.bones if entry.role == role and entry.side == "left") == "mixamorig:Neck"
    assert json.loads(path.read_text())["preset"] == KINDS["mixamo"]
    path.write_text('{"schema": "other"}')
    with pytest.raises(RuntimeError, match="not a bone map"):
        bpy.ops.handmocap.load_bones(filepath=str(path))


@pytest.mark.parametrize("kind", ["fbx", "glb"])
def test_the_hands_and_the_character_leave_with_their_motion(
    applied: bpy.types.Scene,  # noqa: F811
    tmp_path: Path,
    kind: str,
) -> None:
    if kind == "glb" and bpy.app.version < (4, 5):
        pytest.skip("4.2's glTF exporter touches the module's window, which dies with an earlier test's scene")
    applied.handmocap.character = person(applied, "mixamo")
    bpy.ops.handmocap.bake_character()
    other = bpy.data.scenes.new("Other")
    other.collection.objects.link(bpy.data.objects.new("Stranger", bpy.data.meshes.new("Stranger")))
    other.objects["Stranger"].data.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    other.objects["Stranger"].select_set(True, view_layer=other.view_layers[0])
    selected = [obj.name for obj in bpy.context.selected_objects]
    rig = hand_rig.find_hands(applied)["left"]
    directions = {}
    for index in (1, 20):
        applied.frame_set(index)
        bone = rig.armature.pose.bones["index2.L"]
        parent = rig.armature.pose.bones["wrist.L"]
        directions[index] = np.array(parent.matrix.inverted() @ bone.matrix)[:3, 1]
    bpy.ops.handmocap.export_take(filepath=str(tmp_path / "hands"), format=kind)
    bpy.ops.handmocap.export_take(filepath=str(tmp_path / f"person.{kind}"), format=kind, what="CHARACTER")
    assert [obj.name for obj in bpy.context.selected_objects] == selected
    assert (tmp_path / f"person.{kind}").stat().st_size > 10_000
    bpy.ops.wm.read_factory_settings(use_empty=True)
    if kind == "fbx":
        bpy.ops.import_scene.fbx(filepath=str(tmp_path / "hands.fbx"))
    else:
        # glTF tells seconds, not frames.
        bpy.context.scene.render.fps = 30
        bpy.ops.import_scene.gltf(filepath=str(tmp_path / "hands.glb"))
    armatures = [obj for obj in bpy.data.objects if obj.type == "ARMATURE"]
    assert len(armatures) >= 1
    assert "Stranger" not in bpy.data.objects
    back = next(obj for obj in armatures if "index2.L" in obj.pose.bones)
    first = min(action.frame_range[0] for action in bpy.data.actions)
    turned = []
    for index, known in directions.items():
        bpy.context.scene.frame_set(round(first) + index - 1)
        bone, parent = back.pose.bones["index2.L"], back.pose.bones["wrist.L"]
        relative = np.array(parent.matrix.inverted() @ bone.matrix)[:3, 1]
        turned.append(float(np.degrees(np.arccos(np.clip(relative @ known / np.linalg.norm(relative), -1, 1)))))
    # glTF bones have no length of their own, so their axes may be relabelled; what moves must move as much.
    if kind == "fbx":
        assert max(turned) < 2.0
    else:
        assert abs(turned[0] - turned[1]) < 2.0


def test_nothing_to_export_is_a_sentence(enabled: bpy.types.Scene, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="nothing to export"):
        bpy.ops.handmocap.export_take(filepath=str(tmp_path / "a.fbx"), format="fbx")
    with pytest.raises(RuntimeError, match="No character is chosen"):
        bpy.ops.handmocap.export_take(filepath=str(tmp_path / "a.glb"), format="glb", what="CHARACTER")
    with pytest.raises(RuntimeError, match="No take is selected"):
        bpy.ops.handmocap.export_take(filepath=str(tmp_path / "a.bvh"), format="bvh")


def test_one_hand_as_bvh(applied: bpy.types.Scene, tmp_path: Path) -> None:  # noqa: F811
    bpy.ops.handmocap.export_take(filepath=str(tmp_path / "left.bvh"), format="bvh", sides="left")
    text = (tmp_path / "left.bvh").read_text()
    assert "JOINT wrist.L" in text
    assert "wrist.R" not in text
    assert len(load_take(tmp_path / "wave_001.take.npz")) == 24


def test_results_of_a_network_become_a_take_on_hands(
    enabled: bpy.types.Scene,
    tmp_path: Path,
) -> None:
    path = tmp_path / "hamer.pkl"
    path.write_bytes(pickle.dumps(records()))
    enabled.handmocap.lens = "FOV"
    enabled.handmocap.fov = np.radians(60.0)
    assert bpy.ops.handmocap.import_results(filepath=str(path), rate=30.0) == {"FINISHED"}
    assert [entry.name for entry in enabled.handmocap.takes] == ["hamer_001"]
    rigs = hand_rig.find_hands(enabled)
    assert set(rigs) == {"left", "right"}
    take = load_take(tmp_path / "user" / "takes" / "hamer_001.take.npz")
    assert (len(take), take.meta["width"], take.meta["height"]) == (FRAMES, WIDTH, HEIGHT)
    assert take.right.translation[:, 2].max() < 1.5
    path.write_bytes(b"no pickle")
    with pytest.raises(RuntimeError, match=r"hamer\.pkl"):
        bpy.ops.handmocap.import_results(filepath=str(path))
