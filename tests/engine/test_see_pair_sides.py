# SPDX-License-Identifier: GPL-3.0-or-later
"""Of which side a hand is, asked of the network that is shown more than one: on the bundled clip."""

from dataclasses import replace

import example_hands
import numpy as np
import pytest
from example_hands import needs_networks, picture

from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.see.clip import Seer
from blender_handmocap.engine.see.pair_crop import Expected
from blender_handmocap.engine.see.pair_given import SeenPair, exchanged
from blender_handmocap.engine.see.pair_watch import PairWatch
from blender_handmocap.engine.settings import Settings
from blender_handmocap.engine.take import Take

FRAMES = range(0, 180, 20)
pytestmark = needs_networks


@pytest.fixture(scope="module")
def pictures() -> dict[int, np.ndarray]:
    return {frame: picture(frame) for frame in FRAMES}


def hand(truth: Take, frame: int, slot: int, right: float) -> Expected:
    """As a tracker knows it that sees it well, but not of which side it is."""
    well = example_hands.hand(truth, frame, slot)
    # Eyes that take it for the other hand see its depth the other way round.
    form = well.form if (right >= 0.5) == (slot == 1) else well.form * [1.0, 1.0, -1.0]
    return replace(well, form=form, right=right)


def seen(known: tuple[bool, bool]) -> SeenPair:
    random = np.random.default_rng(0)
    return SeenPair(
        points=random.uniform(0, 1, (1, 2, 21, 2)),
        error=random.uniform(0, 1, (1, 2, 21)),
        form=random.normal(size=(1, 2, 21, 3)),
        form_error=random.uniform(0, 1, (1, 2, 21)),
        known=np.array([known]),
        focal=np.ones(1),
    )


def test_hands_exchanged_twice_are_as_they_were() -> None:
    one = seen((True, False))
    other = exchanged(one)
    assert other.known.tolist() == [[False, True]]
    np.testing.assert_array_equal(other.points[:, 1], one.points[:, 0])
    np.testing.assert_array_equal(other.form[:, 1, :, 2], -one.form[:, 0, :, 2])
    for name, values in vars(exchanged(other)).items():
        np.testing.assert_array_equal(values, getattr(one, name))


@pytest.mark.parametrize("slot", [0, 1])
def test_a_single_hand_is_told_right_whatever_it_was_taken_for(
    watch: PairWatch, truth: Take, camera: Camera, pictures: dict[int, np.ndarray], slot: int
) -> None:
    odds = np.array(
        [
            [watch.sides(image, [hand(truth, frame, slot, right)], camera)[0] for right in (0.3, 0.7)]
            for frame, image in pictures.items()
        ]
    )
    # The same is asked both ways, so that the answer hardly depends on what was believed: by so much as depths along
    # the picture's axis are not those along the crop's ray.
    np.testing.assert_allclose(odds[:, 0], odds[:, 1], atol=0.8, rtol=0.25)
    assert (np.sign(odds[:, 0]) == (1 if slot == 1 else -1)).mean() >= 0.8


def test_of_two_near_hands_one_is_the_right_one(
    watch: PairWatch, truth: Take, camera: Camera, pictures: dict[int, np.ndarray]
) -> None:
    told, wrongly = [], []
    for frame, image in pictures.items():
        left, right = hand(truth, frame, 0, 0.3), hand(truth, frame, 1, 0.7)
        told.append(watch.sides(image, [left, right], camera))
        left, right = hand(truth, frame, 0, 0.7), hand(truth, frame, 1, 0.3)
        wrongly.append(watch.sides(image, [left, right], camera))
    np.testing.assert_allclose(told, wrongly, atol=0.8)
    assert (np.array(told) @ [-1.0, 1.0] > 0).mean() >= 0.8


