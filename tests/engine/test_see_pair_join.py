# SPDX-License-Identifier: GPL-3.0-or-later
"""What was read of both hands joins a take: by precision, only where it fits, and nothing else changes."""

from dataclasses import fields, replace

import numpy as np
import pytest

from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.see.observation import Observation
from blender_handmocap.engine.see.pair_calibration import Calibration
from blender_handmocap.engine.see.pair_crop import PairReading
from blender_handmocap.engine.see.pair_join import PairUse, Readings, held, with_live, with_readings
from blender_handmocap.engine.see.records import Records, joined
from blender_handmocap.engine.take import HandTrack, State, Take

FRAMES = 4
SURE = replace(Calibration.plain(), confidence=np.array([5.0, 0.0, 0.0, 0.0]))
MIDDLE = {"left": np.array([200.0, 200.0]), "right": np.array([300.0, 220.0])}


def hand_points(side: str) -> np.ndarray:
    """Keypoints (21, 2) of a hand of about 100 pixels."""
    return np.random.default_rng(SIDES.index(side)).uniform(-50, 50, (21, 2)) + MIDDLE[side]  # type: ignore[arg-type]


def hand_form(side: str) -> np.ndarray:
    form = np.random.default_rng(7 + SIDES.index(side)).normal(size=(21, 3))  # type: ignore[arg-type]
    form -= form[0]
    return form / np.linalg.norm(form[[5, 9, 13, 17]], axis=-1).mean()


def take_with(sides: tuple[str, ...], shift: float = 0.0) -> Take:
    tracks = {side: HandTrack.absent(FRAMES) for side in SIDES}
    for side in sides:
        tracks[side] = replace(
            tracks[side],
            state=np.full(FRAMES, State.SEEN, np.uint8),
            confidence=np.full(FRAMES, 0.6),
            seen2d=np.tile(hand_points(side) + shift, (FRAMES, 1, 1)),
            seen2d_sigma=np.full((FRAMES, 21), 4.0),
            seen3d=np.tile(hand_form(side), (FRAMES, 1, 1)),
            seen3d_sigma=np.full((FRAMES, 21), 0.1),
            visibility=np.ones((FRAMES, 21)),
        )
    return Take(
        meta={"width": 640, "height": 480},
        frame=np.arange(FRAMES, dtype=np.int32),
        time=np.arange(FRAMES) / 30.0,
        K=np.eye(3),
        dist=np.zeros(5),
        left=tracks["left"],
        right=tracks["right"],
        betas=np.zeros(10),
        size=0.09,
    )


def a_reading(error: float = 4.0, together: float = 0.95) -> PairReading:
    contact = np.zeros((6, 6))
    contact[1, 2] = 0.9
    return PairReading(
        crop=np.array([250.0, 210.0, 300.0, 300.0, 0.0]),
        points=np.stack([hand_points(side) for side in SIDES]),
        error=np.full((2, 21), error),
        form=np.stack([hand_form(side) for side in SIDES]),
        form_error=np.full((2, 21), 0.1),
        visible=np.ones((2, 21)),
        vector=np.array([-1.0, 0.2, 0.1]),
        sigma=np.array([0.1, 0.1, 0.2]),
        contact=contact,
        present=np.array([0.9, 0.9]),
        together=together,
        left_nearer=0.5,
    )


def readings(frames: list[int], reading: PairReading) -> Readings:
    records = Records()
    for frame in range(FRAMES):
        records.append(frame, frame / 30.0, [], reading if frame in frames else None)
    return Readings.of(joined([records.arrays()]))


def test_records_keep_what_was_read() -> None:
    read = readings([1, 3], a_reading())
    assert read.frame.tolist() == [1, 3]
    for name in ("points", "form", "vector", "contact", "together"):
        np.testing.assert_allclose(getattr(read, name)[1], getattr(a_reading(), name), rtol=1e-6)
    assert len(readings([], a_reading())) == 0


