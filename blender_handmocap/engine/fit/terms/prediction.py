# SPDX-License-Identifier: GPL-3.0-or-later
"""Time, live: the hand is near where its last motion leads.

Residuals: log(R R_p^T) in radians, t - t_p in metres, a - a_p in radians, each over its sigma.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import spatial
from ..kinematics import FIRST_ANGLE, ROTATION, TRANSLATION, HandState
from ..spatial import Array


@dataclass(frozen=True)
class Prediction:
    """Where B hands are expected, and how surely."""

    state: HandState
    rotation: Array
    """(B,) sigma, radians"""
    translation: Array
    """(B,) sigma, metres"""
    angle: Array
    """(B,) sigma, radians"""

    def take(self, index: NDArray[np.intp]) -> Prediction:
        """The hands of an index array."""
        return Prediction(self.state.take(index), self.rotation[index], self.translation[index], self.angle[index])

    def evaluate(self, state: HandState, size: int) -> tuple[Array, Array, Array]:
        """Cost (B,), gradient (P, B), and the diagonal (P, B) of a normal matrix that leaves out
        how the logarithm's slope differs from 1: exact at the prediction."""
        gradient = np.zeros((size, state.count))
        diagonal = np.zeros((size, state.count))
        turn = spatial.logarithm(spatial.product(state.root, spatial.transposed(self.state.root)))
        for part, away, sigma in (
            (ROTATION, turn, self.rotation),
            (TRANSLATION, state.translation - self.state.translation, self.translation),
            (slice(FIRST_ANGLE, size - 3), state.angles - self.state.angles, self.angle),
        ):
            precision = 1.0 / (sigma * sigma)
            gradient[part] = away * precision
            diagonal[part] = precision
        cost = (turn * gradient[ROTATION]).sum(0)
        cost += ((state.translation - self.state.translation) * gradient[TRANSLATION]).sum(0)
        cost += ((state.angles - self.state.angles) * gradient[FIRST_ANGLE : size - 3]).sum(0)
        return cost, gradient, np.asarray(diagonal)


def predicted(last: HandState, before: HandState, share: Array, angle_share: Array) -> HandState:
    """The last motion continued by `share` (B,) of it (angles by `angle_share`)."""
    turn = spatial.logarithm(spatial.product(last.root, spatial.transposed(before.root)))
    return HandState(
        root=spatial.product(spatial.exponential(share * turn), last.root),
        translation=last.translation + share * (last.translation - before.translation),
        angles=last.angles + angle_share * (last.angles - before.angles),
        nuisance=last.nuisance,
    )
