# SPDX-License-Identifier: GPL-3.0-or-later
"""Live: two hands that were solved one by one and run into each other, eased apart together.

Spheres are looked at only where the wrists are near; only where some overlap is a step taken, over
the unknowns of both hands at once. The state is warm: one step a frame follows the hands.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from .energy import Energy
from .kinematics import HandState
from .observations import Seen
from .spatial import Array
from .terms import collision
from .terms.pairs import MIRROR, PairRows
from .terms.prediction import Prediction

RIGHT: Final = np.array([0])
LEFT: Final = np.array([1])
_DAMPING: Final = 1e-2
_RAISE: Final = 10.0
_TRIES: Final = 2
_FLOOR: Final = 1e-6


def parted(
    energy: Energy, spheres: collision.SphereSet, state: HandState, seen: Seen, prediction: Prediction | None
) -> HandState:
    """The right hand (first) and the left one (second, mirrored) after a step that parts them, if they overlap."""
    settings = energy.settings
    right, left = state.translation[:, :1], state.translation[:, 1:]
    if not collision.near(right, left, settings.collision_gate)[0] or _are_clear(energy, spheres, state):
        return state
    rows = _overlaps(energy, spheres, state)
    if not rows.pair.size:
        return state
    matrix, gradient, cost = _joint(energy, rows, state, seen, prediction)
    index, damping = np.arange(len(gradient)), _DAMPING
    for _ in range(_TRIES):
        damped = matrix.copy()
        damped[index, index] = damped[index, index] * (1.0 + damping) + _FLOOR
        step = -np.linalg.solve(damped, gradient)
        moved = state.moved(step.reshape(2, -1).T)
        value = energy.cost(moved, seen, prediction).sum() + _overlaps(energy, spheres, moved).cost[0]
        if value <= cost:
            return moved
        damping *= _RAISE
    return state


def _are_clear(energy: Energy, spheres: collision.SphereSet, state: HandState) -> bool:
    """Whether no spheres overlap, without the derivatives: so it is in nearly every frame."""
    centres = spheres.centres(energy.chain.pose(state, moving=False)) + state.translation[:, None]
    away = centres[..., :1] - (centres[..., 1] * MIRROR[:, None])[:, None]
    reach = spheres.radius[:, None] + spheres.radius
    return not bool(((away * away).sum(0) < reach * reach).any())


def _overlaps(energy: Energy, spheres: collision.SphereSet, state: HandState) -> PairRows:
    right, left = state.take(RIGHT), state.take(LEFT)
    chain = energy.chain
    return collision.evaluate(
        spheres,
        chain,
        chain.pose(right),
        right.translation,
        chain.pose(left),
        left.translation,
        energy.settings.collision_sigma,
    )


def _joint(
    energy: Energy, rows: PairRows, state: HandState, seen: Seen, prediction: Prediction | None
) -> tuple[Array, Array, float]:
    """Normal matrix (2P, 2P), gradient (2P,) and cost of both hands with what they share."""
    now = energy.evaluate(state, seen, prediction)
    size = energy.chain.size
    # The nuisance rotation, the last three unknowns, has no part in what hands share.
    both = np.zeros((len(rows.residual), 2, size))
    both[:, 0, :-3], both[:, 1, :-3] = rows.right, rows.left
    slopes = both.reshape(-1, 2 * size)
    matrix = slopes.T @ slopes
    matrix[:size, :size] += now.matrix[0]
    matrix[size:, size:] += now.matrix[1]
    gradient = now.gradient.ravel() + rows.residual @ slopes
    return matrix, gradient, float(now.cost.sum() + rows.cost[0])
