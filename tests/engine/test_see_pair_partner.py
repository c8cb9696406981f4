# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a single hand had a partner, over a clip: against the sum over every way of coming and going."""

import itertools

import numpy as np
import pytest

from blender_handmocap.engine.see.pair_partner import paired

RATE = 30.0


def asked(said: list[float], both: tuple[int, ...] = (), rate: float = RATE) -> np.ndarray:
    """The answer where something was said in every frame that is not nan."""
    chance = np.array(said)
    frame = np.flatnonzero(np.isfinite(chance))
    seen = np.isin(np.arange(len(said)), both)
    return paired(np.arange(len(said)) / rate, seen, frame, chance[frame])


def test_it_is_the_sum_over_all_ways_of_coming_and_going() -> None:
    random = np.random.default_rng(0)
    said = random.uniform(0.1, 0.9, 7)
    evidence = np.log(said / (1 - said)) * 15.0 / RATE
    change = 0.5 - 0.5 * np.exp(-1.0 / RATE)
    there, total = np.zeros(7), 0.0
    for way in itertools.product((0, 1), repeat=7):
        state = np.array(way)
        switches = int((state[1:] != state[:-1]).sum())
        weight = change**switches * (1 - change) ** (6 - switches) * np.exp((evidence * state).sum())
        total += weight
        there += weight * state
    np.testing.assert_allclose(asked(said.tolist()), there / total, rtol=1e-6)


def test_a_moment_against_all_others_is_not_believed() -> None:
    said = np.full(30, 0.03)
    said[14:16] = 0.98
    assert (asked(said.tolist()) < 0.5).all()
    assert (asked((1 - said).tolist()) > 0.5).all()


def test_a_hand_may_come_in_and_go() -> None:
    said = np.concatenate([np.full(15, 0.05), np.full(15, 0.9), np.full(15, 0.05)])
    believed = asked(said.tolist()) > 0.5
    np.testing.assert_array_equal(believed, said > 0.5)


def test_many_a_little_sure_are_sure_and_frames_in_which_both_were_seen_speak_for_it() -> None:
    assert (asked([0.65] * 30) > 0.95).all() and (asked([0.35] * 30) < 0.05).all()
    alone = asked([0.5] * 4)
    np.testing.assert_allclose(alone, 0.5)
    assert (asked([0.5] * 4 + [np.nan] * 4, both=(4, 5, 6, 7)) > alone.max()).all()


def test_an_answer_holds_where_nobody_is_asked_for_a_moment_only() -> None:
    sparse = [0.02, *[np.nan] * 4] * 4
    assert (asked([*sparse, 0.95, 0.95]) < 0.5).all()
    # Long afterwards nothing is known any more.
    long_ago = asked([0.02, *[np.nan] * 80])
    assert long_ago[0] < 0.3 and long_ago[-1] > 0.45


@pytest.mark.parametrize("rate", [15.0, 60.0])
def test_how_many_pictures_a_second_there_are_hardly_matters(rate: float) -> None:
    slow, fast = asked([0.8] * 10), asked([0.8] * int(10 * rate / RATE), rate=rate)
    assert fast.mean() == pytest.approx(slow.mean(), abs=0.06)


def test_one_picture_and_nothing_said_and_certainties_are_numbers() -> None:
    assert 0.5 < asked([0.9])[0] < 1.0
    np.testing.assert_allclose(asked([np.nan] * 3), 0.5)
    for said in ([0.0] * 50, [1.0] * 50):
        assert np.isfinite(asked(said)).all()
