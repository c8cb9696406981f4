# SPDX-License-Identifier: GPL-3.0-or-later
"""A take in the scene lands on the pixels it was seen in, at the frames it belongs to."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import bpy
import cv2
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from mano_files import mano_tables
from numpy.typing import NDArray

from blender_handmocap.bridge import actions, camera as take_camera, hand_rig, scene as take_scene, timing
from blender_handmocap.bridge.take_on_rig import CONFIDENCE
from blender_handmocap.bridge.timing import Timing
from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.footage import open_footage
from blender_handmocap.engine.hand.hands import mano_hands
from blender_handmocap.engine.hand.names import KEYPOINT_OF_JOINT, SIDES, TIP_KEYPOINTS
from blender_handmocap.engine.take import State, Take

Array = NDArray[np.float64]
MakeTake = Callable[..., Take]
MakeClip = Callable[..., Path]

LENSES = {
    "centred": ((640, 480), [[600.0, 0, 319.5], [0, 600.0, 239.5], [0, 0, 1]]),
    "shifted": ((1280, 720), [[900.0, 0, 700.25], [0, 900.0, 300.5], [0, 0, 1]]),
    "portrait": ((720, 1280), [[1100.0, 0, 350.0], [0, 1100.0, 660.0], [0, 0, 1]]),
    "wide pixels": ((720, 576), [[650.0, 0, 340.0], [0, 700.0, 300.0], [0, 0, 1]]),
    "tall pixels": ((720, 480), [[800.0, 0, 372.0], [0, 710.0, 250.0], [0, 0, 1]]),
}


def shown_pixels(scene: bpy.types.Scene, rig: hand_rig.HandRig, size: tuple[int, int]) -> Array:
    """Pixels (21, 2) where Blender's camera sees joints and tips: keypoint order, integers at pixel centres."""
    names = hand_rig.bone_names(rig.armature)
    heads = [rig.armature.matrix_world @ rig.armature.pose.bones[name].head for name in names]
    view = np.array([tuple(world_to_camera_view(scene, scene.camera, head)) for head in heads])
    pixels = np.stack([view[:, 0] * size[0] - 0.5, (1.0 - view[:, 1]) * size[1] - 0.5], axis=-1)
    ordered = np.empty_like(pixels)
    ordered[[*KEYPOINT_OF_JOINT, *TIP_KEYPOINTS]] = pixels
    return ordered


@pytest.mark.parametrize("lens", LENSES)
def test_joints_land_on_their_pixels(scene: bpy.types.Scene, make_take: MakeTake, lens: str) -> None:
    size, K = LENSES[lens]
    take = make_take(12, size=size, K=K)
    applied = take_scene.apply_take(scene, take)
    assert (scene.render.resolution_x, scene.render.resolution_y) == size
    solver = Camera(K=take.K, dist=take.dist, width=size[0], height=size[1])
    for index in (0, 5, 11):
        scene.frame_set(applied.first_frame + index)
        for side in SIDES:
            expected = solver.project(take.track(side).points[index])
            assert np.abs(shown_pixels(scene, applied.rigs[side], size) - expected).max() < 0.1


def test_a_zooming_lens_is_keyed(scene: bpy.types.Scene, make_take: MakeTake) -> None:
    K = np.tile(np.array(LENSES["shifted"][1]), (10, 1, 1))
    K[:, 0, 0] = K[:, 1, 1] = np.linspace(800.0, 1200.0, 10)
    K[:, 0, 2] += np.linspace(0.0, 30.0, 10)
    size = LENSES["shifted"][0]
    take = make_take(10, size=size, K=K)
    applied = take_scene.apply_take(scene, take)
    for index in (0, 4, 9):
        scene.frame_set(applied.first_frame + index)
        solver = Camera(K=K[index], dist=take.dist, width=size[0], height=size[1])
        expected = solver.project(take.left.points[index])
        assert np.abs(shown_pixels(scene, applied.rigs["left"], size) - expected).max() < 0.1


