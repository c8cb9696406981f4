# SPDX-License-Identifier: GPL-3.0-or-later
"""A live recording is on the disk as it grows, and is not lost with the engine or the camera."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_hands import FOCAL, write_clip

import blender_handmocap
from blender_handmocap.engine import cli, footage, live
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.live_recording import LiveRecording, is_left, left_in, pieces_folder, recover
from blender_handmocap.engine.settings import Settings
from blender_handmocap.engine.take import HandTrack, State, Take, load_take

PACKAGE = Path(blender_handmocap.__file__).parent
SETTINGS = Settings(focal=FOCAL, device="cpu", threads=1)


def empty() -> Take:
    return Take(
        meta={"rate": [30, 1], "live": True},
        frame=np.zeros(0, np.int32),
        time=np.zeros(0),
        K=np.eye(3),
        dist=np.zeros(5),
        left=HandTrack.absent(0),
        right=HandTrack.absent(0),
        betas=np.zeros(10),
        size=0.09,
    )


def record(recording: LiveRecording, frames: range) -> None:
    for index in frames:
        one = HandTrack.absent(1)
        seen = replace(one, state=np.full(1, State.SEEN, np.uint8), translation=np.full((1, 3), float(index)))
        recording.append(index, index / 32.0, {"left": one, "right": seen})


def test_pieces_become_one_take(tmp_path: Path) -> None:
    out = tmp_path / "a.take.npz"
    recording = LiveRecording(out, empty())
    record(recording, range(100))
    recording.finish(warnings=["The camera stopped."])
    take = load_take(out)
    np.testing.assert_array_equal(take.frame, np.arange(100))
    np.testing.assert_allclose(take.right.translation[:, 0], np.arange(100))
    assert not take.left.present.any()
    assert take.meta["warnings"] == ["The camera stopped."]
    assert not pieces_folder(out).exists()


def test_what_was_cut_off_is_recovered_up_to_damage(tmp_path: Path) -> None:
    out = tmp_path / "a.take.npz"
    recording = LiveRecording(out, empty())
    record(recording, range(100))
    # Nobody finishes it.
    recording._writer.shutdown(wait=True)
    assert is_left(out)
    assert left_in(tmp_path) == [out]
    with pytest.raises(BadInputError, match="was cut off"):
        LiveRecording(out, empty())
    pieces = sorted(pieces_folder(out).iterdir())
    assert len(pieces) == 3
    pieces[2].write_bytes(b"torn")
    assert cli.main(["live", "--recover", "--out", str(out)]) == 0
    np.testing.assert_array_equal(load_take(out).frame, np.arange(66))
    assert not is_left(out)
    with pytest.raises(BadInputError, match="No frames of a recording"):
        recover(out)


def test_a_disk_that_refuses_is_told_of_at_once_and_loses_nothing(tmp_path: Path) -> None:
    out = tmp_path / "a.take.npz"
    recording = LiveRecording(out, empty())
    record(recording, range(40))
    # As a full disk does: the next piece cannot be put where it belongs.
    refused = pieces_folder(out) / "recorded_00001.take.npz"
    refused.mkdir()
    record(recording, range(40, 66))
    assert recording._written[1].exception(timeout=20) is not None
    for going_on in (lambda: record(recording, range(66, 67)), recording.finish):
        with pytest.raises(BadInputError, match="recover what came before") as told:
            going_on()
        assert "\n" not in str(told.value)
    refused.rmdir()
    np.testing.assert_array_equal(recover(out).frame, np.arange(33))


def test_a_recording_that_cannot_be_kept_does_not_begin(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInputError, match="cannot be kept"):
        LiveRecording(tmp_path / "file" / "a.take.npz", empty())


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "camera.mp4"
    write_clip(path, frames=105)
    return path


def test_a_camera_that_is_unplugged_ends_with_a_sentence_and_its_frames(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The camera is OpenCV's own reader on a movie: as with a pulled cable, reading fails from some moment on."""
    monkeypatch.setattr(footage, "_open_camera", lambda number: cv2.VideoCapture(str(clip)))
    monkeypatch.setattr(footage, "read_latest", lambda frames: frames)
    out = tmp_path / "camera.take.npz"
    frames: list[live.LiveFrame] = []
    report = live.live("camera:0", SETTINGS, out=out, on_frame=frames.append)
    assert "Camera 0 stopped sending pictures." in report.notes
    take = load_take(out)
    assert len(take) == len(frames) > 90
    assert take.meta["source"] == "camera:0"
    assert "Camera 0 stopped sending pictures." in take.meta["warnings"]


def test_a_recording_survives_its_engine(clip: Path, tmp_path: Path) -> None:
    """The engine is killed in the middle, as the system does when memory runs out."""
    process = subprocess.Popen(
        [sys.executable, "-m", "engine", "worker"],
        cwd=PACKAGE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    out = tmp_path / "w.take.npz"
    request = {"type": "live", "id": 1, "source": str(clip), "out": str(out), "settings": {"focal": FOCAL}}
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    seen = 0.0
    for line in process.stdout:
        message = json.loads(line)
        assert message["type"] != "done", "the clip was over before the engine could be killed"
        seen = message.get("time", seen)
        if seen > 2.0:
            process.kill()
            break
    process.stdin.close()
    process.stdout.close()
    process.wait(30)
    assert not out.exists()
    take = recover(out)
    assert len(take) > 0
    assert take.time[-1] > seen - 1.6


def test_a_capture_that_ends_before_its_first_frame_says_that_nothing_was_recorded(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.take.npz"
    report = live.live(str(clip), SETTINGS, out=out, cancelled=lambda: True)
    assert report.frames == 0 and not report.recorded and not out.exists()
    assert any("no take was written" in note for note in report.notes)