def test_equal_errors_meet_in_the_middle_and_surer_points_count_more() -> None:
    take = take_with(SIDES, shift=2.0)
    even = with_readings(take, readings([1], a_reading(4.0)), SURE)
    moved = np.linalg.norm(even.left.seen2d[1] - hand_points("left"), axis=-1)
    # A little less than half way: what lies off the reading is doubted.
    assert (moved < 0.51 * np.sqrt(8.0)).all() and (moved > 0.4 * np.sqrt(8.0)).all()
    surer = with_readings(take, readings([1], a_reading(1.0)), SURE)
    assert (np.linalg.norm(surer.left.seen2d[1] - hand_points("left"), axis=-1) < 0.2 * moved).all()
    assert (surer.left.seen2d_sigma[1] == 1.0).all()
    np.testing.assert_array_equal(surer.left.seen2d[0], take.left.seen2d[0])


def test_a_lost_hand_is_filled_where_the_other_one_fits() -> None:
    found = with_readings(take_with(("right",)), readings([1, 2], a_reading()), SURE, ordered=False)
    assert found.left.state.tolist() == [0, State.SEEN, State.SEEN, 0]
    np.testing.assert_allclose(found.left.seen2d[1], hand_points("left"), rtol=1e-5)
    assert found.left.visibility[1].min() == 1.0 and found.left.confidence[1] > 0.9
    elsewhere = with_readings(take_with(("right",), shift=90.0), readings([1, 2], a_reading()), SURE, ordered=False)
    assert not elsewhere.left.state.any()
    unsure = with_readings(take_with(("right",)), readings([1, 2], a_reading(together=0.6)), SURE, ordered=False)
    assert not unsure.left.state.any()
    weak = replace(SURE, confidence=-SURE.confidence)
    doubted = with_readings(take_with(("right",)), readings([1], a_reading()), weak, ordered=False)
    assert not doubted.left.state.any()


def test_a_pair_that_does_not_last_fills_nothing() -> None:
    take = _seen_first(take_with(SIDES))
    lasting = with_readings(take, readings([1, 2, 3], a_reading()), SURE)
    assert lasting.left.state.all()
    fleeting = with_readings(take, readings([3], a_reading()), SURE)
    np.testing.assert_array_equal(fleeting.left.state, take.left.state)


def test_a_hand_that_was_never_seen_otherwise_is_not_made_up() -> None:
    every = readings([0, 1, 2, 3], a_reading())
    assert not with_readings(take_with(("right",)), every, SURE).left.state.any()
    long_ago = replace(_seen_first(take_with(SIDES)), time=np.array([0.0, 1.0, 1.03, 1.06]))
    assert with_readings(long_ago, every, SURE).left.state.tolist() == [State.SEEN, 0, 0, 0]


def test_a_hand_that_was_seen_but_is_nobodys_may_be_filled() -> None:
    every = readings([0, 1, 2, 3], a_reading())
    one = take_with(("right",))
    two = np.array([False, True, False, False])
    assert with_readings(one, every, SURE, several=two).left.state.all()
    assert not with_readings(one, every, SURE, several=~two & False).left.state.any()


def partner_read(said: list[float]) -> Readings:
    """What was said of a partner in each frame: 0: not asked."""
    records = Records()
    for frame, chance in enumerate(said):
        reading = replace(a_reading(), partner=chance) if chance else None
        records.append(frame, frame / 30.0, [], reading)
    return Readings.of(joined([records.arrays()]))