def shown_clip_frame(scene: bpy.types.Scene) -> int:
    """The clip frame behind the camera at the current frame, counted from 0."""
    background = scene.camera.data.background_images[0]
    if background.source == "IMAGE":
        # Blender evaluates the curve of the offset and the picture's number side by side; once in many times the
        # number comes of the offset before.
        scene.frame_set(scene.frame_current)
        return background.image_user.frame_current - 1
    clip = background.clip
    return scene.frame_current - clip.frame_start + clip.frame_offset


@pytest.mark.parametrize(
    ("scene_fps", "clip_rate", "how"),
    [
        (24.0, Fraction(30), Timing.TRUE_TIME),
        (24.0, Fraction(30), Timing.ONE_A_FRAME),
        (24.0, Fraction(30), Timing.MATCH_SCENE),
        (30.0, Fraction(30000, 1001), Timing.TRUE_TIME),
        (24.0, Fraction(30000, 1001), Timing.MATCH_SCENE),
        (60.0, Fraction(24), Timing.TRUE_TIME),
    ],
)
def test_hands_and_clip_agree_at_frame_300(
    scene: bpy.types.Scene, make_take: MakeTake, make_clip: MakeClip, scene_fps: float, clip_rate: Fraction, how: Timing
) -> None:
    frames = 400
    timing.set_scene_rate(scene, scene_fps)
    clip = make_clip(frames, rate=float(clip_rate), size=(64, 48))
    take = make_take(frames, rate=clip_rate)
    applied = take_scene.apply_take(scene, take, clip, how=how)
    solver = Camera(K=take.K, dist=take.dist, width=640, height=480)
    expected_rate = float(clip_rate) if how is Timing.MATCH_SCENE else scene_fps
    assert timing.scene_rate(scene) == pytest.approx(expected_rate, abs=1e-4)
    per_frame = float(clip_rate) / expected_rate if how is Timing.TRUE_TIME else 1.0
    for offset in (0, 7, 150, 299):
        scene.frame_set(applied.first_frame + offset)
        shown = shown_clip_frame(scene)
        assert abs(shown - offset * per_frame) <= 0.5 + 1e-3
        for side in SIDES:
            now = shown_pixels(scene, applied.rigs[side], (640, 480))
            pictures = solver.project(take.track(side).points[[max(shown - 1, 0), shown, shown + 1]])
            if how is not Timing.TRUE_TIME:
                assert np.abs(now - pictures[1]).max() < 0.1
            # At its true time a hand may be half a clip frame away from the nearest picture, never more.
            step = np.linalg.norm(np.diff(pictures, axis=0), axis=-1).max(0)
            error = np.linalg.norm(now - pictures[1], axis=-1)
            assert (error <= 0.55 * step + 0.3).all()
            assert offset != 299 or clip_rate < 29 or error.max() < 3.0


def test_a_variable_rate_keeps_its_true_times(scene: bpy.types.Scene, make_take: MakeTake) -> None:
    times = np.cumsum(np.random.default_rng(1).uniform(0.02, 0.06, 60))
    times -= times[0]
    take = make_take(60, times=times)
    assert not timing.is_even(take)
    applied = take_scene.apply_take(scene, take, how=Timing.TRUE_TIME)
    rate = timing.scene_rate(scene)
    keys = wrist_keys(applied.rigs["left"])
    assert np.abs((keys - applied.first_frame) / rate - times).max() < 1e-3


def wrist_keys(rig: hand_rig.HandRig) -> Array:
    path = rig.armature.pose.bones[hand_rig.bone_names(rig.armature)[0]].path_from_id("location")
    curve = next(c for c in actions.existing_channels(rig.armature).fcurves if c.data_path == path)
    return np.array([point.co[0] for point in curve.keyframe_points])


