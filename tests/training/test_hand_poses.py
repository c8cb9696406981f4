# SPDX-License-Identifier: GPL-3.0-or-later
"""The ten poses of the card: within the limits, and what their names say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.model import PosedHand
from blender_handmocap.engine.hand.names import FINGER_JOINTS, FINGERS
from blender_handmocap.engine.hand.spheres import fitted_spheres
from training.hand.poses import TEN_POSES

Array = NDArray[np.float64]


def _posed(name: str) -> PosedHand:
    hand = free_hand("right")
    rotation = rotations_from_angles(TEN_POSES[name].angles()[None], free_hinges("right"))
    return hand.pose(rotation, np.zeros((1, 3)), hand.rest())


def _finger_gap(posed: PosedHand, first: int, second: int) -> float:
    """Metres between the flesh of two joints' spheres; negative where they overlap."""
    spheres = fitted_spheres(free_hand("right"), count=110)
    centres = spheres.centres(posed)[0]
    a, b = spheres.joint == first, spheres.joint == second
    between = np.linalg.norm(centres[a][:, None] - centres[b][None], axis=-1)
    return float((between - spheres.radius[a][:, None] - spheres.radius[b][None]).min())


@pytest.mark.parametrize("name", TEN_POSES)
def test_every_pose_is_within_the_limits(name: str) -> None:
    hinges, angles = free_hinges("right"), TEN_POSES[name].angles()
    slack = np.radians(0.05)
    assert (angles >= hinges.limits[..., 0] * hinges.free - slack).all()
    assert (angles <= hinges.limits[..., 1] * hinges.free + slack).all()


def test_a_fist_closes_fingers_on_the_palm_and_lays_the_thumb_across_them() -> None:
    posed = _posed("fist")
    hand = free_hand("right")
    palm = hand.rest_vertices(hand.rest())[hand.weights[:, 0] > 0.5]
    for tip in posed.keypoints[0, [8, 12, 16, 20]]:
        assert np.linalg.norm(palm - tip, axis=1).min() < 0.012
    thumb_end = FINGER_JOINTS["thumb"][2]
    assert abs(_finger_gap(posed, thumb_end, FINGER_JOINTS["middle"][1])) < 0.004
    # Across, outside the fingers: farther from the back of the hand than the bones it covers.
    covered = posed.joints[0, list(FINGER_JOINTS["middle"][1:])].mean(0)
    assert posed.keypoints[0, 4, 1] < covered[1] - 0.008
    for finger, neighbour in itertools.pairwise(FINGERS[1:]):
        gap = _finger_gap(posed, FINGER_JOINTS[finger][1], FINGER_JOINTS[neighbour][1])
        assert -0.002 < gap < 0.003, finger


def test_a_pinch_brings_the_pulps_of_thumb_and_index_together() -> None:
    gap = _finger_gap(_posed("pinch"), FINGER_JOINTS["thumb"][2], FINGER_JOINTS["index"][2])
    assert -0.003 < gap < 0.003


def test_thumbs_up_points_the_thumb_away_from_closed_fingers() -> None:
    posed = _posed("thumbs up").keypoints[0]
    thumb = posed[4] - posed[2]
    assert thumb[2] / np.linalg.norm(thumb) > 0.6
    assert np.linalg.norm(posed[8] - posed[5]) < 0.6 * np.linalg.norm(_posed("open").keypoints[0, 8] - posed[5])
