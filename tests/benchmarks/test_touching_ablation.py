# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of the touching ablation differ from what they are compared with by the named term alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("numba")

from benchmarks import touching_ablation as ablation
from blender_handmocap.engine.fit.settings import FitSettings
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.take import CONTACT_DTYPE, HandTrack, State, Take

FRAMES = 4


def changed(first: FitSettings, second: FitSettings) -> set[str]:
    return {name for name, value in vars(first).items() if getattr(second, name) != value}


@pytest.mark.parametrize(
    ("row", "base", "fields"),
    [
        ("shipped, no limits", "as shipped", {"limit_sigma"}),
        ("shipped, Gaussians for spheres", "as shipped", {"collision_sigma", "gaussian_sigma"}),
        ("shipped and Gaussians of fingers", "as shipped", {"finger_gaussian_sigma"}),
        ("shipped, no way between wrists", "as shipped", {"relative_robust"}),
        ("without limits", "all terms", {"limit_sigma"}),
        ("Gaussians for spheres", "all terms", {"collision_sigma", "gaussian_sigma"}),
        ("and Gaussians of fingers", "all terms", {"finger_gaussian_sigma"}),
        ("12 instead of 42 points", "all terms", {"map_points"}),
    ],
)
def test_a_row_changes_its_own_term_alone(row: str, base: str, fields: set[str]) -> None:
    rows = ablation.rows()
    assert changed(rows[base], rows[row]) == fields


def test_what_ships_is_the_default_and_no_two_rows_are_the_same() -> None:
    rows = ablation.rows()
    assert rows["as shipped"] == FitSettings()
    assert len(set(rows.values())) == len(rows)


@pytest.fixture(scope="module")
def truth() -> Take:
    """Two hands at rest beside each other, half a metre away."""
    tracks = {}
    for sign, side in zip((-1.0, 1.0), SIDES, strict=True):
        track = HandTrack.absent(FRAMES)
        arrays = {name: getattr(track, name).copy() for name in track.__dataclass_fields__}
        rest = free_hand(side).rest()
        rotation = np.tile([1.0, 0.0, 0.0, 0.0], (FRAMES, 16, 1))
        place = np.tile([sign * 0.1, 0.0, 0.5], (FRAMES, 1))
        points = free_hand(side).pose(rotation, place, rest).keypoints
        arrays |= {"rotation": rotation, "translation": place, "points": points, "visibility": np.eye(FRAMES, 21)}
        arrays["state"] = np.full(FRAMES, State.SEEN, arrays["state"].dtype)
        arrays["seen2d"] = points[..., :2] / points[..., 2:] * 500.0 + 300.0
        tracks[side] = HandTrack(**arrays)
    K = np.array([[500.0, 0, 300], [0, 500.0, 300], [0, 0, 1.0]])
    return Take(
        meta={}, frame=np.arange(FRAMES, dtype=np.int32), time=np.arange(FRAMES) / 30.0, K=K, dist=np.zeros(5),
        left=tracks["left"], right=tracks["right"], betas=np.zeros(10), size=0.09,
    )  # fmt: skip


def test_the_truth_itself_has_no_error_and_a_shift_of_one_hand_is_measured(truth: Take) -> None:
    touching = np.zeros((FRAMES, 6, 6), bool)
    touching[1, 2, 3] = True
    contacts = np.zeros(2, CONTACT_DTYPE)
    contacts["frame"], contacts["left_part"], contacts["right_part"] = [1, 2], [2, 2], [3, 3]
    contacts["probability"] = 0.9
    said = replace(truth, contacts=contacts)
    exact = ablation.score(said, truth, touching, 0.5)
    assert len(exact.vector) == FRAMES and np.abs(exact.vector).max() < 1e-6 and exact.pa.max() < 1e-3
    assert (exact.hits, exact.said, exact.touching) == (1, 2, 1)
    deeper = replace(truth.left, points=truth.left.points + np.array([0.0, 0.0, 0.03]))
    off = ablation.score(replace(said, left=deeper), truth, touching, 0.5)
    np.testing.assert_allclose(np.abs(off.vector), np.tile([0.0, 0.0, 30.0], (FRAMES, 1)), atol=1e-6)
    told = ablation.line("row", [exact, off]).split(" | ")
    assert told[1] == "15.0, 15.0" and told[2] == "15.0" and told[6] == "0.50 / 1.00"
