# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import numpy as np

from blender_handmocap.engine.calibrate.proportions import FITTED, MEASURED, draw_proportions, flat_hand
from blender_handmocap.engine.fit.clip import solve
from blender_handmocap.engine.fit.shape import calibrate
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.settings import Settings
from tests.engine.fit_scenes import SIZE, scene

UNUSUAL = np.array([1.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0])
"""Fingers a sixth longer than usual for the palm."""


def proportions(betas: np.ndarray) -> np.ndarray:
    rest = free_hand("right").rest(betas, SIZE)
    return np.linalg.norm(np.diff(np.concatenate([rest.joints[1:4], rest.tips[1:2]]), axis=0), axis=1)


def test_an_unusual_hand_is_measured() -> None:
    take = scene(120, noise=0.2, seed=1, betas=UNUSUAL).take
    found = calibrate(take)
    assert found.kept and found.held_out_after < found.held_out_before
    # What the picture is drawn from: index bones longer than the mean hand's, measured and fitted alike.
    index = slice(5, 8)
    usual = calibrate(scene(120, noise=0.2, seed=1).take)
    assert sum(found.measured[index]) > 1.08 * sum(usual.measured[index])
    assert sum(found.fitted[index]) > 1.05 * sum(usual.fitted[index])
    at = flat_hand(found.fitted)
    assert at[8, 1] < flat_hand(usual.fitted)[8, 1] < at[0, 1]
    picture = draw_proportions(found.measured, found.fitted)
    for colour in (MEASURED, FITTED):
        assert (np.abs(picture.astype(int) - colour).max(-1) < 8).sum() > 500
    before = np.abs(proportions(take.betas) - proportions(UNUSUAL)).sum()
    assert np.abs(proportions(found.betas) - proportions(UNUSUAL)).sum() < 0.7 * before


def test_the_mean_hand_is_not_made_worse() -> None:
    found = calibrate(scene(120, noise=0.6, seed=2).take)
    assert np.abs(found.betas).max() < 0.7
    assert found.kept == (found.held_out_after < 0.99 * found.held_out_before)


def test_a_short_clip_says_why_nothing_was_measured() -> None:
    found = calibrate(scene(40, seed=3).take)
    assert not found.kept and "60" in found.reason
    np.testing.assert_array_equal(found.betas, np.zeros(10))


def test_solving_with_calibration_reports_it_and_keeps_the_size() -> None:
    take = scene(120, noise=0.2, seed=1, betas=UNUSUAL).take
    solved = solve(take, settings=Settings(calibrate=True, mode="stills"))
    report = solved.meta["shape"]
    json.dumps(report)
    assert report["kept"] and solved.size == take.size
    np.testing.assert_allclose(solved.betas, report["betas"], atol=1e-5)
    assert "shape" not in solve(take, settings=Settings(mode="stills")).meta
