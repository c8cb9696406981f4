# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stranger meets first, without a window: the example, a pose from a picture, performers, cameras by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import bpy
import cv2
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from drawn_hands import draw, poses, write_clip

from blender_handmocap.bridge import camera_path, engine_job, example, hand_rig, poses as hand_poses, windows
from blender_handmocap.engine import rotations
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.performer import Performer, load_performer, performer_file, save_performer
from blender_handmocap.engine.take import Take, load_take, save_take
from blender_handmocap.operators import cameras
from blender_handmocap.properties import camera_of

MakeTake = Callable[..., Take]


@pytest.fixture(scope="module")
def right_hand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of one right hand with bent fingers."""
    rotation, place = poses("right", 20)
    path = tmp_path_factory.mktemp("picture") / "right.png"
    cv2.imwrite(str(path), draw({"right": (rotation[12], place[12])})[..., ::-1])
    return path


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "wave.mp4"
    write_clip(path, frames=70, sides=("right",))
    return path


def fingers(rig: hand_rig.HandRig) -> np.ndarray:
    names = hand_rig.bone_names(rig.armature)[1:16]
    return np.array([rig.armature.pose.bones[name].rotation_quaternion for name in names])


def test_the_example_comes_along_and_gets_a_scene_of_its_own(enabled: bpy.types.Scene) -> None:
    assert example.clip().stat().st_size > 100_000
    assert example.scene_for_it(bpy.context) is enabled
    enabled.collection.objects.link(bpy.data.objects.new("Mine", None))
    other = example.scene_for_it(bpy.context)
    assert other.name == example.SCENE_NAME and not other.objects
    assert example.scene_for_it(bpy.context) == other


def test_first_seconds_are_shown_and_replaced_by_the_whole_take(enabled: bpy.types.Scene, short_clip: Path) -> None:
    enabled.handmocap.footage = str(short_clip)
    enabled.render.fps = 24
    shown: list[int] = []
    bpy.app.handlers.depsgraph_update_post.append(
        lambda scene, _graph: shown.append(sum("first_seconds" in action.name for action in bpy.data.actions))
    )
    assert bpy.ops.handmocap.capture() == {"FINISHED"}
    bpy.app.handlers.depsgraph_update_post.pop()
    assert max(shown) == 1
    # Nothing is left of it, and the empty scene took the clip's rate and the whole clip's range.
    assert not any("first_seconds" in action.name for action in bpy.data.actions)
    assert (enabled.render.fps, enabled.frame_end - enabled.frame_start) == (30, 69)
    assert len(enabled.handmocap.takes) == 1
    assert "lens" in enabled.handmocap.takes[0].notes


def test_a_cube_around_the_camera_is_hidden_and_told(
    enabled: bpy.types.Scene, make_take: MakeTake, tmp_path: Path
) -> None:
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    bpy.ops.mesh.primitive_cube_add(location=(5.0, 0.0, 0.0))
    aside = bpy.context.object
    save_take(make_take(5), tmp_path / "a.take.npz")
    bpy.ops.handmocap.add_take(filepath=str(tmp_path / "a.take.npz"))
    assert bpy.ops.handmocap.apply_take() == {"FINISHED"}
    assert cube.hide_get() and not aside.hide_get()


def test_a_picture_poses_the_selected_hand_in_one_undo_step(enabled: bpy.types.Scene, right_hand: Path) -> None:
    rigs = hand_rig.add_hands(enabled)
    bpy.context.view_layer.objects.active = rigs["right"].armature
    rigs["right"].armature.select_set(True)
    bpy.ops.ed.undo_push(message="before")
    place = np.array(rigs["right"].armature.pose.bones[0].location)
    assert bpy.ops.handmocap.pose_hand("EXEC_DEFAULT", True, origin="FILE", filepath=str(right_hand)) == {"FINISHED"}
    rigs = hand_rig.find_hands(bpy.context.scene)
    bent = rotations.angle_between(fingers(rigs["right"]), rotations.IDENTITY)
    assert bent.max() > 0.3
    np.testing.assert_array_equal(fingers(rigs["left"]), np.tile(rotations.IDENTITY, (15, 1)))
    # The wrist turned, but stayed where it was, and nothing was keyed: the rig has no animation.
    np.testing.assert_allclose(rigs["right"].armature.pose.bones[0].location, place)
    assert rigs["right"].armature.animation_data is None
    bpy.ops.ed.undo()
    rigs = hand_rig.find_hands(bpy.context.scene)
    np.testing.assert_array_equal(fingers(rigs["right"]), np.tile(rotations.IDENTITY, (15, 1)))


def test_the_other_hands_picture_serves_as_a_mirror_image(
    enabled: bpy.types.Scene, right_hand: Path, tmp_path: Path
) -> None:
    rigs = hand_rig.add_hands(enabled)
    enabled.tool_settings.use_keyframe_insert_auto = True
    enabled.frame_set(7)
    for side in ("right", "left"):
        for obj in bpy.context.selected_objects:
            obj.select_set(False)
        rigs[side].armature.select_set(True)
        bpy.context.view_layer.objects.active = rigs[side].armature
        assert bpy.ops.handmocap.pose_hand(origin="FILE", filepath=str(right_hand)) == {"FINISHED"}
    # Blender's own mirrored paste maps (w, x, y, z) to (w, x, -y, -z) between our rigs.
    np.testing.assert_allclose(fingers(rigs["left"]), fingers(rigs["right"]) * [1.0, 1.0, -1.0, -1.0], atol=1e-5)
    action = rigs["left"].armature.animation_data.action
    assert tuple(action.frame_range) == (7.0, 7.0)


def test_the_footages_current_frame_poses_a_hand(enabled: bpy.types.Scene, short_clip: Path) -> None:
    hand_rig.add_hands(enabled, ["right"])
    enabled.handmocap.footage = str(short_clip)
    bends = []
    for frame in (1, 36):
        enabled.frame_set(frame)
        assert bpy.ops.handmocap.pose_hand(origin="CLIP", part="FINGERS") == {"FINISHED"}
        bends.append(fingers(hand_rig.find_hands(enabled)["right"]))
    assert rotations.angle_between(*bends).max() > 0.2


def test_posing_says_what_is_missing(enabled: bpy.types.Scene, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="No clip is chosen"):
        bpy.ops.handmocap.pose_hand(origin="CLIP")
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((240, 320, 3), 90, np.uint8))
    with pytest.raises(RuntimeError, match="hold the whole hand into it"):
        bpy.ops.handmocap.pose_hand(origin="FILE", filepath=str(tmp_path / "grey.png"))
    with pytest.raises(RuntimeError, match="no picture at"):
        bpy.ops.handmocap.pose_hand(origin="FILE", filepath=str(tmp_path / "gone.png"))


def test_a_pose_becomes_an_asset_and_the_rig_keeps_its_action(enabled: bpy.types.Scene, make_take: MakeTake) -> None:
    rig = hand_rig.add_hands(enabled, ["left"])["left"]
    take = make_take(3)
    hand_poses.key(rig, 4.0, take.left.rotation[1], take.left.translation[1], hand_poses.PosedPart.PLACE)
    hand_poses.show(rig, take.left.rotation[1], take.left.translation[1], hand_poses.PosedPart.PLACE)
    before, shown = rig.armature.animation_data.action, fingers(rig)
    bpy.context.view_layer.objects.active = rig.armature
    assert bpy.ops.handmocap.save_pose(name="Fist") == {"FINISHED"}
    asset = bpy.data.actions["Fist"]
    assert asset.asset_data is not None
    assert rig.armature.animation_data.action == before
    np.testing.assert_allclose(fingers(rig), shown, atol=1e-6)


def test_performers_are_kept_by_name_and_the_hands_follow(enabled: bpy.types.Scene, tmp_path: Path) -> None:
    rig = hand_rig.add_hands(enabled, ["right"])["right"]
    chosen = enabled.handmocap
    assert not bpy.ops.handmocap.save_performer.poll()
    chosen.performer, chosen.palm = "Ada B.", 91.0
    chosen.betas[2] = 1.5
    betas, size = hand_rig.shape_of(rig.armature)
    assert size == pytest.approx(0.091) and betas[2] == pytest.approx(1.5)
    assert bpy.ops.handmocap.save_performer() == {"FINISHED"}
    assert bpy.ops.handmocap.reset_shape() == {"FINISHED"}
    assert hand_rig.shape_of(rig.armature)[0][2] == 0.0
    bpy.ops.wm.read_homefile(use_empty=True)
    scene = bpy.context.scene
    assert bpy.ops.handmocap.choose_performer(performer="Ada B.") == {"FINISHED"}
    assert scene.handmocap.palm == pytest.approx(91.0) and scene.handmocap.betas[2] == pytest.approx(1.5)
    scene.handmocap.lock_shape = True
    assert not bpy.ops.handmocap.reset_shape.poll()
    assert bpy.ops.handmocap.delete_performer() == {"FINISHED"}
    assert not list((tmp_path / "user" / "performers").glob("*"))


def test_a_locked_shape_stays_whatever_is_applied(
    enabled: bpy.types.Scene, make_take: MakeTake, tmp_path: Path
) -> None:
    save_take(make_take(5), tmp_path / "a.take.npz")
    bpy.ops.handmocap.add_take(filepath=str(tmp_path / "a.take.npz"))
    bpy.ops.handmocap.apply_take()
    rig = hand_rig.find_hands(enabled)["left"]
    # Unlocked, the sliders and the hands show the take's shape.
    assert enabled.handmocap.palm == pytest.approx(100.0)
    assert hand_rig.shape_of(rig.armature)[1] == pytest.approx(0.1)
    enabled.handmocap.palm, enabled.handmocap.lock_shape = 80.0, True
    bpy.ops.handmocap.apply_take()
    assert hand_rig.shape_of(rig.armature)[1] == pytest.approx(0.08)


def test_hands_seen_by_a_tracked_camera_stand_where_it_saw_them(
    enabled: bpy.types.Scene, make_take: MakeTake, make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    frames = 12
    clip = make_clip(frames)
    camera = bpy.data.objects.new("Tracked", bpy.data.cameras.new("Tracked"))
    enabled.collection.objects.link(camera)
    enabled.camera = camera
    camera.rotation_euler = (1.2, 0.1, 0.3)
    for frame, x in ((1, 0.0), (frames, 2.0)):
        camera.location = (x, -1.0, 1.5)
        camera.keyframe_insert("location", frame=frame)
        camera.data.lens = 30.0 + 10.0 * x
        camera.data.keyframe_insert("lens", frame=frame)
    enabled.render.resolution_x, enabled.render.resolution_y = 640, 480
    path = camera_path.write(enabled, clip, tmp_path / "camera.npz")
    with np.load(path) as file:
        K, rotation, translation = file["K"], file["rotation"], file["translation"]
    assert K.shape == (frames, 3, 3) and K[-1, 0, 0] == pytest.approx(50.0 / 36.0 * 640, rel=1e-5)
    take = make_take(frames, K=K, source=str(clip))
    seen = take.with_tracks(
        meta={**take.meta, "camera_path": {"rotation": rotation.tolist(), "translation": translation.tolist()}}
    )
    save_take(seen, tmp_path / "a.take.npz")
    bpy.ops.handmocap.add_take(filepath=str(tmp_path / "a.take.npz"))
    bpy.ops.handmocap.apply_take()
    assert enabled.camera == camera
    rig = hand_rig.find_hands(enabled)["right"]
    for index in (0, 5, frames - 1):
        enabled.frame_set(1 + index)
        wrist = rig.armature.matrix_world @ rig.armature.pose.bones[hand_rig.bone_names(rig.armature)[0]].head
        view = world_to_camera_view(enabled, camera, wrist)
        pixel = np.array([view.x * 640 - 0.5, (1.0 - view.y) * 480 - 0.5])
        expected = K[index] @ take.right.points[index, 0]
        np.testing.assert_allclose(pixel, expected[:2] / expected[2], atol=0.2)


def test_cameras_are_offered_by_name(enabled: bpy.types.Scene) -> None:
    cameras.remember([{"number": 2, "name": "Desk Cam"}])
    assert bpy.ops.handmocap.choose_camera(camera="2") == {"FINISHED"}
    chosen = enabled.handmocap
    assert (chosen.camera_name, chosen.live_source) == ("Desk Cam", "2")
    chosen.camera_size, chosen.camera_rate = "1280x720", "60"
    assert camera_of(enabled) == "2@1280x720/60"
    assert bpy.ops.handmocap.choose_camera(camera=cameras.EXAMPLE) == {"FINISHED"}
    assert camera_of(enabled) == str(example.clip())
    assert bpy.ops.handmocap.find_cameras() == {"FINISHED"}


def test_everything_has_a_tooltip_and_fits_the_sidebar(enabled: bpy.types.Scene) -> None:
    missing, long = [], []
    for name in dir(bpy.types):
        cls = getattr(bpy.types, name)
        if not name.startswith("HANDMOCAP_"):
            continue
        if "_OT_" in name:
            told = getattr(bpy.ops.handmocap, name.partition("_OT_")[2]).get_rna_type()
            missing += [name] if len(told.description) < 10 else []
            long += [name] if len(told.name) > 26 else []
        for key, prop in cls.bl_rna.properties.items():
            if key in ("rna_type", "name") or not prop.is_runtime or prop.is_hidden or "_PT_" in name or "_UL_" in name:
                continue
            if not prop.description:
                missing.append(f"{name}.{key}")
            long += [f"{name}.{key}"] if len(prop.name) > 26 else []
    assert not missing
    assert not long


def test_nobody_is_busy_without_a_window(enabled: bpy.types.Scene) -> None:
    assert not windows.others_busy(bpy.context)
    windows.redraw_sidebars(bpy.context)


def test_a_saved_performer_is_a_small_file(tmp_path: Path) -> None:
    performer = Performer("Ada / B", 90.5, (0.1,) * 10)
    path = performer_file(tmp_path, performer.name)
    save_performer(performer, path)
    assert load_performer(path) == performer
    path.write_text(json.dumps({"schema": "other"}), encoding="utf-8")
    with pytest.raises(BadInputError, match="measure it again"):
        load_performer(path)
    shutil.rmtree(tmp_path)
    with pytest.raises(BadInputError, match="no performer"):
        load_performer(path)


def test_a_take_measures_the_performer(enabled: bpy.types.Scene, short_clip: Path) -> None:
    enabled.handmocap.footage, enabled.handmocap.apply_when_done = str(short_clip), False
    bpy.ops.handmocap.capture()
    assert bpy.ops.handmocap.measure_take() == {"FINISHED"}
    job = engine_job.current("measure_take")
    assert load_take(job.state.take).meta["shape"]["reason"]
