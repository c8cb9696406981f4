# SPDX-License-Identifier: GPL-3.0-or-later
"""Sides of made-up tracks whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from blender_handmocap.engine.see.identity import NOBODY, SideAssigner, Sightings, decide_sides
from blender_handmocap.engine.see.observation import Observation

LEFT, RIGHT = 0, 1
SHAPE = np.random.default_rng(3).uniform(-50, 50, (21, 2))


@dataclass
class Story:
    """Rows of tracks, told in any order."""

    rows: list[tuple] = field(default_factory=list)
    odds: dict[tuple[int, int], float] = field(default_factory=dict)
    """what the network of both hands says of a frame and track"""

    def tell(
        self, track: int, frames: range, place, *, right: float, confidence: float = 0.8, size: float = 1.0
    ) -> Story:
        """A track at place(frame) (2,) with the network's probability of a right hand."""
        for frame in frames:
            points = SHAPE * size + np.asarray(place(frame), float)
            self.rows.append((frame, track, right, confidence, points))
        return self

    def sightings(self) -> Sightings:
        rows = sorted(self.rows, key=lambda row: (row[0], row[1]))
        frame, track, right, confidence, points = (np.array(column) for column in zip(*rows, strict=True))
        return Sightings(
            frame=frame, time=frame / 30.0, track=track, right=right, confidence=confidence, points=points,
            odds=np.array([self.odds.get((int(f), int(t)), 0.0) for f, t in zip(frame, track, strict=True)]),
        )  # fmt: skip

    def labels(self, **options) -> dict[tuple[int, int], int]:
        seen = self.sightings()
        found = decide_sides(seen, **options)
        return {(int(f), int(t)): int(label) for f, t, label in zip(seen.frame, seen.track, found, strict=True)}


def still(x: float, y: float = 200.0):
    return lambda _frame: (x, y)


def test_two_hands_keep_their_sides() -> None:
    labels = Story().tell(0, range(60), still(100), right=0.95).tell(1, range(60), still(400), right=0.05).labels()
    assert {label for (_, track), label in labels.items() if track == 0} == {RIGHT}
    assert {label for (_, track), label in labels.items() if track == 1} == {LEFT}


def test_handedness_that_wavers_does_not_change_the_side() -> None:
    story = Story().tell(1, range(60), still(400), right=0.05)
    random = np.random.default_rng(0)
    for frame in range(60):
        story.tell(0, range(frame, frame + 1), still(100), right=0.9 if random.random() < 0.7 else 0.1)
    assert {label for (_, track), label in story.labels().items() if track == 0} == {RIGHT}


def test_two_tracks_that_both_look_right_are_still_two_sides() -> None:
    labels = Story().tell(0, range(60), still(100), right=0.95).tell(1, range(60), still(400), right=0.6).labels()
    assert labels[30, 0] == RIGHT and labels[30, 1] == LEFT


def test_no_side_is_given_twice_in_a_picture() -> None:
    story = Story()
    for track in range(4):
        story.tell(track, range(10 * track, 60), still(150.0 * track), right=0.97, confidence=0.6 + 0.1 * track)
    labels = story.labels()
    for frame in range(60):
        given = [label for (f, _), label in labels.items() if f == frame and label != NOBODY]
        assert len(given) == len(set(given))


def test_a_hand_that_leaves_and_returns_is_the_same() -> None:
    labels = (
        Story()
        .tell(0, range(30), still(100), right=0.9)
        .tell(5, range(70, 100), still(120), right=0.6)
        .tell(1, range(100), still(400), right=0.1)
        .labels()
    )
    assert labels[80, 5] == RIGHT and labels[80, 1] == LEFT


def test_tracks_that_swap_hands_while_crossing_are_unswapped() -> None:
    # Track 0 starts on the right hand; when the hands meet at frame 40 the tracks change places.
    def right_hand(frame: int) -> tuple[float, float]:
        return (100.0 + 5 * frame, 200.0)

    def left_hand(frame: int) -> tuple[float, float]:
        return (500.0 - 5 * frame, 200.0)

    story = Story()
    story.tell(0, range(40), right_hand, right=0.95).tell(1, range(40), left_hand, right=0.05)
    story.tell(0, range(40, 80), left_hand, right=0.05).tell(1, range(40, 80), right_hand, right=0.95)
    labels = story.labels()
    for frame in (*range(30), *range(50, 80)):
        right_track = 0 if frame < 40 else 1
        assert labels[frame, right_track] == RIGHT and labels[frame, 1 - right_track] == LEFT


