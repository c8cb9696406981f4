# SPDX-License-Identifier: GPL-3.0-or-later
"""The four ways of laying a prediction on the truth before distances are taken."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.rotations import aligning_rotation

Array = NDArray[np.float64]

MIN_POINTS = 4
"""Fewer points than this with truth do not fix a similarity; the hand is not measured."""


def shared_weight(predicted: Array, truth: Array) -> Array:
    """(N, P) 1 where both have a finite point, 0 elsewhere."""
    return (np.isfinite(predicted).all(-1) & np.isfinite(truth).all(-1)).astype(np.float64)


def centred(points: Array, weight: Array) -> tuple[Array, Array]:
    """Points (N, P, D) minus their weighted mean, NaN points set to 0, and the mean (N, 1, D)."""
    clean = np.where(weight[..., None] > 0, points, 0.0)
    total = np.maximum(weight.sum(-1)[:, None, None], 1.0)
    mean = clean.sum(-2, keepdims=True) / total
    return (clean - mean) * weight[..., None], mean


def _finish(aligned: Array, weight: Array, least: int) -> Array:
    aligned = np.where(weight[..., None] > 0, aligned, np.nan)
    aligned[weight.sum(-1) < least] = np.nan
    return aligned


def _scale(numerator: Array, denominator: Array) -> Array:
    return numerator / np.where(denominator > 1e-12, denominator, np.inf)


def similarity(predicted: Array, truth: Array) -> Array:
    """Predicted (N, P, 3) under the rotation, one scale and translation that lay it best on the truth (Procrustes).

    Least squares over the points both have; no reflection; NaN where a point lacks truth or fewer than
    four points are shared.
    """
    weight = shared_weight(predicted, truth)
    a, _ = centred(predicted, weight)
    b, mean = centred(truth, weight)
    turned = np.einsum("nij,npj->npi", aligning_rotation(a, b, weight), a)
    scale = _scale((turned * b).sum((-1, -2)), (a * a).sum((-1, -2)))
    return _finish(turned * scale[:, None, None] + mean, weight, MIN_POINTS)


def root_and_scale(predicted: Array, truth: Array) -> Array:
    """Predicted (N, P, 3) moved wrist (point 0) on wrist, then scaled about it by least squares; no rotation."""
    weight = shared_weight(predicted, truth)
    has_wrist = weight[:, :1] > 0
    weight = weight * has_wrist
    a = np.where(weight[..., None] > 0, predicted - predicted[:, :1], 0.0)
    b = np.where(weight[..., None] > 0, truth - truth[:, :1], 0.0)
    scale = _scale((a * b).sum((-1, -2)), (a * a).sum((-1, -2)))
    return _finish(a * scale[:, None, None] + np.where(has_wrist[..., None], truth[:, :1], 0.0), weight, 2)


def translation_and_scale(predicted: Array, truth: Array) -> Array:
    """Predicted (N, P, 3) under the one translation and scale, without rotation, that lay it best on the truth."""
    weight = shared_weight(predicted, truth)
    a, _ = centred(predicted, weight)
    b, mean = centred(truth, weight)
    scale = _scale((a * b).sum((-1, -2)), (a * a).sum((-1, -2)))
    return _finish(a * scale[:, None, None] + mean, weight, 2)


def best_rotation(predicted: Array, truth: Array) -> Array:
    """(N, 3, 3) the rotation taking the centred prediction best onto the centred truth (Kabsch); NaN if not fixed."""
    weight = shared_weight(predicted, truth)
    a, _ = centred(predicted, weight)
    b, _ = centred(truth, weight)
    rotation = aligning_rotation(a, b, weight)
    rotation[weight.sum(-1) < MIN_POINTS] = np.nan
    return rotation
