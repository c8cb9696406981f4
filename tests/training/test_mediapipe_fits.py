# SPDX-License-Identifier: GPL-3.0-or-later
"""Offsets and confidence, fitted to made-up observations whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.see.confidence import FEATURES
from blender_handmocap.engine.see.definitions import OFFSET_JOINTS
from training.mediapipe import confidence, offsets

CAMERA = Camera.from_focal(640, 480, 600.0)


def observed(table: np.ndarray, count: int = 160, noise: float = 0.5) -> dict[str, np.ndarray]:
    """Rows of hands whose points are seen off by `table` (21, 3), a fifth of the points far away."""
    random = np.random.default_rng(1)
    keys = ("screen", "points2d", "points3d", "visible", "orientation", "scale", "K", "right", "true_right")
    rows: dict[str, list] = {key: [] for key in keys}
    for number in range(count):
        side = "right" if number % 2 else "left"
        hand, frames = free_hand(side), free_hinges(side).frame
        rest = hand.rest(size=float(random.uniform(0.08, 0.1)))
        turn = random.normal(size=(1, 16, 3)) * 0.25
        turn[0, 0] = random.normal(size=3) * 2.0
        posed = hand.pose(rotations.quaternion_from_vector(turn), np.array([[0.0, 0.0, 0.5]]), rest)
        points, orientation = posed.keypoints[0], posed.orientation[0]
        sign = 1.0 if side == "right" else -1.0
        local = np.stack([frames[joint] @ (sign * row) for joint, row in zip(OFFSET_JOINTS, table, strict=True)])
        moved = points + rest.scale * np.einsum("kab,kb->ka", orientation[list(OFFSET_JOINTS)], local)
        screen = np.zeros((21, 3))
        screen[:, :2] = CAMERA.project(moved) + random.normal(size=(21, 2)) * noise
        screen[random.random(21) < 0.2, :2] += 40.0
        values = (screen, CAMERA.project(points), points, np.ones(21, bool), orientation, rest.scale, CAMERA.K,
                  0.9 if side == "right" else 0.1, side == "right")  # fmt: skip
        for key, value in zip(rows, values, strict=True):
            rows[key].append(value)
    return {key: np.array(value) for key, value in rows.items()}


def test_known_offsets_are_found_despite_outliers() -> None:
    table = np.random.default_rng(0).uniform(-0.008, 0.008, (21, 3))
    found = offsets.fitted(observed(table))
    assert np.abs(found - table).max() < 1.5e-3
    assert np.abs(found - table).mean() < 4e-4


def test_offsets_lower_the_error_of_seen_points() -> None:
    table = np.full((21, 3), 0.005)
    rows = observed(table)
    before, after = (np.median(offsets.error_shares(rows, one)) for one in (np.zeros((21, 3)), table))
    assert after < before / 3


def test_hands_of_the_wrong_side_say_nothing() -> None:
    rows = observed(np.zeros((21, 3)), count=20)
    rows["right"] = 1.0 - rows["right"]
    assert not offsets.well_seen(rows).any()


def test_a_logistic_truth_is_found() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(8000, 4))
    truth = np.array([0.5, -2.0, -0.5, 1.0, 2.0])
    right = random.random(8000) < 1 / (1 + np.exp(-(truth[0] + values @ truth[1:])))
    assert np.abs(confidence.logistic(values, right) - truth).max() < 0.25


def test_no_feature_speaks_against_its_direction() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(4000, len(FEATURES)))
    presence, agreement = FEATURES.index("presence"), FEATURES.index("agreement")
    # By chance of this sample, disagreement seems to help.
    score = 1.5 * values[:, presence] + 0.4 * values[:, agreement]
    right = random.random(4000) < 1 / (1 + np.exp(-score))
    found = confidence.fitted(values, right)
    assert found[1 + presence] > 1.0 and found[1 + agreement] == 0.0
    assert found[1 + FEATURES.index("motion")] < 0
    values[:, FEATURES.index("motion")] = 0.0
    assert confidence.calibration_error(confidence.probabilities(found, values), right) < 0.04


def test_reliability_tells_overconfidence() -> None:
    right = np.arange(100) % 2 == 0
    assert confidence.calibration_error(np.full(100, 0.95), right) == pytest.approx(0.45)
    assert confidence.reliability(np.full(100, 0.95), right) == [(pytest.approx(0.95), 0.5, 100)]
