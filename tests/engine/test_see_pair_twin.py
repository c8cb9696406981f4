# SPDX-License-Identifier: GPL-3.0-or-later
"""One hand seen twice is told from two that lie over each other: in the bundled clip, whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from example_hands import hand, needs_networks, picture

from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.see.clip import Seer
from blender_handmocap.engine.see.pair_crop import Expected
from blender_handmocap.engine.see.pair_watch import PairWatch
from blender_handmocap.engine.settings import Settings
from blender_handmocap.engine.take import Take

APART, MEETING = 30, 100
"""frames in which the hands are far from each other, and in which they touch"""
pytestmark = needs_networks


def hands(truth: Take, frame: int) -> list[Expected]:
    return [hand(truth, frame, slot) for slot in range(len(SIDES))]


def seen_again(hand: Expected, right: float, away: float = 0.13) -> Expected:
    """The same hand as another look has it: some of its box beside it, of a side that is not known."""
    box = float(np.ptp(hand.points, axis=0).max())
    return replace(hand, points=hand.points + np.array([0.92, 0.38]) * away * box, right=right)


@pytest.mark.parametrize("side", [0, 1])
def test_a_hand_seen_twice_has_a_twin(watch: PairWatch, truth: Take, camera: Camera, side: int) -> None:
    hand = hands(truth, APART)[side]
    doubtful = seen_again(hand, 0.5)
    watch.last = (hand, doubtful)
    assert watch.twin(picture(APART), [doubtful, hand], camera) == 0
    assert watch.twin(picture(APART), [hand, doubtful], camera) == 1
    # Nor does the memory of a pair bring it back.
    assert watch.last is None


def test_hands_that_lie_over_each_other_are_two(watch: PairWatch, truth: Take, camera: Camera) -> None:
    left, right = hands(truth, MEETING)
    assert watch.twin(picture(MEETING), [replace(left, right=0.4), replace(right, right=0.6)], camera) is None
    assert watch.network.partner_beside(picture(MEETING), [left, right], camera) > 0.9


def test_what_is_sure_or_far_is_not_asked_about(watch: PairWatch, truth: Take, camera: Camera) -> None:
    asked = []
    watch.network.partner_beside = lambda *_: asked.append(1) or 0.0  # type: ignore[method-assign]
    left, right = hands(truth, APART)
    other = seen_again(left, 1.0, away=0.5)
    assert watch.twin(picture(APART), [left, right], camera) is None
    assert watch.twin(picture(APART), [left, other], camera) is None
    assert watch.twin(picture(APART), [left], camera) is None
    assert not asked
    assert watch.twin(picture(APART), [left, replace(other, right=0.5)], camera) == 1
    # What lies on a hand point by point is asked about whatever its side is said to be.
    assert watch.twin(picture(APART), [left, seen_again(left, 1.0)], camera) is not None
    assert len(asked) == 2


def test_what_is_hardly_seen_on_the_forearm_of_a_hand_is_none(
    watch: PairWatch, truth: Take, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = hands(truth, APART)[0]
    palm = left.points[0] - left.points[9]
    # Its knuckles point to the wrist, as where a sleeve begins.
    seam = replace(left, points=2 * left.points[0] - left.points + 0.5 * palm, right=1.0, confidence=0.4)
    image = picture(APART)
    assert watch.twin(image, [left, seam], camera) == 1
    assert watch.twin(image, [seam, left], camera) == 0
    # Neither is one that is seen well, nor one on the fingers' side, nor one beside a hand that is doubtful itself.
    assert watch.twin(image, [left, replace(seam, confidence=0.9)], camera) is None
    beyond = replace(seam, points=left.points - 2.5 * palm)
    assert watch.twin(image, [replace(left, right=0.01), replace(beyond, right=0.99)], camera) is None
    assert watch.twin(image, [replace(left, confidence=0.5), seam], camera) is None
    # Where the network sees a second hand, there is one.
    look = watch.network.look

    def two(*given: object) -> object:
        reading = look(*given)  # type: ignore[arg-type]
        return None if reading is None else replace(reading, together=0.3)

    monkeypatch.setattr(watch.network, "look", two)
    assert watch.twin(image, [left, seam], camera) is None


def test_a_twin_is_followed_no_longer(truth: Take, camera: Camera) -> None:
    seer = Seer(camera, Settings(eyes="both", device="cpu", threads=1))
    image = picture(APART)
    assert len(seer.step(image, time=0.0)) == 2
    tracker, kept = seer._tracker, hands(truth, APART)[0]
    mine = next(t for t in tracker.tracks if np.linalg.norm(t.points - kept.points, axis=-1).mean() < 30)
    twin = replace(mine, id=tracker.next_id, crop=mine.crop + np.array([20.0, 0.0, 0.0, 0.0, 0.3]), right=0.5)
    tracker.tracks, tracker.next_id = [*tracker.tracks, twin], tracker.next_id + 1
    tracker.adopted = [twin.id]
    tracker.give_up(twin.id, 0.0)
    assert [track.id for track in tracker.tracks] == [0, 1] and not tracker.adopted
    np.testing.assert_array_equal(tracker.refused[-1].crop, twin.crop)
    assert len(seer.step(image, time=1 / 30)) == 2
