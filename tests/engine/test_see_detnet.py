# SPDX-License-Identifier: GPL-3.0-or-later
"""DetNet in the engine: what it says of a drawn hand, of nothing, and how it goes together with MediaPipe."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from blender_handmocap.engine import runtime as runtime_module
from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.errors import ModelFileError
from blender_handmocap.engine.footage_pictures import read_picture
from blender_handmocap.engine.models import MODELS_FOLDER, model_file
from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.clip import Seer
from blender_handmocap.engine.see.crops import HAND_INPUT
from blender_handmocap.engine.see.detnet import TAPS, Blend, DetNet, LearnedHand, load_or_explain
from blender_handmocap.engine.see.fusion import (
    blended_points,
    is_easy,
    joined,
    mediapipe_confidence,
    mediapipe_form,
    mediapipe_trust,
    observed,
)
from blender_handmocap.engine.see.landmarks import HandNetwork, SeenHand
from blender_handmocap.engine.settings import Settings

pytestmark = pytest.mark.skipif(
    not (MODELS_FOLDER / "mediapipe_hand.onnx").exists(), reason="the networks are made by `build.py models`"
)

SEE = Path(__file__).parent / "data" / "see"
CPU = Settings(device="cpu", threads=1, eyes="detnet")


@pytest.fixture(scope="module")
def detnet() -> DetNet:
    return DetNet.load(Runtime.choose("cpu", 1))


@pytest.fixture(scope="module")
def hands(detnet: DetNet) -> HandNetwork:
    return HandNetwork(Runtime.choose("cpu", 1), detnet)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    image = read_picture(SEE / "two_hands.png")
    assert image is not None
    return image


@pytest.fixture(scope="module")
def pair(picture: np.ndarray, hands: HandNetwork) -> list[SeenHand]:
    """The right hand, then the left one, of the drawn picture."""
    golden = np.load(SEE / "mediapipe_static.npz")
    found = []
    for screen, right in sorted(zip(golden["screen"], golden["right"], strict=True), key=lambda one: -one[1]):
        low, high = screen[:, :2].min(0), screen[:, :2].max(0)
        around = np.array([*(low + high) / 2, *[1.8 * (high - low).max()] * 2, 0.0])
        turned = hands.look(picture, [around], [float(right)])[0].next_crop
        found += hands.look(picture, [turned], [float(right)])
    return found


def learned(seen: SeenHand) -> LearnedHand:
    assert seen.learned is not None
    return seen.learned


def test_both_heads_see_the_same_drawn_hands(pair: list[SeenHand]) -> None:
    for seen, is_right in zip(pair, (True, False), strict=True):
        said = learned(seen)
        box = np.ptp(seen.screen[:, :2], axis=0).max()
        assert np.linalg.norm(said.points - seen.screen[:, :2], axis=1).mean() < 0.12 * box
        assert said.present > 0.8 and said.of_side > 0.5 and (said.right > 0.5) == is_right
        form = said.form / np.linalg.norm(said.form[0])
        theirs = mediapipe_form(seen)
        theirs = (theirs - theirs[9]) / np.linalg.norm(theirs[0] - theirs[9])
        assert np.linalg.norm(form[:, :2] - theirs[:, :2], axis=1).mean() < 0.25
        assert (said.error_2d > 0).all() and said.error_2d.mean() < 0.2 * box
        assert ((said.visible >= 0) & (said.visible <= 1)).all()


def test_a_mirrored_left_hand_is_the_right_hand(pair: list[SeenHand], picture: np.ndarray, hands: HandNetwork) -> None:
    seen = pair[0]
    mirrored, width = np.ascontiguousarray(picture[:, ::-1]), picture.shape[1]
    crop = seen.crop.copy()
    # A crop's middle lies half a crop pixel off the middle of its pixels.
    crop[0], crop[4] = width - 1 - crop[0] + crop[2] / HAND_INPUT, -crop[4]
    other = hands.look(mirrored, [crop], [0.0])[0]
    said, again = learned(seen), learned(other)
    expected = said.points * [-1, 1] + [width - 1, 0]
    assert np.abs(again.points - expected).mean() < 1.0
    assert np.abs(again.form - said.form * [-1, 1, 1]).mean() < 0.02
    assert again.right < 0.5 < said.right


def test_a_hand_of_unknown_side_is_asked_about_only_if_it_is_a_right_one(
    pair: list[SeenHand], picture: np.ndarray, hands: HandNetwork
) -> None:
    right, left = (hands.look(picture, [seen.crop])[0] for seen in pair)
    assert right.learned is not None and left.learned is None


@pytest.mark.parametrize("kind", ["outside", "tiny", "black", "white", "noise", "wall"])
def test_what_is_no_hand_is_finite_and_not_trusted(
    kind: str, picture: np.ndarray, pair: list[SeenHand], hands: HandNetwork, detnet: DetNet
) -> None:
    height, width = picture.shape[:2]
    whole = np.array([width / 2, height / 2, height, height, 0.3])
    rng = np.random.default_rng(5)
    image, crop = {
        "outside": (picture, np.array([-900.0, -900.0, 200.0, 200.0, 0.0])),
        "tiny": (shrunk(picture, pair[0]), np.array([100.0, 100.0, 10.0, 10.0, 0.0])),
        "black": (np.zeros_like(picture), whole),
        "white": (np.full_like(picture, 255), whole),
        "noise": (rng.integers(0, 255, picture.shape, np.uint8), whole),
        "wall": (cv2.GaussianBlur(rng.integers(0, 255, picture.shape, np.uint8), (0, 0), 25), whole),
    }[kind]
    seen = hands.look(image, [crop], [1.0])[0]
    observation = observed(seen, Camera.estimated(width, height), detnet.blend, motion=0.0, size=(width, height))
    for name, value in observation.__dict__.items():
        assert np.isfinite(value).all(), name
    assert (observation.sigma2d > 0).all() and (observation.sigma3d > 0).all()
    # Whatever MediaPipe's presence lets through is not trusted.
    assert observation.confidence < 0.5 or observation.presence < 0.35


def shrunk(picture: np.ndarray, seen: SeenHand) -> np.ndarray:
    """A wall with the hand five pixels tall at 100, 100."""
    x, y, side = (round(float(value)) for value in (*seen.crop[:2], seen.crop[2] / 2))
    part = picture[max(y - side, 0) : y + side, max(x - side, 0) : x + side]
    image = np.full_like(picture, 120)
    image[95:105, 95:105] = cv2.resize(part, (10, 10), interpolation=cv2.INTER_AREA)
    return image


def test_taps_that_are_no_numbers_say_nothing(detnet: DetNet) -> None:
    shapes = {"features_28": (1, 40, 28, 28), "features_14": (1, 112, 14, 14), "features_7": (1, 192, 7, 7)}
    taps = {name: np.full(shapes[name], np.nan, np.float32) for name in TAPS}
    assert detnet.read(taps, np.array([100.0, 100.0, 50.0, 50.0, 0.0]), mirrored=False) is None


def test_points_far_apart_are_detnets_and_near_ones_are_shared(pair: list[SeenHand]) -> None:
    said = learned(pair[0])
    blend = replace(Blend.plain(), patience=2.0)
    near = joined(said.points + 0.01, said, blend)
    np.testing.assert_allclose(near, said.points + 0.005, atol=1e-3)
    far = joined(said.points + 1000.0, said, blend)
    assert np.abs(far - said.points).max() < 30.0


def test_a_blend_without_doubt_takes_the_given_shares(pair: list[SeenHand]) -> None:
    seen = pair[0]
    said, camera = learned(seen), Camera.estimated(640, 480)
    only_theirs, only_ours = (replace(Blend.plain(), picture=share, depth=share) for share in (0.0, 1.0))
    np.testing.assert_allclose(blended_points(seen, said, only_theirs, camera)[0], seen.screen[:, :2])
    pixels, form = blended_points(seen, said, only_ours, camera)
    np.testing.assert_allclose(pixels, said.points)
    assert (form[0] == 0).all() and np.linalg.norm(form[[5, 9, 13, 17]], axis=1).mean() == pytest.approx(1.0)


def test_easy_hands_stay_as_mediapipe_sees_them_and_contradicted_ones_do_not(pair: list[SeenHand]) -> None:
    seen, camera, size = pair[0], Camera.estimated(640, 480), (640, 480)
    said = learned(seen)
    blend = Blend.plain()
    agreeing = replace(seen, learned=replace(said, points=seen.screen[:, :2] + 1.0))
    trust = mediapipe_trust(agreeing, learned(agreeing), blend, size)
    assert trust > 0.95, "the picture shows hands that are easy to see"
    alone = observed(seen, camera, None, motion=0.0, size=size)
    kept = observed(agreeing, camera, blend, motion=0.0, size=size, easy_kept=True)
    np.testing.assert_allclose(kept.points2d, alone.points2d, atol=0.1)
    np.testing.assert_allclose(kept.points3d, alone.points3d, atol=0.1)
    # DetNet sees the hand half its size away: what is told is what the blend says of every hand.
    box = float(np.ptp(seen.screen[:, :2], axis=0).max())
    contradicted = replace(seen, learned=replace(said, points=seen.screen[:, :2] + [box / 2, 0.0]))
    assert mediapipe_trust(contradicted, learned(contradicted), blend, size) < 0.01
    told = observed(contradicted, camera, blend, motion=0.0, size=size, easy_kept=True)
    np.testing.assert_allclose(
        told.points2d, observed(contradicted, camera, blend, motion=0.0, size=size).points2d, atol=0.01 * box
    )


def test_of_easy_hands_detnet_is_not_asked(picture: np.ndarray, pair: list[SeenHand]) -> None:
    runtime = Runtime.choose("cpu", 1)
    detnet = DetNet.load(runtime)
    asked = {}
    for name, easy in (("all", None), ("hard", is_easy), ("none", lambda seen, size: True)):
        network = HandNetwork(runtime, detnet, is_easy=easy)
        asked[name] = [hand.learned is not None for hand in network.look(picture, [h.crop for h in pair], [1.0, 0.0])]
    assert asked["all"] == [True, True] and asked["none"] == [False, False]
    size = (picture.shape[1], picture.shape[0])
    assert asked["hard"] == [mediapipe_confidence(hand, size) < 0.9 for hand in pair]


def test_points_that_are_inferred_are_told_and_count_half(pair: list[SeenHand]) -> None:
    camera, said = Camera.estimated(640, 480), learned(pair[0])
    visible = np.linspace(0.0, 1.0, 21)
    seen = replace(pair[0], learned=replace(said, visible=visible))
    told = observed(seen, camera, Blend.plain(), motion=0.0, size=(640, 480)).visibility
    np.testing.assert_allclose(told, 0.5 + 0.5 * visible)
    assert (observed(seen, camera, None, motion=0.0, size=(640, 480)).visibility == 1.0).all()


def test_constants_survive_the_file_and_others_are_refused() -> None:
    blend = replace(Blend.plain(), patience=3.0, sigma_2d=0.7, confidence=np.arange(5.0))
    again = Blend.from_text(blend.to_text())
    assert again.sigma_2d == 0.7 and (again.confidence == np.arange(5.0)).all()
    wrong_shape = blend.to_text().replace("[0.0, 1.0, 2.0, 3.0, 4.0]", "[1.0]")
    for text in ("", "{}", blend.to_text().replace("0.7", "NaN"), wrong_shape):
        with pytest.raises(ModelFileError, match="install HandMocap again"):
            Blend.from_text(text)


@pytest.mark.parametrize("broken", ["missing", "altered"])
def test_without_its_file_mediapipe_sees_alone_and_one_sentence_says_so(
    broken: str, picture: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models"
    shutil.copytree(MODELS_FOLDER, folder)
    path = folder / "detnet.onnx"
    if broken == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(runtime_module, "model_file", partial(model_file, folder=folder))
    network, note = load_or_explain(Runtime.choose("cpu", 1))
    assert network is None
    assert note.startswith("MediaPipe's eyes see alone") and "detnet.onnx" in note and "\n" not in note
    seer = Seer(Camera.estimated(picture.shape[1], picture.shape[0]), CPU)
    assert seer.notes == [note]
    assert len(seer.step(picture, time=0.0)) == 2


def test_both_eyes_find_the_same_hands_a_little_apart(picture: np.ndarray) -> None:
    camera = Camera.estimated(picture.shape[1], picture.shape[0])
    both = [dict(Seer(camera, replace(CPU, eyes=eyes)).step(picture, time=0.0)) for eyes in ("detnet", "mediapipe")]
    assert len(both[0]) == len(both[1]) == 2
    for ours, theirs in zip(both[0].values(), both[1].values(), strict=True):
        assert (ours.right > 0.5) == (theirs.right > 0.5)
        box = np.ptp(theirs.points2d, axis=0).max()
        assert 0.0 < np.abs(ours.points2d - theirs.points2d).mean() < 0.1 * box