def test_hands_that_cross_with_uncertain_handedness_follow_their_motion() -> None:
    story = Story()
    story.tell(0, range(80), lambda f: (100.0 + 5 * f, 200.0), right=0.7)
    story.tell(1, range(80), lambda f: (500.0 - 5 * f, 260.0), right=0.3)
    labels = story.labels()
    assert {label for (_, track), label in labels.items() if track == 0} == {RIGHT}


def test_a_false_hand_is_left_out() -> None:
    labels = (
        Story()
        .tell(0, range(60), still(100), right=0.9)
        .tell(9, range(20, 22), still(600, 20), right=0.5, confidence=0.05)
        .labels()
    )
    assert labels[20, 9] == NOBODY


@pytest.mark.parametrize(("at_first", "stays"), [(0.1, False), (0.6, True)])
def test_a_track_that_is_never_seen_well_is_no_hand(at_first: float, stays: bool) -> None:
    labels = (
        Story()
        .tell(0, range(20), still(100), right=0.95)
        .tell(9, range(4, 8), still(400), right=0.3, confidence=at_first)
        .tell(9, range(8, 20), still(400), right=0.3, confidence=0.1)
        .labels()
    )
    # A hand that was seen well keeps the pictures in which it is not.
    assert {labels[frame, 9] for frame in range(4, 20)} == {LEFT if stays else NOBODY}
    still_pictures = Story().tell(9, range(3), still(400), right=0.1, confidence=0.1).labels(ordered=False)
    assert set(still_pictures.values()) == {LEFT}


@pytest.mark.parametrize(("frames", "clip", "stays"), [(2, 60, False), (8, 60, True), (2, 10, True)])
def test_a_glimpse_of_a_second_hand_is_none_in_a_whole_clip(frames: int, clip: int, stays: bool) -> None:
    labels = (
        Story()
        .tell(0, range(clip), still(100), right=0.9)
        .tell(9, range(4, 4 + frames), still(300), right=0.1, confidence=0.9)
        .labels()
    )
    assert labels[4, 9] == (LEFT if stays else NOBODY) and labels[4, 0] == RIGHT


def test_the_nearer_person_is_the_performer() -> None:
    story = Story()
    story.tell(0, range(60), still(150), right=0.95).tell(1, range(60), still(350), right=0.05)
    story.tell(2, range(60), still(600), right=0.95, size=0.4).tell(3, range(60), still(700), right=0.05, size=0.4)
    labels = story.labels()
    assert (labels[30, 0], labels[30, 1], labels[30, 2], labels[30, 3]) == (RIGHT, LEFT, NOBODY, NOBODY)


@pytest.mark.parametrize(("hands", "expected"), [("right", {RIGHT, NOBODY}), ("left", {LEFT, NOBODY})])
def test_only_the_wanted_hand(hands: str, expected: set[int]) -> None:
    labels = (
        Story()
        .tell(0, range(60), still(100), right=0.95)
        .tell(1, range(60), still(400), right=0.05)
        .labels(hands=hands)
    )
    assert set(labels.values()) == expected
    assert labels[30, 0 if hands == "right" else 1] != NOBODY


def test_stills_are_decided_each_alone() -> None:
    story = Story()
    for frame in range(6):
        story.tell(frame, range(frame, frame + 1), still(100.0 * frame), right=0.95 if frame % 2 else 0.05)
    labels = story.labels(ordered=False)
    assert [labels[frame, frame] for frame in range(6)] == [LEFT, RIGHT] * 3


def test_nothing_seen_is_nothing_decided() -> None:
    empty = np.zeros(0)
    nothing = Sightings(empty.astype(int), empty, empty.astype(int), empty, empty, np.zeros((0, 21, 2)), empty)
    assert len(decide_sides(nothing)) == 0


