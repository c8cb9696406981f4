# SPDX-License-Identifier: GPL-3.0-or-later
"""The floor's fit: hands of our own come back, and what is not a hand of ours does not."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from training.hand import floor
from training.hand.poses import TEN_POSES


def _own_hands(betas: np.ndarray) -> np.ndarray:
    random = np.random.default_rng(4)
    hand, hinges = free_hand("right"), free_hinges("right")
    angles = np.stack([pose.angles() for pose in TEN_POSES.values()])
    root = rotations.normalized(random.normal(size=(len(angles), 4)))
    place = random.normal(size=(len(angles), 3))
    return hand.pose(rotations_from_angles(angles, hinges, root), place, hand.rest(betas, 0.091)).keypoints


def test_our_own_hands_leave_nothing() -> None:
    points = _own_hands(np.zeros(10))
    reached, _, scale = floor.fit(points, free_hand("right"), free_hinges("right"))
    # Only the weak pull to rest is left.
    assert np.linalg.norm(reached - points, axis=-1).mean() < 2e-4
    np.testing.assert_allclose(scale, 0.091 / free_hand("right").palm_length, rtol=5e-3)


def test_another_shape_is_found_by_the_betas() -> None:
    betas = np.array([1.5, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 1.5, 0.0])
    found = floor.measure("own", _own_hands(betas))
    assert found.own_shape < 0.4 * found.mean_shape
    assert found.hands == len(TEN_POSES)


@pytest.mark.skipif("HANDMOCAP_DATA" not in os.environ, reason="HANDMOCAP_DATA does not name the real hands")
def test_the_floor_on_recorded_hands_is_what_the_card_says() -> None:
    data = Path(os.environ["HANDMOCAP_DATA"])
    points = dict(floor.sources(data, test=True))
    two_views = floor.measure("two views", points["two views (pseudo truth)"][::9])
    assert two_views.mean_shape < 6.3
    quest = floor.measure("quest", points["quest"])
    assert quest.mean_shape < 3.8 and quest.own_shape < quest.mean_shape
