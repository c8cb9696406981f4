# SPDX-License-Identifier: GPL-3.0-or-later
"""Live without a window: a movie plays the camera, and moves hands or a character without keys."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import bpy
import numpy as np
import pytest
from drawn_hands import write_clip

from blender_handmocap.bridge import engine_job, hand_rig
from blender_handmocap.bridge.live import LiveTarget
from blender_handmocap.engine import rotations
from blender_handmocap.engine.hand.names import FINGERS, SIDES, Side
from blender_handmocap.engine.live_recording import LiveRecording, pieces_folder
from blender_handmocap.engine.rigs.preset import BoneMap
from blender_handmocap.engine.take import load_take
from tests.engine.test_live_recording import empty, record


@pytest.fixture(scope="module")
def camera_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "camera.mp4"
    write_clip(path, frames=45)
    return path


def hand_map(armature: bpy.types.Object, side: Side) -> BoneMap:
    """Our own hand rig as if it were a character."""
    names = hand_rig.bone_names(armature)
    roles = ["wrist", *(f"{finger}{k}" for finger in ("index", "middle", "pinky", "ring", "thumb") for k in (1, 2, 3))]
    assert set(FINGERS) == {role[:-1] for role in roles[1:]}
    return BoneMap(side=side, bones=dict(zip(roles, names, strict=False)), preset="")


def live_frame(bend: float) -> dict[str, object]:
    """What the engine sends: both hands turned, every finger joint bent."""
    frame: dict[str, object] = {}
    for side in SIDES:
        vectors = np.zeros((16, 3))
        vectors[1:, 2] = bend if side == "right" else -bend
        vectors[0] = (0.3, 0.2, 0.1)
        quaternions = rotations.quaternion_from_vector(vectors)
        frame[side] = {"rotation": quaternions.tolist(), "translation": [0.1, 0.0, 0.5], "confidence": 0.9}
    return frame


def test_a_character_moves_as_the_hands_do_and_gets_no_keys(scene: bpy.types.Scene) -> None:
    character = hand_rig.add_hands(scene, ["right"])["right"].armature
    character.name = "Character"
    for bone in list(character.pose.bones)[:8]:
        bone.rotation_mode = "XYZ"
    target = LiveTarget("Character", {"right": hand_map(character, "right")}, with_wrist=True)
    target.show(scene, live_frame(0.5))
    bpy.context.view_layer.update()
    shown = np.array([bone.matrix_basis.to_quaternion() for bone in character.pose.bones])[:16]
    alone = hand_rig.add_hands(scene, ["right"])["right"].armature
    LiveTarget().show(scene, live_frame(0.5))
    del alone
    other = next(rig.armature for side, rig in hand_rig.find_hands(scene).items() if side == "right")
    expected = np.array([bone.matrix_basis.to_quaternion() for bone in other.pose.bones])[:16]
    assert np.degrees(rotations.angle_between(shown, expected)).max() < 1.0
    assert character.animation_data is None
    # A hand that is not seen stays as it is; a character that was deleted is no error.
    target.show(scene, {"frame": 2})
    bpy.data.objects.remove(character)
    target.show(scene, live_frame(0.1))


def test_recording_after_a_countdown_is_shorter_than_the_clip(enabled: bpy.types.Scene, camera_clip: Path) -> None:
    chosen = enabled.handmocap
    chosen.live_source, chosen.live_countdown = str(camera_clip), 0
    assert not bpy.ops.handmocap.record.poll()
    assert bpy.ops.handmocap.live(record=True) == {"FINISHED"}
    state = engine_job.current("live").state
    assert "dropped" in state.live_line and "ms" in state.live_line
    assert [take.name for take in chosen.takes] == ["camera_001"]
    take = load_take(bpy.path.abspath(chosen.takes[0].path))
    assert 0 < len(take) <= 45
    chosen.live_countdown = 30
    assert bpy.ops.handmocap.live(record=True) == {"FINISHED"}
    # The clip was over before the countdown was: nothing was recorded, and nothing is listed.
    assert len(chosen.takes) == 1


def test_a_recording_outlives_its_engine(enabled: bpy.types.Scene, tmp_path: Path) -> None:
    write_clip(tmp_path / "long.mp4", frames=120)
    chosen = enabled.handmocap
    chosen.live_source, chosen.live_countdown = str(tmp_path / "long.mp4"), 0

    def kill() -> None:
        while (job := engine_job.current("live")) is None or job.state.done < 50:
            time.sleep(0.05)
        job.child.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(RuntimeError, match="recorded so far are a take"):
        bpy.ops.handmocap.live(record=True)
    killer.join()
    assert [take.name for take in chosen.takes] == ["long_001"]
    assert 0 < len(load_take(bpy.path.abspath(chosen.takes[0].path))) < 110
    assert hand_rig.find_hands(enabled)["left"].armature.animation_data.action is not None
    assert bpy.ops.handmocap.recover_recordings() == {"FINISHED"}
    assert len(chosen.takes) == 1


def test_a_recording_that_blender_left_behind_is_recovered(enabled: bpy.types.Scene, tmp_path: Path) -> None:
    where = tmp_path / "user" / "takes"
    out = where / "live_001.take.npz"
    recording = LiveRecording(out, empty())
    record(recording, range(70))
    recording._writer.shutdown(wait=True)
    # What was written just now may still be growing.
    bpy.ops.handmocap.recover_recordings()
    assert not len(enabled.handmocap.takes)
    for piece in pieces_folder(out).iterdir():
        os.utime(piece, (1.0, 1.0))
    bpy.ops.handmocap.recover_recordings()
    assert [take.name for take in enabled.handmocap.takes] == ["live_001"]
    assert len(load_take(out)) == 66


def test_a_character_must_be_chosen_first(enabled: bpy.types.Scene, camera_clip: Path) -> None:
    enabled.handmocap.live_target = "CHARACTER"
    enabled.handmocap.live_source = str(camera_clip)
    with pytest.raises(RuntimeError, match="No character is chosen"):
        bpy.ops.handmocap.live()
    assert bpy.ops.handmocap.stop_live() == {"CANCELLED"}
