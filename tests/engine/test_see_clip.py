# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole clips, from pictures to a take whose seen part is filled."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.errors import CancelledError, NothingFoundError
from blender_handmocap.engine.footage import open_footage
from blender_handmocap.engine.footage_pictures import read_picture
from blender_handmocap.engine.models import MODELS_FOLDER
from blender_handmocap.engine.see.clip import Seer, looks_mirrored, see, take_from
from blender_handmocap.engine.see.records import Records, joined
from blender_handmocap.engine.settings import Settings
from blender_handmocap.engine.take import HandTrack, State

pytestmark = pytest.mark.skipif(
    not (MODELS_FOLDER / "mediapipe_hand.onnx").exists(), reason="the networks are made by `build.py models`"
)

CPU = Settings(device="cpu", threads=1)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    image = read_picture(Path(__file__).parent / "data" / "see" / "two_hands.png")
    assert image is not None
    return image


@pytest.fixture(scope="module")
def clip(picture: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures in which both hands drift a little to the left."""
    folder = tmp_path_factory.mktemp("clip")
    for index in range(10):
        moved = picture.copy()
        moved[:, :-1] = picture[:, 1:] if index % 2 else picture[:, :-1]
        cv2.imwrite(str(folder / f"{index:02d}.png"), moved[..., ::-1])
    return folder


@pytest.fixture(scope="module")
def take(clip: Path):
    return see(open_footage(clip), CPU)


def test_a_take_holds_what_was_seen(take) -> None:
    assert len(take) == 10 and take.frame.tolist() == list(range(10))
    np.testing.assert_allclose(take.time, np.arange(10) / 30)
    for side in ("left", "right"):
        track = take.track(side)
        assert (track.state[2:] == State.SEEN).all()
        seen = track.present
        for values in (track.seen2d, track.seen2d_sigma, track.seen3d, track.seen3d_sigma):
            assert np.isfinite(values[seen]).all() and np.isnan(values[~seen]).all()
        assert (track.confidence[seen] > 0).all() and (track.confidence <= 1).all()
        assert np.abs(track.seen3d[seen, 0]).max() == 0
    assert take.meta["definition"] == "mediapipe"
    assert (take.meta["width"], take.meta["height"], take.meta["rate"]) == (480, 360, [30, 1])
    # Drawn with the right hand on the left of the picture.
    assert np.nanmean(take.right.seen2d[..., 0]) < np.nanmean(take.left.seen2d[..., 0])


def test_mirrored_footage_exchanges_the_sides(clip: Path) -> None:
    flipped = see(open_footage(clip, mirrored=True), CPU)
    assert flipped.meta["mirrored"] is True
    assert np.nanmean(flipped.right.seen2d[..., 0]) < np.nanmean(flipped.left.seen2d[..., 0])
    assert np.nanmean(flipped.left.seen2d[..., 0]) > 240


def test_a_stopped_clip_goes_on_as_if_it_had_not_stopped(clip: Path) -> None:
    footage, camera = open_footage(clip), Camera.estimated(480, 360)
    frames = list(footage.frames())
    whole, first, second = Records(), Records(), Records()
    seer, begun = Seer(camera, CPU), Seer(camera, CPU)
    for number, frame in enumerate(frames):
        whole.append(frame.index, frame.time, seer.step(frame.image, time=frame.time), late=seer.late)
        if number == 4:
            seer.checkpoint()
    for frame in frames[:5]:
        first.append(frame.index, frame.time, begun.step(frame.image, time=frame.time), late=begun.late)
    resumed = Seer(camera, CPU)
    resumed.restore(begun.checkpoint())
    for frame in frames[5:]:
        second.append(frame.index, frame.time, resumed.step(frame.image, time=frame.time), late=resumed.late)
    uninterrupted = take_from(whole.arrays(), footage, camera, CPU)
    continued = take_from(joined([first.arrays(), second.arrays()]), footage, camera, CPU)
    for side in ("left", "right"):
        a, b = uninterrupted.track(side), continued.track(side)
        assert (a.state == b.state).all()
        np.testing.assert_allclose(a.seen2d, b.seen2d, atol=1e-5)
        np.testing.assert_allclose(a.confidence, b.confidence, atol=1e-5)


def test_a_hand_found_late_is_followed_back(clip: Path) -> None:
    footage, camera = open_footage(clip), Camera.estimated(480, 360)
    frames = list(footage.frames())
    plain, blind, cut = Seer(camera, CPU), Seer(camera, CPU), Seer(camera, CPU)
    truth = [plain.step(frame.image, time=frame.time) for frame in frames[:8]]
    known, forgotten = Records(), Records()
    for number, frame in enumerate(frames[:8]):
        for seer, records in ((blind, known), (cut, forgotten)):
            # Nothing is searched in the first five pictures.
            plan = seer._tracker.plan
            plan.expected_hands, plan.waited = (0, 0) if number < 5 else (2, 99)
            seen = seer.step(frame.image, time=frame.time)
            records.append(frame.index, frame.time, seen, late=seer.late)
            if seer is cut and number == 3:
                seer.checkpoint()
        assert bool(seen) == (number >= 5)
    assert known.arrays()["count"].tolist() == [2] * 8
    assert forgotten.arrays()["count"].tolist() == [0] * 4 + [2] * 4
    for number, hands in enumerate(known.seen):
        for _, seen_late in hands:
            nearest = min(np.abs(seen_late.points2d - one.points2d).mean() for _, one in truth[number])
            assert nearest < 4.0
            assert seen_late.confidence > 0.0


def test_only_one_hand_can_be_wanted(clip: Path) -> None:
    take = see(open_footage(clip), Settings(device="cpu", threads=1, hands="left", end="3"))
    assert take.left.present.any() and not take.right.present.any()


def test_live_gives_each_side_its_hand(picture: np.ndarray) -> None:
    seer = Seer(Camera.estimated(480, 360), Settings(mode="live", device="cpu", threads=1))
    for index in range(4):
        hands = seer.live(picture, time=index / 30)
    assert set(hands) == {"left", "right"}
    assert hands["right"].points2d[:, 0].mean() < hands["left"].points2d[:, 0].mean()


def test_stills_are_seen_each_alone(clip: Path, tmp_path: Path) -> None:
    settings = Settings(mode="stills", device="cpu", threads=1, end="1")
    take = see(open_footage(clip), settings)
    assert take.left.present.all() and take.right.present.all()


def test_nothing_to_see_is_one_sentence(tmp_path: Path) -> None:
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((120, 160, 3), 90, np.uint8))
    with pytest.raises(NothingFoundError, match="No hand was found"):
        see(open_footage(tmp_path), CPU)


def test_one_pixel_is_seen_without_harm(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "dot.png"), np.zeros((1, 1, 3), np.uint8))
    with pytest.raises(NothingFoundError, match="No hand was found"):
        see(open_footage(tmp_path / "dot.png"), CPU)


def test_seeing_stops_when_asked(clip: Path) -> None:
    with pytest.raises(CancelledError):
        see(open_footage(clip), CPU, cancelled=lambda: True)


def test_a_moving_cameras_path_is_kept(clip: Path, tmp_path: Path) -> None:
    K = np.stack([np.array([[400.0 + i, 0, 239.5], [0, 400.0 + i, 179.5], [0, 0, 1]]) for i in range(10)])
    path = tmp_path / "path.npz"
    np.savez(path, K=K, rotation=np.tile(np.eye(3), (10, 1, 1)), translation=np.arange(30.0).reshape(10, 3))
    take = see(open_footage(clip), Settings(device="cpu", threads=1, end="2", camera_path=str(path)))
    np.testing.assert_allclose(take.K[:, 0, 0], [400, 401, 402])
    assert take.meta["camera_path"]["translation"][2] == [6.0, 7.0, 8.0]


def test_records_of_nothing_have_every_column() -> None:
    empty, some = Records().arrays(), Records()
    some.append(0, 0.0, [])
    assert set(empty) == set(some.arrays())
    assert len(joined([empty, some.arrays()])["frame"]) == 1


def test_mirror_images_are_noticed() -> None:
    def at(x: float) -> HandTrack:
        track = HandTrack.absent(30)
        track.seen2d[:] = np.random.default_rng(0).normal(x, 5, (30, 21, 2))
        track.state[:] = State.SEEN
        return track

    assert looks_mirrored({"left": at(100), "right": at(400)})
    assert not looks_mirrored({"left": at(400), "right": at(100)})
    assert not looks_mirrored({"left": HandTrack.absent(30), "right": at(400)})