def test_an_empty_scene_takes_the_clips_rate_and_says_so(
    scene: bpy.types.Scene, make_take: MakeTake, make_clip: MakeClip
) -> None:
    take = make_take(40, rate=Fraction(30000, 1001), first=10)
    applied = take_scene.apply_take(scene, take, make_clip(60))
    assert timing.scene_rate(scene) == pytest.approx(30000 / 1001, abs=1e-5)
    assert any("29.97" in note for note in applied.notes)
    assert (scene.frame_start, scene.frame_end) == (1, 40)
    scene.frame_set(1)
    assert shown_clip_frame(scene) == 10
    assert scene.camera is applied.camera


def test_a_scene_with_animation_keeps_its_own_rate_and_range(scene: bpy.types.Scene, make_take: MakeTake) -> None:
    mover = bpy.data.objects.new("mover", None)
    scene.collection.objects.link(mover)
    mover.keyframe_insert("location", frame=3)
    scene.frame_end = 77
    applied = take_scene.apply_take(scene, make_take(90))
    assert applied.timing is Timing.TRUE_TIME
    assert (timing.scene_rate(scene), scene.frame_end) == (24.0, 77)
    assert (scene.render.resolution_x, scene.render.resolution_y) == (1920, 1080)


def test_one_action_a_take_with_a_slot_a_side(scene: bpy.types.Scene, make_take: MakeTake) -> None:
    first = take_scene.apply_take(scene, make_take(10), name="First")
    taken = {side: first.rigs[side].armature.animation_data.action for side in SIDES}
    second = take_scene.apply_take(scene, make_take(10), name="Second", push_down=True)
    now = {side: second.rigs[side].armature.animation_data.action for side in SIDES}
    if actions.HAS_SLOTS:
        assert now["left"] is now["right"]
        assert {slot.name_display for slot in now["left"].slots} == {"Hand.L", "Hand.R"}
    else:
        assert now["left"] is not now["right"]
    assert len(hand_rig.find_hands(scene)) == 2
    assert sum(obj.type == "ARMATURE" for obj in scene.objects) == 2
    for side in SIDES:
        assert taken[side] is not now[side]
        assert taken[side].use_fake_user
        strips = [s for track in second.rigs[side].armature.animation_data.nla_tracks for s in track.strips]
        assert [strip.action for strip in strips] == [taken[side]]


def test_absent_frames_have_no_keys_and_filled_ones_are_marked(scene: bpy.types.Scene, make_take: MakeTake) -> None:
    take = make_take(10)
    state = np.array([0, 0, 1, 1, 2, 2, 3, 1, 0, 0], np.uint8)
    still = take.left.translation.copy()
    still[state == State.ABSENT] = np.nan
    take = take.with_tracks(left=replace(take.left, state=state, translation=still))
    rig = take_scene.apply_take(scene, take).rigs["left"]
    assert wrist_keys(rig).tolist() == [3, 4, 5, 6, 7, 8]
    curve = actions.existing_channels(rig.armature).fcurves[0]
    assert [p.type for p in curve.keyframe_points] == [
        "KEYFRAME", "KEYFRAME", "BREAKDOWN", "BREAKDOWN", "EXTREME", "KEYFRAME",
    ]  # fmt: skip
    scene.frame_set(5)
    assert rig.armature[CONFIDENCE] == pytest.approx(take.left.confidence[4], abs=1e-5)
    scene.frame_set(10)
    assert rig.armature[CONFIDENCE] == 0.0


def test_a_take_of_one_hand_makes_one_rig(scene: bpy.types.Scene, make_take: MakeTake) -> None:
    applied = take_scene.apply_take(scene, make_take(5, sides=("right",)))
    assert list(applied.rigs) == ["right"]
    assert list(hand_rig.find_hands(scene)) == ["right"]


def test_the_rig_gets_the_takes_shape(scene: bpy.types.Scene, make_take: MakeTake) -> None:
    take = make_take(5)
    rig = take_scene.apply_take(scene, take).rigs["left"]
    betas, size = hand_rig.shape_of(rig.armature)
    assert np.abs(betas - take.betas).max() < 1e-9
    assert size == take.size