def test_nobody_is_asked_about_a_side_that_is_sure_nor_where_there_is_no_time(
    watch: PairWatch, truth: Take, camera: Camera, pictures: dict[int, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = pictures[FRAMES[0]]
    asked: list[int] = []
    monkeypatch.setattr(watch.network, "sides", lambda _, known, __: asked.append(len(known)) or 1.0)
    assert watch.sides(image, [hand(truth, 0, 1, 0.999)], camera) == [0.0] and not asked
    assert watch.sides(image, [hand(truth, 0, 0, 0.6)], camera) == [1.0] and len(asked) == 1
    # What speaks for its being the left one it is taken for speaks against a right one.
    assert watch.sides(image, [hand(truth, 0, 0, 0.4)], camera) == [-1.0]
    assert watch.sides(image, [], camera) == []
    live = PairWatch(watch.network, lost_only=True)
    assert live.sides(image, [hand(truth, 0, 0, 0.6)], camera) == [0.0] and len(asked) == 2


def test_two_near_hands_that_are_surely_of_one_side_are_asked_about(
    watch: PairWatch, truth: Take, camera: Camera, pictures: dict[int, np.ndarray]
) -> None:
    right_is_right = []
    for frame, image in pictures.items():
        left, right = hand(truth, frame, 0, 0.97), hand(truth, frame, 1, 0.99)
        odds = watch.sides(image, [left, right], camera)
        assert odds[0] == -odds[1]
        right_is_right += [odds[1] > 0] if odds[1] else []
    # In some pictures they are too far from each other for that.
    assert 3 <= len(right_is_right) < len(pictures) and np.mean(right_is_right) >= 0.8
    # One of each side, as sure as that, are in no doubt.
    both = [hand(truth, FRAMES[0], 0, 0.03), hand(truth, FRAMES[0], 1, 0.99)]
    assert watch.sides(pictures[FRAMES[0]], both, camera) == [0.0, 0.0]


def test_a_network_that_says_no_numbers_says_nothing(
    watch: PairWatch, truth: Take, camera: Camera, pictures: dict[int, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = watch.network._heads
    monkeypatch.setattr(
        watch.network, "_heads", lambda given: {name: value * np.nan for name, value in heads(given).items()}
    )
    assert watch.sides(pictures[FRAMES[0]], [hand(truth, 0, 0, 0.6)], camera) == [0.0]


@pytest.mark.parametrize("sure", [1e-6, 1.0 - 1e-6])
def test_however_sure_the_network_is_a_belief_moves_only_so_far(
    watch: PairWatch,
    truth: Take,
    camera: Camera,
    pictures: dict[int, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    sure: float,
) -> None:
    heads = watch.network._heads

    def certain(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        out = heads(given)
        state = out["state"].copy()
        state[:, -1] = [sure, 1.0 - sure]
        return {**out, "state": state}

    monkeypatch.setattr(watch.network, "_heads", certain)
    said = watch.sides(pictures[FRAMES[0]], [hand(truth, 0, 0, 0.6)], camera)
    assert said == pytest.approx([1.5 if sure > 0.5 else -1.5])


def test_what_is_said_is_kept_with_the_hand_and_told_to_its_track(
    truth: Take, camera: Camera, pictures: dict[int, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = FRAMES[1]
    seer = Seer(camera, Settings(threads=1))
    assert seer.watch is not None
    monkeypatch.setattr(seer.watch, "sides", lambda _, hands, __: [5.0 * (k + 1) for k in range(len(hands))])
    plain = Seer(camera, replace(Settings(threads=1), pair_eyes=False))
    found, before = seer.step(pictures[frame], time=0.0), plain.step(pictures[frame], time=0.0)
    assert [hand.side_odds for _, hand in found] == [5.0, 10.0] and [hand.side_odds for _, hand in before] == [0.0, 0.0]
    said = {track.id: track.right for track in seer._tracker.tracks}
    believed = {track.id: track.right for track in plain._tracker.tracks}
    for track, right in believed.items():
        # No single word makes a side certain.
        assert said[track] > right or right > 0.99
        assert right < said[track] < 0.999 or right > 0.99
    assert len(believed) == 2
