# SPDX-License-Identifier: GPL-3.0-or-later
"""Where MediaPipe sees each point, as a linear map of the model's own points.

The engine's offsets (engine/see/definitions.py) turn with the joints of a posed hand. Points alone have no joints;
their best linear map, the same for every axis and so for every view, is learned here from generated poses with their
exact points. Nothing seen enters: a map learned from what networks say of hard hands would shrink, as they do.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.see.definitions import MEDIAPIPE, OFFSET_JOINTS, rest_offsets
from training.footage import mocap, poses

Array = NDArray[np.float64]

_POSES: Final = 3000
_RIDGE: Final = 0.01
"""how strongly a row of the map is drawn to its own keypoint, in mean squared coordinates of the hand"""


def some_poses(count: int, *, seed: int = 0, test: bool = False) -> Array:
    """(N, 16, 3) hinge angles: half of them recorded, half anything within the limits."""
    random, recordings = np.random.default_rng(seed), mocap.load()
    recorded = recordings.angles[random.choice(recordings.chosen(test=test), count // 2)]
    return np.concatenate([recorded, poses.random_within_limits(random, count - count // 2)])


def posed_pairs(angles: Array) -> tuple[Array, Array]:
    """(N, 21, 3) points of right hands in poses (N, 16, 3), and where MediaPipe would see them; metres."""
    hand, hinges = free_hand("right"), free_hinges("right")
    posed = hand.pose(rotations_from_angles(angles, hinges), np.zeros((len(angles), 3)), hand.rest())
    at_rest = rest_offsets(MEDIAPIPE, hinges, "right")
    shift = np.einsum("nkab,kb->nka", posed.orientation[:, list(OFFSET_JOINTS)], at_rest)
    return posed.keypoints, posed.keypoints + shift


@lru_cache(maxsize=1)
def mediapipe_map() -> Array:
    """(21, 21), rows of sum 1: where MediaPipe sees each point, from the model's own points."""
    own, theirs = (points.swapaxes(1, 2).reshape(-1, points.shape[1]) for points in posed_pairs(some_poses(_POSES)))
    return linear_map(own, theirs)


def linear_map(values: Array, wanted: Array) -> Array:
    """(21, 21), rows of sum 1: wanted points (M, 21) from values (M, 21) along an axis, a row each."""
    count = values.shape[1]
    found = np.zeros((count, count))
    for k in range(count):
        others = np.delete(np.arange(count), k)
        # Differences to the keypoint itself: whatever the weights, the row's sum stays one.
        design, off = values[:, others] - values[:, k : k + 1], wanted[:, k] - values[:, k]
        ridge = _RIDGE * float((design**2).sum()) / len(others)
        weights = np.linalg.solve(design.T @ design + ridge * np.eye(len(others)), design.T @ off)
        found[k, others], found[k, k] = weights, 1.0 - weights.sum()
    return found