def test_a_missing_clip_is_a_note(scene: bpy.types.Scene, make_take: MakeTake, tmp_path: Path) -> None:
    applied = take_scene.apply_take(scene, make_take(5, source=str(tmp_path / "gone.mp4")))
    assert applied.clip is None
    assert any("gone.mp4" in note for note in applied.notes)


def test_a_clip_that_moved_along_with_the_file_is_found(
    scene: bpy.types.Scene, make_take: MakeTake, make_clip: MakeClip, tmp_path: Path
) -> None:
    clip = make_clip(5)
    take = make_take(5, source=str(tmp_path / "elsewhere" / clip.name))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    applied = take_scene.apply_take(bpy.context.scene, take)
    assert Path(bpy.path.abspath(applied.clip.filepath)) == clip
    assert not any("is not at" in note for note in applied.notes)
    # Not beside the file, but open in Blender.
    clip = clip.rename(tmp_path.parent / clip.name)
    applied.clip.filepath = str(clip)
    found = take_scene.apply_take(bpy.context.scene, take).clip
    assert Path(bpy.path.abspath(found.filepath)) == clip
    clip.unlink()


@pytest.mark.parametrize("frames", [0, 5])
def test_a_take_without_hands_is_refused_in_a_sentence(
    scene: bpy.types.Scene, make_take: MakeTake, frames: int
) -> None:
    with pytest.raises(BadInputError, match="capture the clip again"):
        take_scene.apply_take(scene, make_take(frames, sides=()))
    assert not scene.objects


def test_applying_twice_makes_one_camera_and_one_clip(
    scene: bpy.types.Scene, make_take: MakeTake, make_clip: MakeClip
) -> None:
    clip = make_clip(10)
    for _ in range(2):
        take_scene.apply_take(scene, make_take(10), clip)
    assert (len(bpy.data.cameras), len(bpy.data.movieclips)) == (1, 1)
    assert len(bpy.data.cameras[0].background_images) == 1


def test_the_clip_knows_the_lens(scene: bpy.types.Scene, make_take: MakeTake, make_clip: MakeClip) -> None:
    size, K = LENSES["shifted"]
    take = replace(make_take(5, size=size, K=K), dist=np.array([0.1, -0.05, 0.001, 0.002, 0.01]))
    clip = take_scene.apply_take(scene, take, make_clip(5, size=size)).clip
    lens = clip.tracking.camera
    assert lens.focal_length_pixels == pytest.approx(900.0, rel=1e-4)
    assert tuple(lens.principal_point_pixels) == pytest.approx((700.75, 719.5 - 300.5), abs=1e-2)
    assert (lens.brown_k1, lens.brown_p2) == pytest.approx((0.1, 0.002))


def test_pixels_taller_than_wide_make_the_right_lens() -> None:
    lens = take_camera.lens_of([[500.0, 0, 99.5], [0, 400.0, 49.5], [0, 0, 1]], 200, 100)
    assert lens.lens[0] == pytest.approx(90.0)
    assert lens.pixel_aspect == pytest.approx((1.0, 1.25))
    assert (lens.shift_x[0], lens.shift_y[0]) == pytest.approx((0.0, 0.0))


