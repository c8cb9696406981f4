# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers kept from run to run: the same ones, asked anew when anything they depend on differs."""

from dataclasses import replace

import numpy as np
import pytest
from test_sets import true_take, write_movie

from benchmarks import kept
from benchmarks.hands import TestSet
from benchmarks.methods import floor
from benchmarks.methods.mediapipe_hands import RawClip, RawHand
from benchmarks.run import measure
from benchmarks.sets import take_truth


@pytest.fixture
def clip(tmp_path):
    write_movie(tmp_path / "two.mp4")
    return take_truth.clip_of(tmp_path / "two.mp4", true_take(), row="all")


def answers(random):
    """Two hands, none, one; with times."""
    hands = [RawHand(float(right), *random.normal(size=(2, 21, 3))) for right in (0.9, 0.2, 0.6)]
    return RawClip({0: hands[:2], 3: [], 4: hands[2:]}, {0: 5.0, 3: 6.0, 4: 7.0})


def test_mediapipe_is_asked_once_for_the_same_pictures(tmp_path, clip):
    asked = []

    def ask():
        asked.append(1)
        return answers(np.random.default_rng(1))

    store = kept.Kept(tmp_path / "kept")
    store.mediapipe(clip, static=False, ask=ask)
    told, true = store.mediapipe(clip, static=False, ask=ask), answers(np.random.default_rng(1))
    assert len(asked) == 1 and list(told.hands) == [0, 3, 4] and told.ms == {}
    for index, hands in true.hands.items():
        assert len(told.hands[index]) == len(hands)
        for one, other in zip(told.hands[index], hands, strict=True):
            assert one.right == other.right
            assert np.array_equal(one.image, other.image) and np.array_equal(one.world, other.world)
    store.mediapipe(clip, static=True, ask=ask)
    assert len(asked) == 2
    shown = list(clip.pictures())
    shown[-1][1][0, 0, 0] ^= 1
    store.mediapipe(replace(clip, pictures=lambda: iter(shown)), static=False, ask=ask)
    assert len(asked) == 3
    assert not list((tmp_path / "kept").glob("*.partial*"))


def test_the_floor_is_kept_until_the_truth_or_our_hand_changes(tmp_path, clip, monkeypatch):
    fitted = []

    def fit(of):
        fitted.append(1)
        return floor.see(of)

    store = kept.Kept(tmp_path / "kept")
    first, again = store.floor(clip, fit), store.floor(clip, fit)
    assert len(fitted) == 1
    for index, hands in first.hands.items():
        for one, other in zip(hands, again.of(index), strict=True):
            assert (one.side, one.confidence, one.palm_mm) == (other.side, other.confidence, other.palm_mm)
            assert np.array_equal(one.points3d, other.points3d) and np.array_equal(one.rotation, other.rotation)
    frame = clip.frames[0]
    moved = replace(frame.hands[0], points3d=frame.hands[0].points3d + 1.0)
    store.floor(replace(clip, frames=(replace(frame, hands=(moved, *frame.hands[1:])), *clip.frames[1:])), fit)
    assert len(fitted) == 2
    other_hand = tmp_path / "hand.npz"
    other_hand.write_bytes(b"another hand")
    monkeypatch.setattr(kept, "_FLOOR_FILES", (*kept._FLOOR_FILES, other_hand))
    store.floor(clip, fit)
    assert len(fitted) == 3


def test_figures_do_not_depend_on_where_answers_come_from(tmp_path, clip):
    test_set, store = TestSet("two", (clip,)), kept.Kept(tmp_path / "kept")
    runs = [measure(test_set, mode="best", methods=("floor",), kept=one) for one in (None, store, store)]
    told = [run.as_json()["floor"] for run in runs]
    assert told[0] == told[1] == told[2] and told[0]["pa_mpjpe_mm"] is not None
