# SPDX-License-Identifier: GPL-3.0-or-later
"""One picture into a take of one frame; a live capture that is told to record while it runs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_hands import FOCAL, draw, poses, write_clip

from blender_handmocap.engine import rotations
from blender_handmocap.engine.errors import BadInputError, NothingFoundError
from blender_handmocap.engine.live import Recorder, live
from blender_handmocap.engine.settings import Settings
from blender_handmocap.engine.snapshot import capture_snapshot
from blender_handmocap.engine.take import load_take

SETTINGS = Settings(focal=FOCAL, device="cpu")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "hand.mp4"
    write_clip(path, frames=30, sides=("right",))
    return path


def test_a_picture_gives_the_pose_it_shows(tmp_path: Path) -> None:
    rotation, place = poses("right", 20)
    path = tmp_path / "hand.png"
    cv2.imwrite(str(path), draw({"right": (rotation[12], place[12])})[..., ::-1])
    take = capture_snapshot(str(path), SETTINGS, picture=tmp_path / "seen.jpg")
    assert len(take) == 1 and take.right.present[0] and not take.left.present[0]
    off = np.degrees(rotations.angle_between(take.right.rotation[0, 1:], rotation[12, 1:]))
    assert np.sqrt((off**2).mean()) < 20.0
    assert (tmp_path / "seen.jpg").stat().st_size > 1000


def test_a_frame_of_a_clip_is_chosen_by_its_number(clip: Path) -> None:
    first, later = (capture_snapshot(str(clip), SETTINGS, frame=number) for number in (0, 20))
    assert (first.frame[0], later.frame[0]) == (0, 20)
    assert rotations.angle_between(first.right.rotation[0], later.right.rotation[0]).max() > 0.2


def test_what_shows_no_hand_is_a_sentence(clip: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((240, 320, 3), 90, np.uint8))
    with pytest.raises(NothingFoundError, match="No hand was found in the picture"):
        capture_snapshot(str(tmp_path / "grey.png"), SETTINGS)
    with pytest.raises(BadInputError, match="ends before 900"):
        capture_snapshot(str(clip), SETTINGS, frame=900)


def test_recording_begins_when_it_is_told_to(clip: Path, tmp_path: Path) -> None:
    recorder, told = Recorder(), []

    def on_frame(frame) -> None:
        told.append((frame.recording, frame.countdown))
        if len(told) == 1:
            recorder.start(tmp_path / "live.take.npz")
            recorder.start(tmp_path / "other.take.npz")

    report = live(str(clip), SETTINGS, recorder=recorder, on_frame=on_frame)
    take = load_take(tmp_path / "live.take.npz")
    assert not (tmp_path / "other.take.npz").exists()
    assert told[0] == (False, None) and all(later == (True, None) for later in told[1:])
    assert 0 < len(take) <= report.frames


def test_a_countdown_that_never_ends_records_nothing(clip: Path, tmp_path: Path) -> None:
    recorder, told = Recorder(), []
    recorder.start(tmp_path / "live.take.npz", countdown=1000.0)
    live(str(clip), SETTINGS, recorder=recorder, on_frame=lambda frame: told.append(frame.countdown))
    assert all(900.0 < left <= 1000.0 for left in told)
    assert not (tmp_path / "live.take.npz").exists()