def test_a_partner_that_nobody_saw_is_filled_where_the_clip_says_that_it_was_there() -> None:
    take = take_with(("right",), shift=2.0)
    found = with_readings(take, partner_read([0.95, 0.9, 0.9, 0.95]), SURE)
    assert found.left.state.all() and found.pair.valid.all()
    # The hand that was seen stays as it was seen.
    np.testing.assert_array_equal(found.right.seen2d, take.right.seen2d)
    # A moment's doubt is forgiven, also that of a doubtful look; a moment's belief is not enough.
    doubted = with_readings(take, partner_read([0.95, 0.9, 0.3, 0.95]), SURE)
    assert doubted.left.state.all()
    for said in ([0.0, 0.95, 0.0, 0.0], [0.02, 0.95, 0.02, 0.02], [0.3, 0.4, 0.3, 0.4]):
        fleeting = with_readings(take, partner_read(said), SURE)
        assert not fleeting.left.state.any() and (fleeting.pair is None or not fleeting.pair.valid.any())


def test_a_partner_that_was_surely_there_is_shown_though_its_points_are_hardly_known() -> None:
    take = take_with(("right",))
    vague = replace(SURE, confidence=np.array([-5.5, 0.0, 0.0, 0.0]))
    assert with_readings(take, partner_read([0.9] * 4), vague).left.state.all()
    both_told = with_readings(_seen_first(take_with(SIDES)), readings([1, 2, 3], a_reading()), vague)
    assert both_told.left.state.tolist() == [State.SEEN, 0, 0, 0]


def test_where_the_network_surely_sees_no_partner_nothing_is_filled() -> None:
    take = take_with(("right",))
    found = with_readings(take, partner_read([0.95, 0.95, 0.05, 0.95]), SURE)
    # A hole of one frame is bridged later; what was read there is of no hand.
    assert found.left.state.tolist() == [State.SEEN, State.SEEN, State.ABSENT, State.SEEN]


@pytest.mark.parametrize("confidence", [0.1, 0.6])
def test_a_hand_that_is_doubted_gives_way_to_a_partner_read_elsewhere(confidence: float) -> None:
    take = take_with(SIDES)
    away = replace(take.left, seen2d=take.left.seen2d + 200.0, confidence=np.full(FRAMES, confidence))
    take = replace(take, left=away)
    reading = replace(a_reading(), partner=0.95)
    found = with_readings(take, readings([0, 1, 2, 3], reading), SURE)
    if confidence < 0.3:
        np.testing.assert_allclose(found.left.seen2d[0], hand_points("left"), atol=1e-3)
        assert (found.left.confidence > confidence).all() and found.pair.valid.all()
    else:
        np.testing.assert_array_equal(found.left.seen2d, away.seen2d)
    # Nor does one that is less than certain take its place, likely as it is.
    likely = with_readings(take, readings([0, 1, 2, 3], replace(reading, partner=0.7)), SURE)
    np.testing.assert_array_equal(likely.left.seen2d, away.seen2d)
    # What was read of both as they were said to be changes no such hand, however it is doubted.
    plain = with_readings(take, readings([0, 1, 2, 3], a_reading()), SURE)
    np.testing.assert_array_equal(plain.left.seen2d, away.seen2d)


def test_what_was_seen_of_a_hand_gives_way_where_it_was_read_better_without_it() -> None:
    reading = replace(a_reading(), anew=(True, False))
    for shift in (0.0, 60.0):
        take = take_with(("left", "right"))
        take.left.seen2d[:] += shift
        take.left.seen2d_sigma[:] = 0.1
        out = with_readings(take, readings([0, 1, 2, 3], reading), SURE)
        np.testing.assert_allclose(out.left.seen2d[2], reading.points[0])
        np.testing.assert_allclose(out.left.seen2d_sigma[2], reading.error[0])
        # The other hand's points are joined as ever.
        assert out.right.seen2d_sigma[2].max() <= 4.0 and out.pair is not None and out.pair.valid.all()
    kept = with_readings(take, readings([0, 1, 2, 3], a_reading()), SURE)
    np.testing.assert_array_equal(kept.left.seen2d, take.left.seen2d)


