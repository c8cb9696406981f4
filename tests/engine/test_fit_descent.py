# SPDX-License-Identifier: GPL-3.0-or-later
"""The search over a window: trouble in one frame does not hold up the others, and rest is found frame by frame."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from blender_handmocap.engine.fit import clip, descent, hypotheses
from blender_handmocap.engine.fit.clip import solve
from blender_handmocap.engine.fit.kinematics import HandState
from blender_handmocap.engine.fit.settings import FitSettings
from blender_handmocap.engine.fit.terms import acceleration
from blender_handmocap.engine.fit.window import Frames, Window
from blender_handmocap.engine.hand.hands import free_hands
from tests.engine.fit_scenes import rotation_error, scene


def window_of(frames: int, *, noise: float = 0.6, seed: int = 31) -> tuple[Window, HandState]:
    """A window of one right hand, and the starts of its frames."""
    made = scene(frames, noise=noise, seed=seed)
    settings = FitSettings()
    energy, plain = clip.energies(free_hands(), made.take, settings)
    hand = clip._hand(made.take, "right")
    assert hand is not None
    every = np.arange(frames)
    seen = hand.seen(every, energy.chain, settings)
    start = hypotheses.independent(energy, seen).state
    given = Frames(hand.frames, hand.time, np.zeros(frames, bool), seen, hand.pins(every, energy.chain))
    return Window(energy, plain, given, None), start


def test_the_cost_never_rises_and_soon_comes_to_rest() -> None:
    window, state = window_of(20)
    costs = [window.cost(state)]
    for _ in range(5):
        state = window.solve(state, steps=1)
        costs.append(window.cost(state))
    assert all(after <= before for before, after in pairwise(costs))
    assert costs[-2] - costs[-1] < 1e-3 * (costs[0] - costs[-1])


def test_a_frame_in_trouble_holds_up_only_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    window, start = window_of(40)
    rest = window.solve(start, steps=20)
    real, bad = window.step, 20

    def with_trouble(now: object, damping: np.ndarray) -> np.ndarray:
        step = real(now, damping)
        # In one frame every step, however careful, goes far astray.
        step[:, bad] = 2.0
        return step

    monkeypatch.setattr(window, "step", with_trouble)
    found, moving = descent._descend(window, start, 8, None)
    turned = np.abs(found.angles - rest.angles).max(0)
    before = np.abs(start.angles - rest.angles).max(0)
    assert moving[bad]
    far = np.abs(np.arange(40) - bad) > 12
    assert turned[far].max() < 0.05 * before[far].max()
    np.testing.assert_array_equal(found.angles[:, bad], start.angles[:, bad])


def test_only_the_frames_asked_for_move() -> None:
    window, start = window_of(40)
    chosen = np.zeros(40, bool)
    chosen[15:18] = True
    found = window.solve(start, steps=3, frames=chosen)
    moved = np.abs(found.angles - start.angles).max(0) > 0.0
    assert moved[chosen].all()
    assert not moved[:9].any() and not moved[24:].any()


def test_a_part_has_the_slopes_of_the_whole() -> None:
    window, start = window_of(20)
    index = np.arange(4, 15)
    part = window.part(index, np.zeros(len(index), bool))
    whole, piece = window.linearise(start), part.linearise(start.take(index))
    inner = slice(2, -2)
    np.testing.assert_allclose(piece.gradient[inner], whole.gradient[index][inner], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(piece.local[inner], whole.local[index][inner], rtol=1e-9)


def test_hands_that_are_not_neighbours_are_not_joined_in_a_part() -> None:
    triples = acceleration.triples(np.arange(10), np.arange(10) / 30.0, 0.5)
    among = triples.among(np.array([0, 1, 2, 6, 7, 8]), 10)
    assert [tuple(t) for t in np.stack([among.first, among.middle, among.last], axis=1)] == [(0, 1, 2), (3, 4, 5)]


def test_the_usual_steps_are_enough_for_a_tenth_of_a_degree() -> None:
    made = scene(60, sides=("left", "right"), noise=1.0, seed=32, apart=0.3)
    usual, long = solve(made.take), solve(made.take, fit=replace(FitSettings(), clip_steps=30))
    for side in ("left", "right"):
        assert rotation_error(usual.track(side), long.track(side)).max() < 0.1


def test_poses_that_hands_do_not_take_are_tried_again_and_kept_only_where_that_is_cheaper(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = scene(12, noise=1.5, seed=33)
    costs, starts = [], []
    real = hypotheses._other_starts
    monkeypatch.setattr(hypotheses, "_other_starts", lambda *given: starts.append(len(found := real(*given))) or found)
    for recovery in (np.inf, 1.5):
        energy, _ = clip.energies(free_hands(), made.take, replace(FitSettings(), recovery=recovery))
        hand = clip._hand(made.take, "right")
        assert hand is not None
        seen = hand.seen(np.arange(12), energy.chain, energy.settings)
        costs.append(hypotheses.independent(energy, seen, thorough=True).cost)
    # Beside the usual fingers and the form mirrored in depth: what was found, brought nearer to the usual pose.
    assert starts == [2, 3]
    assert (costs[1] <= costs[0] + 1e-9).all()
