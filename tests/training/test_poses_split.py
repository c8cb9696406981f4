# SPDX-License-Identifier: GPL-3.0-or-later
"""The split is fixed, covers what it names, and keeps the two sides apart."""

from __future__ import annotations

import numpy as np
import pytest

from training.footage import split

SKINS_OF_THE_FIRST_SIXTY = [6, 8, 9, 16, 25, 28, 39, 44, 47, 50, 52, 56]


def test_named_sources_follow_the_file():
    assert split.is_test("recording", "three-claps")
    assert not split.is_test("recording", "confidence2")
    assert split.is_test("family", "clasp") and split.is_test("family", "steeple")
    assert split.is_test("family", "hand_over_hand") and not split.is_test("family", "interlaced")


def test_an_alias_does_not_hide_a_pose():
    assert split.is_test("quest", "vulcan|\N{RAISED HAND WITH PART BETWEEN MIDDLE AND RING FINGERS}")
    assert not split.is_test("quest", "vulcan inverse")


@pytest.mark.parametrize("kind", ["skin", "background", "shape"])
def test_a_fifth_of_the_seeds_is_test(kind):
    chosen = [split.is_test(kind, seed) for seed in range(5000)]
    assert 0.18 < np.mean(chosen) < 0.22


def test_kinds_are_split_independently():
    skin = np.array([split.is_test("skin", seed) for seed in range(4000)])
    shape = np.array([split.is_test("shape", seed) for seed in range(4000)])
    assert abs(np.corrcoef(skin, shape)[0, 1]) < 0.05


def test_the_choice_never_changes():
    # Written down once: a change here would mix training and test material.
    assert [seed for seed in range(60) if split.is_test("skin", seed)] == SKINS_OF_THE_FIRST_SIXTY


@pytest.mark.parametrize("test", [True, False])
def test_drawn_seeds_lie_on_the_wanted_side(test):
    random = np.random.default_rng(5)
    seeds = [split.draw_seed("shape", random, test=test) for _ in range(50)]
    assert all(split.is_test("shape", seed) == test for seed in seeds)
    assert len(set(seeds)) == 50


def test_an_unknown_kind_names_the_known_ones():
    with pytest.raises(KeyError, match="background"):
        split.is_test("shoe", 3)
    with pytest.raises(KeyError, match="split by name"):
        split.draw_seed("family", np.random.default_rng(0), test=True)
