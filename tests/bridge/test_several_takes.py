# SPDX-License-Identifier: GPL-3.0-or-later
"""Two takes of one clip in the scene: shown at once, and made into one."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest

from blender_handmocap.bridge import compare, hand_rig
from blender_handmocap.engine import rotations
from blender_handmocap.engine.take import Take, load_take, save_take
from tests.bridge.test_review_operators import MakeTake, applied, watched  # noqa: F401 - fixtures


def bent_more(take: Take) -> Take:
    """The take with the right index finger bent on."""
    track = take.right
    more = rotations.quaternion_from_vector([0.0, 0.0, 0.4])
    turned = track.rotation.copy()
    turned[:, 1] = rotations.multiply(turned[:, 1], more)
    return take.with_tracks(right=type(track)(**{**vars(track), "rotation": turned, "raw_rotation": turned}))


@pytest.fixture
def two(applied: bpy.types.Scene, tmp_path: Path) -> bpy.types.Scene:  # noqa: F811
    """The hands show wave_001, and wave_002 lies beside it in the list."""
    save_take(bent_more(load_take(tmp_path / "wave_001.take.npz")), tmp_path / "wave_002.take.npz")
    bpy.ops.handmocap.add_take(filepath=str(tmp_path / "wave_002.take.npz"))
    applied.handmocap.take_index = 0
    applied.handmocap.other_take = "wave_002"
    return applied


def index_turn(armature: bpy.types.Object) -> np.ndarray:
    return np.array(armature.pose.bones["index1.R"].rotation_quaternion)


def test_another_take_is_shown_in_its_own_hands_and_goes_without_a_trace(two: bpy.types.Scene) -> None:
    before = {kind: len(getattr(bpy.data, kind)) for kind in ("objects", "meshes", "armatures", "actions")}
    rigs = hand_rig.find_hands(two)
    for _ in range(2):
        assert bpy.ops.handmocap.compare_takes() == {"FINISHED"}
    assert compare.shown(two)
    assert hand_rig.find_hands(two) == rigs
    theirs = next(obj for obj in two.objects if obj.type == "ARMATURE" and obj.name.startswith("Compared Hand.R"))
    two.frame_set(12)
    own = rigs["right"].armature
    apart = np.degrees(rotations.angle_between(index_turn(theirs), index_turn(own)))
    assert apart == pytest.approx(np.degrees(0.4), abs=0.1)
    np.testing.assert_allclose(theirs.pose.bones["wrist.R"].head, own.pose.bones["wrist.R"].head, atol=1e-5)
    assert bpy.ops.handmocap.stop_comparing() == {"FINISHED"}
    assert {kind: len(getattr(bpy.data, kind)) for kind in before} == before
    assert not bpy.ops.handmocap.stop_comparing.poll()


def test_frames_of_the_other_take_are_taken_over(two: bpy.types.Scene, tmp_path: Path) -> None:
    assert not bpy.ops.handmocap.use_range.poll()
    two.use_preview_range, two.frame_preview_start, two.frame_preview_end = True, 8, 20
    rig = hand_rig.find_hands(two)["right"].armature
    two.frame_set(2)
    rig.pose.bones["ring1.R"].rotation_quaternion = rotations.quaternion_from_vector([1.0, 0.0, 0.0])
    rig.pose.bones["ring1.R"].keyframe_insert("rotation_quaternion", frame=2)
    assert bpy.ops.handmocap.use_range() == {"FINISHED"}
    assert [entry.name for entry in two.handmocap.takes] == ["wave_001", "wave_002", "wave_003"]
    made = load_take(tmp_path / "wave_003.take.npz")
    assert made.meta["ranges"] == [{"take": "wave_002.take.npz", "first": 7, "last": 19}]
    first, second = (load_take(tmp_path / f"wave_00{k}.take.npz") for k in (1, 2))
    for index, source in ((2, first), (13, second), (22, first)):
        off = rotations.angle_between(made.right.rotation[index, 1], source.right.rotation[index, 1])
        assert np.degrees(off) < 0.1, index
    # The hands show it, with the key that was changed outside the range.
    two.frame_set(14)
    wanted = rotations.angle_between(second.right.rotation[13, 1], first.right.rotation[13, 1])
    assert np.degrees(wanted) == pytest.approx(np.degrees(0.4), abs=0.1)
    two.frame_set(2)
    shown = np.array(rig.pose.bones["ring1.R"].rotation_quaternion)
    assert np.degrees(rotations.angle_between(shown, rotations.quaternion_from_vector([1.0, 0, 0]))) < 0.2


def test_what_cannot_be_compared_is_a_sentence(two: bpy.types.Scene, make_take: MakeTake, tmp_path: Path) -> None:
    two.handmocap.other_take = "wave_001"
    with pytest.raises(RuntimeError, match="selected take itself"):
        bpy.ops.handmocap.compare_takes()
    two.handmocap.other_take = "gone"
    with pytest.raises(RuntimeError, match="No other take is chosen"):
        bpy.ops.handmocap.compare_takes()
    save_take(watched(make_take(24, source="another.mp4")), tmp_path / "other_001.take.npz")
    bpy.ops.handmocap.add_take(filepath=str(tmp_path / "other_001.take.npz"))
    two.handmocap.take_index, two.handmocap.other_take = 0, "other_001"
    two.use_preview_range, two.frame_preview_start, two.frame_preview_end = True, 8, 20
    with pytest.raises(RuntimeError, match="different clips"):
        bpy.ops.handmocap.use_range()
    two.frame_preview_start, two.frame_preview_end = 200, 220
    with pytest.raises(RuntimeError, match="outside the take"):
        bpy.ops.handmocap.use_range()
    (tmp_path / "other_001.take.npz").unlink()
    with pytest.raises(RuntimeError, match="no longer at"):
        bpy.ops.handmocap.compare_takes()