def test_a_variable_rate_clip_plays_as_blender_counts_it(
    scene: bpy.types.Scene, make_take: MakeTake, repository: Path
) -> None:
    clip = repository / "tests" / "engine" / "data" / "footage" / "variable.mp4"
    times = np.array([0, 0.04, 0.08, 0.12, 0.16, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    take = make_take(12, rate=Fraction(100, 7), size=(64, 48), times=times)
    applied = take_scene.apply_take(scene, take, clip, how=Timing.MATCH_SCENE)
    assert timing.scene_rate(scene) == pytest.approx(applied.clip.fps)
    for index in (0, 5, 6, 11):
        scene.frame_set(applied.first_frame + round(times[index] * applied.clip.fps))
        # Blender shows picture `index` from its time stamp on, and the hands stand as they did in it.
        assert shown_clip_frame(scene) / applied.clip.fps == pytest.approx(times[index], abs=1e-6)
        expected = Camera(K=take.K, dist=take.dist, width=64, height=48).project(take.left.points[index])
        assert np.abs(shown_pixels(scene, applied.rigs["left"], (64, 48)) - expected).max() < 0.1


@pytest.mark.parametrize("how", [Timing.MATCH_SCENE, Timing.ONE_A_FRAME, Timing.TRUE_TIME])
def test_of_a_variable_rate_clip_the_nearest_picture_is_shown(
    scene: bpy.types.Scene, make_take: MakeTake, repository: Path, how: Timing
) -> None:
    clip = repository / "tests" / "engine" / "data" / "footage" / "variable.mp4"
    times = np.array([0, 0.04, 0.08, 0.12, 0.16, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    take = make_take(12, rate=Fraction(100, 7), size=(64, 48), times=times)
    applied = take_scene.apply_take(scene, take, clip, how=how)
    rate = timing.scene_rate(scene) if how is Timing.TRUE_TIME else applied.clip.fps
    for frame in range(applied.first_frame, applied.last_frame + 1):
        scene.frame_set(frame)
        moment = (frame - applied.first_frame) / rate
        seen = np.flatnonzero(times <= shown_clip_frame(scene) / applied.clip.fps + 1e-6)[-1]
        assert abs(times[seen] - moment) < np.abs(times - moment).min() + 1e-6


def test_a_turned_portrait_clip_stands_upright(scene: bpy.types.Scene, make_take: MakeTake, repository: Path) -> None:
    """Blender turns a clip by its rotation flag as our reader does; where it does not, the background is turned."""
    take = make_take(5)
    take = replace(take, meta={**take.meta, "width": 48, "height": 64})
    path = repository / "tests" / "engine" / "data" / "footage" / "rotated.mp4"
    applied = take_scene.apply_take(scene, take, path)
    background = scene.camera.data.background_images[0]
    if bpy.app.version >= (4, 5):
        assert tuple(applied.clip.size) == (48, 64)
        assert (background.rotation, background.scale) == (0.0, 1.0)
    else:
        assert tuple(applied.clip.size) == (64, 48)
        assert abs(np.degrees(background.rotation) % 180.0 - 90.0) < 1e-3
        assert background.scale == pytest.approx(64 / 48)


def test_a_photo_of_a_phone_held_upright_stands_upright(
    scene: bpy.types.Scene, make_take: MakeTake, tmp_path: Path
) -> None:
    """The sensor lies, and the file says by how much: our reader turns the picture, Blender does not."""
    _, data = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))
    tag = b"MM\x00*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    body = b"Exif\x00\x00" + tag
    head = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    (tmp_path / "hand.jpg").write_bytes(data.tobytes()[:2] + head + data.tobytes()[2:])
    footage = open_footage(str(tmp_path / "hand.jpg"))
    assert (footage.width, footage.height) == (48, 64)
    take_scene.apply_take(scene, make_take(1, size=(48, 64), source=str(tmp_path / "hand.jpg")))
    background = scene.camera.data.background_images[0]
    assert tuple(background.clip.size) == (64, 48)
    assert np.degrees(background.rotation) == pytest.approx(90.0)
    # Upright it fills the frame, which is the picture's: its height was the frame's width when it lay.
    assert background.scale == pytest.approx(64 / 48)


def test_a_lens_that_distorts_is_undone_behind_the_hands(
    scene: bpy.types.Scene, make_take: MakeTake, make_clip: MakeClip
) -> None:
    take = make_take(5)
    take_scene.apply_take(scene, take, make_clip(5))
    user = scene.camera.data.background_images[0].clip_user
    assert not user.use_render_undistorted
    take_scene.apply_take(scene, replace(take, dist=np.array([0.1, 0, 0, 0, 0])), make_clip(5))
    assert user.use_render_undistorted


def test_a_folder_of_pictures_is_a_clip(scene: bpy.types.Scene, make_take: MakeTake, tmp_path: Path) -> None:
    for index in range(5):
        picture = bpy.data.images.new("p", 8, 8)
        picture.filepath_raw, picture.file_format = str(tmp_path / "seq" / f"frame_{index:03d}.png"), "PNG"
        picture.save()
    applied = take_scene.apply_take(scene, make_take(5, source=str(tmp_path / "seq")))
    assert applied.clip.source == "SEQUENCE"
    assert applied.clip.frame_duration == 5


@pytest.mark.parametrize("frame", [(640, 480), (1920, 1080), (400, 600)])
def test_stills_of_other_sizes_are_each_seen_through_their_own_lens(
    scene: bpy.types.Scene, make_take: MakeTake, frame: tuple[int, int]
) -> None:
    """Each picture is fitted into the camera's frame, and the hands land on its pixels there."""
    sizes = [(640, 480), (480, 640), (1280, 720), (500, 500)]
    lenses = [
        [[f, 0, w / 2 + 9], [0, f, h / 2 - 7], [0, 0, 1]] for f, (w, h) in zip((600, 700, 900, 450), sizes, strict=True)
    ]
    take = make_take(4, K=lenses)
    take = replace(take, meta={**take.meta, "sizes": [list(size) for size in sizes]})
    # Somebody's own scene, whose picture size stays.
    scene.render.resolution_x, scene.render.resolution_y = frame
    scene.animation_data_create()
    applied = take_scene.apply_take(scene, take, how=Timing.ONE_A_FRAME)
    for index, (width, height) in enumerate(sizes):
        scene.frame_set(applied.first_frame + index)
        camera = Camera(K=take.K[index], dist=take.dist, width=width, height=height)
        scale = min(frame[0] / width, frame[1] / height)
        middle, centre = np.array([frame[0] - 1, frame[1] - 1]) / 2, np.array([width - 1, height - 1]) / 2
        for side in SIDES:
            expected = (camera.project(take.track(side).points[index]) - centre) * scale + middle
            assert np.abs(shown_pixels(scene, applied.rigs[side], frame) - expected).max() < 0.1


def test_a_clip_that_blender_cannot_read_is_a_note(scene: bpy.types.Scene, make_take: MakeTake, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no movie")
    applied = take_scene.apply_take(scene, make_take(5), tmp_path / "broken.mp4")
    assert set(applied.rigs) == set(SIDES)


def test_a_take_of_mano_hands_goes_on_mano_hands(scene: bpy.types.Scene, make_take: MakeTake, tmp_path: Path) -> None:
    file = tmp_path / "MANO_RIGHT.npz"
    np.savez(file, **mano_tables("right"))
    hands = mano_hands(file)
    hand_rig.add_hands(scene)
    take = make_take()
    own = replace(take, meta={**take.meta, "hand_model": hands.id, "settings": {"mano_right": str(file)}})
    applied = take_scene.apply_take(scene, own, with_camera=False)
    for side in ("left", "right"):
        assert applied.rigs[side].armature is not hand_rig.find_hands(scene)[side].armature
        assert len(applied.rigs[side].mesh.data.vertices) == len(hands.model(side).template)
    again = take_scene.apply_take(scene, own, with_camera=False)
    assert again.rigs["right"].armature is applied.rigs["right"].armature
    assert (
        take_scene.apply_take(scene, take, with_camera=False).rigs["right"].armature is not again.rigs["right"].armature
    )
    file.unlink()
    with pytest.raises(BadInputError, match="MANO"):
        take_scene.apply_take(scene, own, with_camera=False)