def test_a_hole_that_is_bridged_anyway_is_not_filled() -> None:
    take = take_with(SIDES)
    state = take.left.state.copy()
    state[1:3] = State.ABSENT
    lost = replace(take, left=replace(take.left, state=state))
    joined_take = with_readings(lost, readings([0, 1, 2, 3], a_reading()), SURE)
    assert joined_take.left.state.tolist() == [State.SEEN, State.ABSENT, State.ABSENT, State.SEEN]
    # The same hand, lost for good.
    state = state.copy()
    state[3] = State.ABSENT
    lost = replace(take, left=replace(take.left, state=state))
    assert (with_readings(lost, readings([0, 1, 2, 3], a_reading()), SURE).left.state == State.SEEN).all()


def _seen_first(take: Take) -> Take:
    """The take with its left hand in the first picture alone."""
    state = np.where(np.arange(FRAMES) == 0, take.left.state, State.ABSENT).astype(np.uint8)
    return replace(take, left=replace(take.left, state=state))


def test_hands_of_the_other_side_are_left_alone() -> None:
    take = take_with(SIDES)
    swapped = replace(take, left=take.right, right=take.left)
    out = with_readings(swapped, readings([1], a_reading()), SURE)
    np.testing.assert_array_equal(out.left.seen2d, swapped.left.seen2d)
    assert out.pair is not None and not out.pair.valid.any()


def test_the_way_and_contact_are_written_and_each_use_has_its_switch() -> None:
    take = take_with(SIDES)
    read = readings([1, 2], a_reading())
    pair = with_readings(take, read, SURE).pair
    assert pair is not None and pair.valid.tolist() == [False, True, True, False]
    np.testing.assert_allclose(pair.vector[1], [-1.0, 0.2, 0.1], rtol=1e-6)
    assert pair.contact[1, 1, 2] == pytest.approx(0.9)
    silent = with_readings(take, read, SURE, PairUse(False, False, False, False))
    assert silent.pair is not None and not silent.pair.valid.any()
    for side in SIDES:
        for f in fields(HandTrack):
            np.testing.assert_array_equal(getattr(silent.track(side), f.name), getattr(take.track(side), f.name))
    no_contact = with_readings(take, read, SURE, PairUse(contact=False)).pair
    assert no_contact is not None and np.isnan(no_contact.contact[1]).all() and (no_contact.sigma[1] < 1.0).all()
    no_vector = with_readings(take, read, SURE, PairUse(vector=False)).pair
    assert no_vector is not None and (no_vector.sigma[1] > 100.0).all()
    assert with_readings(take, readings([], a_reading()), SURE) is take


def test_live_hands_are_joined_the_same_way() -> None:
    take = with_readings(take_with(("right",)), readings([1], a_reading()), SURE, ordered=False)
    seen = Observation(
        right=0.9, presence=0.9, confidence=0.6, points2d=hand_points("right"), sigma2d=np.full(21, 4.0),
        points3d=hand_form("right"), sigma3d=np.full(21, 0.1), visibility=np.ones(21), crop=np.zeros(5),
    )  # fmt: skip
    hands = with_live({"right": seen}, a_reading(), SURE, (640, 480))
    assert set(hands) == {"left", "right"}
    for side in SIDES:
        np.testing.assert_allclose(hands[side].points2d, take.track(side).seen2d[1], rtol=1e-5)
    assert hands["left"].right == 0.0 and hands["right"].right == 0.9


def test_a_contact_stays_until_it_is_clearly_over() -> None:
    said = np.zeros((7, 6, 6))
    said[:, 0, 0] = [0.3, 0.6, 0.4, 0.3, 0.2, 0.3, 0.6]
    time = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) / 30.0
    np.testing.assert_allclose(held(said, time)[:, 0, 0], [0.3, 0.6, 0.5, 0.5, 0.2, 0.3, 0.6])
    apart = held(said, time * 30.0)
    np.testing.assert_allclose(apart[:, 0, 0], said[:, 0, 0])