def test_what_the_network_of_both_hands_says_counts_where_the_eyes_do_not_know() -> None:
    for said, sides in ((1.0, (LEFT, RIGHT)), (-1.0, (RIGHT, LEFT))):
        story = Story().tell(0, range(10), still(200.0), right=0.5).tell(1, range(10), still(420.0), right=0.5)
        story.odds = {(frame, track): said * (2 * track - 1) for frame in range(10) for track in (0, 1)}
        assert [story.labels()[4, track] for track in (0, 1)] == list(sides)


def test_eyes_that_are_sure_stand_against_one_word() -> None:
    story = Story().tell(0, range(30), still(200.0), right=0.98)
    story.odds[3, 0] = -50.0
    assert set(story.labels().values()) == {RIGHT}


def observation(right: float, confidence: float = 0.8) -> Observation:
    return Observation(
        right=right, presence=0.9, confidence=confidence, points2d=SHAPE, sigma2d=np.ones(21),
        points3d=np.zeros((21, 3)), sigma3d=np.ones(21), visibility=np.ones(21), crop=np.zeros(5),
    )  # fmt: skip


def test_online_a_track_keeps_its_side_through_doubt() -> None:
    assigner = SideAssigner()
    for _ in range(20):
        assigner.assign([(0, observation(0.95)), (1, observation(0.05))])
    for _ in range(8):
        sides = assigner.assign([(0, observation(0.3)), (1, observation(0.6))])
    assert sides["right"].right == 0.3 and sides["left"].right == 0.6


def test_online_swapped_tracks_are_put_right() -> None:
    assigner = SideAssigner()
    for _ in range(5):
        assigner.assign([(0, observation(0.95)), (1, observation(0.05))])
    for _ in range(40):
        sides = assigner.assign([(0, observation(0.05)), (1, observation(0.95))])
    assert sides["right"].right == 0.95 and sides["left"].right == 0.05


def test_online_a_single_hand_is_one_side_only() -> None:
    assigner = SideAssigner()
    for frame in range(30):
        sides = assigner.assign([(frame // 10, observation(0.9))])
        assert list(sides) == ["right"]


def test_online_somebody_elses_hand_is_left_aside() -> None:
    assigner = SideAssigner()
    for _ in range(10):
        assigner.assign([(0, observation(0.95)), (1, observation(0.05))])
    assigner.assign([(1, observation(0.05)), (7, observation(0.05))])
    for _ in range(5):
        sides = assigner.assign([(1, observation(0.05)), (7, observation(0.02))])
    assert sides["left"].right == 0.05


def test_online_only_the_wanted_hand() -> None:
    assigner = SideAssigner(hands="left")
    sides = assigner.assign([(0, observation(0.95)), (1, observation(0.05))])
    assert list(sides) == ["left"]


def test_a_second_hand_that_looks_a_little_like_the_first_ones_side_is_the_performers() -> None:
    for right, others in ((0.1, {RIGHT}), (0.02, {NOBODY})):
        story = Story().tell(0, range(10), still(100), right=0.02, confidence=0.9)
        story.tell(1, range(10), still(400), right=right)
        labels = story.labels()
        assert {label for (_, track), label in labels.items() if track == 0} == {LEFT}
        assert {label for (_, track), label in labels.items() if track == 1} == others


def test_two_tracks_that_take_turns_on_one_blurred_hand_are_one_side() -> None:
    story = Story().tell(0, range(11), still(100), right=0.9)
    for frames in (range(18, 19), range(25, 27)):
        story.tell(0, frames, still(104), right=0.5, confidence=0.5)
    # Found a second time while the first track loses it, and unsure of its side for long.
    story.tell(1, range(9, 27), still(108), right=0.45, confidence=0.4).tell(1, range(27, 36), still(100), right=0.9)
    labels = story.labels()
    assert LEFT not in labels.values()
    assert all(any(labels.get((frame, track)) == RIGHT for track in (0, 1)) for frame in range(36))


def test_a_hand_laid_upon_the_other_one_is_a_hand_of_its_own() -> None:
    story = Story().tell(0, range(30), still(100), right=0.9).tell(1, range(10, 30), still(115), right=0.3)
    labels = story.labels()
    assert {label for (_, track), label in labels.items() if track == 1} == {LEFT}
