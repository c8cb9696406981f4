# SPDX-License-Identifier: GPL-3.0-or-later
"""Tracks through clips made by moving a drawn picture of two hands."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from blender_handmocap.engine.footage_pictures import read_picture
from blender_handmocap.engine.models import MODELS_FOLDER
from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.landmarks import HandNetwork
from blender_handmocap.engine.see.palms import PalmDetector
from blender_handmocap.engine.see.search import Area, SearchPlan, tiles_of
from blender_handmocap.engine.see.tracker import TrackedHand, Tracker, are_same_hand

pytestmark = pytest.mark.skipif(
    not (MODELS_FOLDER / "mediapipe_hand.onnx").exists(), reason="the networks are made by `build.py models`"
)

GREY = np.full((360, 480, 3), 110, np.uint8)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    image = read_picture(Path(__file__).parent / "data" / "see" / "two_hands.png")
    assert image is not None
    return image


@pytest.fixture(scope="module")
def networks() -> tuple[PalmDetector, HandNetwork]:
    runtime = Runtime.choose("cpu", 1)
    return PalmDetector(runtime), HandNetwork(runtime)


def tracker(networks: tuple[PalmDetector, HandNetwork], **choices) -> Tracker:
    area = choices.pop("area", Area())
    return Tracker(*networks, SearchPlan(**{"interval": 2, **choices}), area)


def shifted(image: np.ndarray, x: int) -> np.ndarray:
    return np.roll(image, x, axis=1)


def right_half(image: np.ndarray) -> np.ndarray:
    """Only the hand on the right of the picture."""
    half = GREY.copy()
    half[:, 300:] = image[:, 300:]
    return half


def watch(eyes: Tracker, pictures: list[np.ndarray]) -> list[list[TrackedHand]]:
    return [eyes.step(image, index / 30) for index, image in enumerate(pictures)]


def test_two_moving_hands_are_two_tracks(networks: tuple, picture: np.ndarray) -> None:
    found = watch(tracker(networks), [shifted(picture, -4 * i) for i in range(12)])
    assert [sorted(hand.track for hand in hands) for hands in found[2:]] == [[0, 1]] * 10
    for before, after in itertools.pairwise(found[3:]):
        for old, new in zip(before, after, strict=True):
            moved = (new.seen.screen - old.seen.screen)[:, 0].mean()
            assert moved == pytest.approx(-4, abs=2.5)


def test_a_single_hand_is_never_reported_twice(networks: tuple, picture: np.ndarray) -> None:
    eyes = tracker(networks, interval=1, tiles_at_once=9)
    found = watch(eyes, [shifted(right_half(picture), -3 * (i % 5)) for i in range(10)])
    assert [len(hands) for hands in found[1:]] == [1] * 9
    assert {hand.track for hands in found for hand in hands} == {0}


def test_a_hand_that_returns_soon_is_the_same_track(networks: tuple, picture: np.ndarray) -> None:
    one = right_half(picture)
    found = watch(tracker(networks), [one] * 4 + [GREY] * 5 + [one] * 6)
    assert not any(found[5:9])
    assert {hand.track for hands in found for hand in hands} == {0}
    assert found[-1]


def test_a_hand_that_returns_late_is_a_new_track(networks: tuple, picture: np.ndarray) -> None:
    one = right_half(picture)
    eyes = tracker(networks)
    for time in (0.0, 0.03, 0.06):
        eyes.step(one, time)
    for time in (1.0, 2.0, 3.0):
        eyes.step(GREY, time)
    later = [eyes.step(one, 3.1 + 0.03 * i) for i in range(3)][-1]
    assert [hand.track for hand in later] == [1]


def test_still_hands_keep_their_crop(networks: tuple, picture: np.ndarray) -> None:
    random = np.random.default_rng(0)
    noisy = [
        np.clip(right_half(picture) + random.normal(0, 3, picture.shape), 0, 255).astype(np.uint8) for _ in range(12)
    ]
    crops = [hands[0].seen.crop for hands in watch(tracker(networks), noisy)[4:]]
    same = sum(bool((a == b).all()) for a, b in itertools.pairwise(crops))
    assert same >= len(crops) - 3


def test_region_and_ignored_boxes_choose_the_performer(networks: tuple, picture: np.ndarray) -> None:
    region = tracker(networks, area=Area(480, 360, region=(0.6, 0.0, 1.0, 1.0)))
    ignored = tracker(networks, area=Area(480, 360, ignore=((0.6, 0.0, 1.0, 1.0),)))
    inside = watch(region, [picture] * 3)[-1]
    outside = watch(ignored, [picture] * 3)[-1]
    assert [hand.seen.screen[:, 0].mean() > 288 for hand in inside] == [True]
    assert [hand.seen.screen[:, 0].mean() > 288 for hand in outside] == [False]


def test_palms_are_not_searched_while_both_hands_are_followed(networks: tuple, picture: np.ndarray) -> None:
    eyes = tracker(networks, interval=1)
    watch(eyes, [picture] * 3)
    plan = eyes.plan
    assert plan.searches(picture, 2, []) == []
    assert len(plan.searches(picture, 1, [])) >= 1


def test_searches_wait_their_interval_unless_a_hand_was_just_lost() -> None:
    plan = SearchPlan(interval=5, tiles_at_once=0)
    searched = []
    for _ in range(11):
        searched.append(len(plan.searches(GREY, 1, [])))
        plan.learn(1)
    assert searched == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    plan.learn(2)
    crop = np.array([100.0, 100.0, 80.0, 80.0, 0.0])
    near = plan.searches(GREY, 1, [crop])
    assert len(near) == 1 and near[0].part is not None and near[0].threshold < 0.5


def test_what_is_long_not_there_is_searched_more_rarely_until_a_hand_comes_or_goes() -> None:
    plan = SearchPlan(interval=1, patience=4, longest_interval=3, tiles_at_once=0)
    plan.learn(1)

    def searched(pictures: int, hands: int) -> list[int]:
        found = []
        for _ in range(pictures):
            found.append(len(plan.searches(GREY, hands, [])))
            plan.learn(hands)
        return found

    assert searched(4, 1) == [1, 1, 1, 1]
    assert searched(8, 1) == [0, 1] * 4
    assert searched(30, 1) == [0, 0, 1] * 10
    assert searched(4, 2) == [0, 0, 0, 0]
    assert searched(6, 1) == [1, 1, 1, 1, 1, 0]


def test_offline_somebody_else_is_looked_for_now_and_then() -> None:
    plan = SearchPlan(most_hands=4, interval=1, idle_interval=10, tiles_at_once=0)
    searched = []
    for _ in range(25):
        searched.append(len(plan.searches(GREY, 2, [])))
        plan.learn(2)
    assert sum(searched) == 3 and not plan.searches(GREY, 4, [])


def test_tiles_cover_the_picture() -> None:
    covered = np.zeros((480, 640), int)
    for x, y, side, _, _ in tiles_of(640, 480):
        assert x - side / 2 >= -1e-6 and x + side / 2 <= 640 + 1e-6
        covered[int(y - side / 2) : int(np.ceil(y + side / 2)), int(x - side / 2) : int(np.ceil(x + side / 2))] += 1
    assert covered.min() >= 1
    assert tiles_of(50, 40) == []


def test_same_hand_is_told_from_its_neighbour(networks: tuple, picture: np.ndarray) -> None:
    hands = watch(tracker(networks), [picture] * 2)[-1]
    assert are_same_hand(hands[0].seen, hands[0].seen)
    assert not are_same_hand(hands[0].seen, hands[1].seen)
