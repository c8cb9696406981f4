# SPDX-License-Identifier: GPL-3.0-or-later
"""A fix is solved around: what is near follows as in a whole solve, what is far is not touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fit_scenes import scene

from blender_handmocap.engine import review, rotations
from blender_handmocap.engine.around import EASE, REACH, part_of, resolve_around
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.pipeline import resolve, solved
from blender_handmocap.engine.polish import PolishSettings, polish
from blender_handmocap.engine.progress import Progress
from blender_handmocap.engine.settings import Settings
from blender_handmocap.engine.take import CORRECTION_DTYPE, CorrectionKind, Take

FRAMES, FIXED, RATE = 150, 40, 30.0
PARENT = Path("wave_001.take.npz")
FAR = np.abs(np.arange(FRAMES) - FIXED) / RATE > REACH + EASE


@pytest.fixture(scope="module")
def before() -> Take:
    return solved(scene(FRAMES, sides=SIDES, seed=3).take, Settings())


@pytest.fixture(scope="module")
def fixed(before: Take) -> tuple[Take, np.ndarray]:
    """A finger bent by hand in one frame, and how."""
    rotation = before.right.rotation[FIXED].copy()
    rotation[5] = rotations.multiply(rotation[5], rotations.quaternion_from_vector([0.0, 0.0, 0.5]))
    take, count = review.posed(before, "right", FIXED, rotation, before.right.translation[FIXED])
    assert count == 1
    return take, rotation[5]


def test_the_fix_is_kept_its_neighbours_follow_and_the_rest_is_the_old_one(
    before: Take, fixed: tuple[Take, np.ndarray]
) -> None:
    told: list[Progress] = []
    take, wanted = fixed
    made = resolve_around(take, [FIXED], Settings(), parent=PARENT, on_progress=told.append)
    assert np.degrees(rotations.angle_between(made.right.rotation[FIXED, 5], wanted)) < 0.05
    for side in SIDES:
        np.testing.assert_allclose(made.track(side).rotation[FAR], before.track(side).rotation[FAR], atol=1e-6)
        np.testing.assert_allclose(made.track(side).points[FAR], before.track(side).points[FAR], atol=1e-6)
    moved = rotations.angle_between(made.right.rotation[:, 5], before.right.rotation[:, 5])
    assert moved[[FIXED - 1, FIXED + 1]].min() > 0.4 * moved[FIXED]
    # Near the fix it is what solving everything again gives.
    whole = resolve(take, Settings(), parent=PARENT)
    near = np.abs(np.arange(FRAMES) - FIXED) <= 6
    off = np.linalg.norm(made.right.points[near] - whole.right.points[near], axis=-1)
    assert off.max() < 0.004
    # Nothing pops where the new motion leads over to the old one.
    steps = np.linalg.norm(np.diff(made.right.points, axis=0), axis=-1).max(1)
    old = np.linalg.norm(np.diff(before.right.points, axis=0), axis=-1).max(1)
    edge = (~FAR[1:]) & (np.abs(np.arange(1, FRAMES) - FIXED) / RATE > 0.6)
    assert steps[edge].max() < 1.3 * old[edge].max()
    assert made.meta["parent"] == PARENT.name
    assert len(made.corrections) == 1
    assert told[-1].done == told[-1].total and [one.done for one in told] == sorted(one.done for one in told)
    # Far less than the whole was worked on.
    assert told[-1].total < 0.65 * FRAMES


def test_choices_of_the_last_clean_up_stay(before: Take) -> None:
    smooth = polish(before, PolishSettings(strength=4.0, gaps="hold"))
    marked = review.marked(smooth, "left", [FIXED], CorrectionKind.ABSENT)
    made = resolve_around(marked, [FIXED], Settings(), parent=PARENT)
    assert made.meta["polish"] == smooth.meta["polish"]
    assert not made.left.present[FIXED]
    np.testing.assert_allclose(made.left.rotation[FAR], smooth.left.rotation[FAR], atol=1e-6)


def test_a_take_without_a_result_is_solved_whole() -> None:
    seen = scene(12, seed=5).take
    made = resolve_around(seen, [3], Settings(), parent=PARENT)
    assert np.isfinite(made.right.raw_translation).all()


def test_a_part_of_a_take_counts_its_own_frames(fixed: tuple[Take, np.ndarray]) -> None:
    take, _ = fixed
    sizes = [[640, 480 + index] for index in range(FRAMES)]
    take = replace(take, meta={**take.meta, "sizes": sizes}, K=np.repeat(take.K[None], FRAMES, axis=0))
    part = part_of(take, slice(30, 50))
    assert len(part) == 20 and part.K.shape == (20, 3, 3)
    assert part.corrections["frame"].tolist() == [FIXED - 30]
    assert part.picture_size(3) == (640, 513)
    np.testing.assert_array_equal(part.left.seen2d, take.left.seen2d[30:50])
    assert not len(part_of(take, slice(50, 60)).corrections)


def test_what_was_fixed_since_is_found(before: Take, fixed: tuple[Take, np.ndarray]) -> None:
    take, _ = fixed
    assert review.fixed_since(before, before) == []
    assert review.fixed_since(before, take) == review.fixed_since(take, before) == [FIXED]
    assert review.fixed_since(before, review.swapped(before, [7, 8])) == [7, 8]
    assert review.fixed_since(take, review.cleared(take, "right", [FIXED])) == [FIXED]
    assert take.corrections.dtype == CORRECTION_DTYPE
