# SPDX-License-Identifier: GPL-3.0-or-later
"""Both hands as one thing: their joint error, and where they are relative to each other.

Pairs are (N, 2, ...) with the left hand first, as in `names.SIDES`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import alignment
from .points import mean_of

Array = NDArray[np.float64]


def joint_errors_mm(predicted: Array, truth: Array) -> Array:
    """(N, 42) mm a point after ONE translation and ONE scale, no rotation, were fitted to both hands together.

    Predicted and truth are (N, 2, 21, 3) mm: the alignment of RGB2Hands, which keeps the hands' places relative
    to each other and their rotations in the error.
    """
    shape = (len(predicted), -1, 3)
    a, b = predicted.reshape(shape), truth.reshape(shape)
    return np.linalg.norm(alignment.translation_and_scale(a, b) - b, axis=-1)


def joint_mpjpe_mm(predicted: Array, truth: Array) -> Array:
    """(N,) mean of `joint_errors_mm` over the 42 points, mm."""
    return mean_of(joint_errors_mm(predicted, truth))


def relative_root_vector_mm(predicted: Array, truth: Array) -> Array:
    """(N, 3) error of the vector from the left wrist to the right wrist, mm, camera axes, nothing aligned.

    Predicted and truth are the wrists (N, 2, 3), mm.
    """
    return (predicted[:, 1] - predicted[:, 0]) - (truth[:, 1] - truth[:, 0])


def mrrpe_mm(predicted: Array, truth: Array) -> Array:
    """(N,) length of `relative_root_vector_mm`: relative root position error, mm."""
    return np.linalg.norm(relative_root_vector_mm(predicted, truth), axis=-1)


def mrrpe_plane_mm(predicted: Array, truth: Array) -> Array:
    """(N,) the part of the relative root error parallel to the image plane (camera x and y), mm."""
    return np.linalg.norm(relative_root_vector_mm(predicted, truth)[:, :2], axis=-1)


def mrrpe_depth_mm(predicted: Array, truth: Array) -> Array:
    """(N,) the part of the relative root error along the camera's z, absolute, mm."""
    return np.abs(relative_root_vector_mm(predicted, truth)[:, 2])


def at_palm_length(points: Array, palm_mm: Array, true_palm_mm: Array) -> Array:
    """Points (N, ..., 3) as they would be with the palm length given: scaled about the camera, mm.

    A picture fixes a hand up to one scale about the camera. `palm_mm` (N,) is the length, wrist joint to middle
    knuckle, that the method assumed and `true_palm_mm` (N,) the one it would have been told.
    """
    factor = true_palm_mm / palm_mm
    return points * factor.reshape(factor.shape + (1,) * (points.ndim - 1))


def at_one_depth(wrists: Array) -> Array:
    """Wrists (N, 2, 3) slid along their rays to their mean depth: the trivial guess that both are equally far, mm."""
    depth = wrists[..., 2:].mean(1, keepdims=True)
    return wrists / wrists[..., 2:] * depth
