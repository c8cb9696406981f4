# SPDX-License-Identifier: GPL-3.0-or-later
"""The floor: our mean hand fitted to the true points themselves.

What is left is proportions and definition, which no method that answers with this hand can win back. The fit
knows each hand's size, the hinges and their limits, nothing else: no prior, no time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit.hinges import angles_from_rotations, euler_matrix, rotations_from_angles
from blender_handmocap.engine.hand.free import Hinges, free_hand, free_hinges
from blender_handmocap.engine.hand.jacobians import keypoint_jacobian
from blender_handmocap.engine.hand.model import HandModel, RestHand
from blender_handmocap.engine.hand.names import JOINT_COUNT, SIDES, Side

from ..hands import Clip, Seen, SeenHand
from ..measures import alignment
from .analytic_ik import rotations_of

Array = NDArray[np.float64]

_ROUNDS: Final = 40
_SETTLED: Final = 1e-6
_LIMIT_MM_PER_RADIAN: Final = 100.0
"""A joint pushed a degree beyond its limit costs as much as a point 1.7 mm off."""
_BATCH: Final = 256


@dataclass(frozen=True)
class Fit:
    """T fitted hands."""

    rotation: Array
    """(T, 16, 4) as in a Take"""
    points: Array
    """(T, 21, 3) mm, camera axes"""
    palm_mm: Array
    """(T,)"""


def see(clip: Clip) -> Seen:
    """The floor of one clip as if a method had reported it."""
    hands: dict[int, list[SeenHand]] = {frame.index: [] for frame in clip.frames}
    for side in SIDES:
        listed = [(frame.index, hand) for frame in clip.frames for hand in frame.hands if hand.side == side]
        listed = [(i, hand) for i, hand in listed if np.isfinite(hand.points3d).all(-1).sum() >= 8]
        if not listed:
            continue
        fit = fitted(np.stack([hand.points3d for _, hand in listed]), side)
        for row, (index, hand) in enumerate(listed):
            hands[index].append(
                SeenHand(
                    side=side,
                    points2d=hand.points2d,
                    points3d=fit.points[row],
                    confidence=1.0,
                    palm_mm=float(fit.palm_mm[row]),
                    rotation=fit.rotation[row],
                )
            )
    return Seen(hands)


def fitted(truth: Array, side: Side) -> Fit:
    """Fit the mean hand of a side to true points (T, 21, 3) mm; NaN points are left out."""
    parts = [_fitted(truth[i : i + _BATCH] / 1000.0, side) for i in range(0, len(truth), _BATCH)]
    return Fit(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("rotation", "points", "palm_mm")))


@dataclass(frozen=True)
class _State:
    root: Array
    """(T, 4)"""
    place: Array
    """(T, 3) of the wrist, metres"""
    angles: Array
    """(T, 16, 3)"""
    size: Array
    """(T,) log of the factor on the mean hand"""

    def moved(self, step: Array, free: NDArray[np.intp]) -> _State:
        """After a step (T, 7 + n): turn, shift, log size, free angles."""
        angles = self.angles.reshape(len(step), -1).copy()
        angles[:, free] += step[:, 7:]
        return _State(
            rotations.multiply(rotations.quaternion_from_vector(step[:, :3]), self.root),
            self.place + step[:, 3:6],
            angles.reshape(self.angles.shape),
            self.size + step[:, 6],
        )

    def where(self, chosen: NDArray[np.bool_], other: _State) -> _State:
        """This state where chosen (T,), the other elsewhere."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in ("root", "place", "angles", "size"))
        return _State(*(np.where(chosen.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in pairs))


def _fitted(truth: Array, side: Side) -> Fit:
    model, hinges = free_hand(side), free_hinges(side)
    rest = model.rest()
    weight = np.isfinite(truth).all(-1)
    target = np.where(weight[..., None], truth, 0.0)
    free = np.flatnonzero(hinges.free)
    state = _start(target, weight, model, hinges, rest)
    cost, normal, gradient = _equations(state, target, weight, model, hinges, rest)
    damping = np.full(len(truth), 1e-3)
    for _ in range(_ROUNDS):
        diagonal = np.einsum("tii->ti", normal)
        damped = normal + np.eye(normal.shape[-1]) * (diagonal * damping[:, None] + 1e-12)[:, None]
        step = -np.linalg.solve(damped, gradient[..., None])[..., 0]
        trial = state.moved(step, free)
        trial_cost, trial_normal, trial_gradient = _equations(trial, target, weight, model, hinges, rest)
        better = trial_cost < cost
        gain = np.where(better, (cost - trial_cost) / np.maximum(cost, 1e-15), 0.0)
        state = trial.where(better, state)
        cost = np.where(better, trial_cost, cost)
        normal = np.where(better[:, None, None], trial_normal, normal)
        gradient = np.where(better[:, None], trial_gradient, gradient)
        damping = np.where(better, damping * 0.3, np.minimum(damping * 10.0, 1e6))
        if (better & (gain < _SETTLED) | (~better & (damping > 1e3))).all():
            break
    rotation = rotations_from_angles(state.angles, hinges, state.root)
    points = _points(rotation, state, model, rest)
    return Fit(rotation, points * 1000.0, np.exp(state.size) * rest.palm_length * 1000.0)


def _start(target: Array, weight: NDArray[np.bool_], model: HandModel, hinges: Hinges, rest: RestHand) -> _State:
    """The closed-form pose, scaled and placed on the known points."""
    rotation = rotations_of(_filled(target, weight, model, rest), model.side)
    angles = angles_from_rotations(rotation, hinges, within_limits=True)
    at_origin = model.pose(rotation, np.zeros((len(target), 3)), rest).keypoints
    share = weight[..., None] / weight.sum(-1)[:, None, None]
    mean, true_mean = (at_origin * share).sum(1), (target * share).sum(1)
    spread = np.sqrt((((at_origin - mean[:, None]) ** 2) * share).sum((1, 2)))
    true_spread = np.sqrt((((target - true_mean[:, None]) ** 2) * share).sum((1, 2)))
    factor = true_spread / spread
    return _State(rotation[:, 0], true_mean - mean * factor[:, None], angles, np.log(factor))


def _filled(target: Array, weight: NDArray[np.bool_], model: HandModel, rest: RestHand) -> Array:
    """Unknown points taken from a flat hand laid on the known ones."""
    flat = model.pose(np.tile(rotations.IDENTITY, (1, JOINT_COUNT, 1)), np.zeros((1, 3)), rest).keypoints
    flat = np.broadcast_to(flat, target.shape)
    known = weight.astype(np.float64)
    turned = np.einsum("nij,npj->npi", rotations.aligning_rotation(flat, target, known), flat)
    _, middle = alignment.centred(turned, known)
    _, true_middle = alignment.centred(target, known)
    return np.where(weight[..., None], target, turned - middle + true_middle)


def _points(rotation: Array, state: _State, model: HandModel, rest: RestHand) -> Array:
    at_origin = model.pose(rotation, np.zeros((len(rotation), 3)), rest).keypoints
    return at_origin * np.exp(state.size)[:, None, None] + state.place[:, None]


def _equations(
    state: _State, target: Array, weight: NDArray[np.bool_], model: HandModel, hinges: Hinges, rest: RestHand
) -> tuple[Array, Array, Array]:
    """Cost (T,), J^T J and J^T r of point distances and exceeded limits; metres."""
    count = len(target)
    rotation = rotations_from_angles(state.angles, hinges, state.root)
    posed = model.pose(rotation, np.zeros((count, 3)), rest)
    jacobian = keypoint_jacobian(model, rest, posed)
    factor = np.exp(state.size)[:, None, None]
    residual = (posed.keypoints * factor + state.place[:, None] - target) * weight[..., None]
    by_angle = np.einsum("tnajb,tjbk->tnajk", jacobian.joints, _axes(state.angles, hinges)[:, 1:])
    # Joint 0 has no hinge; its columns are never free.
    by_angle = np.concatenate([np.zeros((*by_angle.shape[:3], 1, 3)), by_angle], axis=3).reshape(count, 21, 3, -1)
    free = np.flatnonzero(hinges.free)
    columns = [
        jacobian.root * factor[..., None],
        np.broadcast_to(np.eye(3), (count, 21, 3, 3)),
        (posed.keypoints * factor)[..., None],
        by_angle[..., free] * factor[..., None],
    ]
    dense = (np.concatenate(columns, axis=-1) * weight[..., None, None]).reshape(count, 63, -1)
    flat = residual.reshape(count, 63)
    angles = state.angles.reshape(count, -1)[:, free]
    low, high = hinges.limits.reshape(-1, 2)[free].T
    beyond = (np.maximum(angles - high, 0.0) + np.minimum(angles - low, 0.0)) * _LIMIT_MM_PER_RADIAN / 1000.0
    slope = (beyond != 0.0) * _LIMIT_MM_PER_RADIAN / 1000.0
    normal = np.swapaxes(dense, 1, 2) @ dense
    gradient = np.einsum("tra,tr->ta", dense, flat)
    at = np.arange(7, 7 + len(free))
    normal[:, at, at] += slope**2
    gradient[:, 7:] += slope * beyond
    return (flat**2).sum(1) + (beyond**2).sum(1), normal, gradient


def _axes(angles: Array, hinges: Hinges) -> Array:
    """(T, 16, 3, 3) columns: the axes, in the parent's canonical axes, that flexion, abduction and twist turn about."""
    zero = np.zeros_like(angles[..., 0])
    flexed = euler_matrix(np.stack([angles[..., 0], zero, zero], axis=-1))
    spread = euler_matrix(np.stack([angles[..., 0], angles[..., 1], zero], axis=-1))
    local = np.stack([np.broadcast_to([1.0, 0.0, 0.0], angles.shape), flexed[..., 1], spread[..., 2]], axis=-1)
    return hinges.frame @ local
