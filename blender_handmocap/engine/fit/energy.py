# SPDX-License-Identifier: GPL-3.0-or-later
"""The sum of all terms for a batch of hands, with its gradient and Gauss-Newton matrix.

cost = sum of squared residuals; gradient = J^T r; matrix = J^T J (half of the true derivatives,
as is usual). Terms that couple hands or frames are added by those who solve for them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .kinematics import FIRST_ANGLE, ROTATION, TRANSLATION, Chain, HandState
from .observations import Seen
from .settings import FitSettings
from .spatial import Array
from .terms import limits, nuisance, points3d, pose_prior, reprojection
from .terms.prediction import Prediction

_POINT: Final = np.concatenate([reprojection.POINT, points3d.POINT])
"""the point of each row"""


@dataclass(frozen=True)
class Evaluation:
    """The energy of B hands at a state; here the batch is the first axis, as solvers want it."""

    cost: Array
    """(B,)"""
    gradient: Array
    """(B, P)"""
    matrix: Array
    """(B, P, P)"""

    def take(self, index: NDArray[np.intp]) -> Evaluation:
        """The hands of an index array."""
        return Evaluation(self.cost[index], self.gradient[index], self.matrix[index])

    def where(self, chosen: NDArray[np.bool_], other: Evaluation) -> Evaluation:
        """This where `chosen` (B,), the other elsewhere."""
        return Evaluation(
            np.where(chosen, self.cost, other.cost),
            np.where(chosen[:, None], self.gradient, other.gradient),
            np.where(chosen[:, None, None], self.matrix, other.matrix),
        )


class Energy:
    """The terms that concern one hand in one frame."""

    def __init__(self, chain: Chain, settings: FitSettings) -> None:
        self.chain = chain
        self.settings = settings
        self.prior = pose_prior.merged(chain, settings)
        self._diagonal = np.arange(chain.size)
        self._rows = self._wrench = self._residual = self._spare = np.empty((0, 0, 0))

    def _workspace(self, count: int) -> tuple[Array, Array, Array, Array]:
        """Rows, wrenches, residuals and scratch space for so many hands.

        A megabyte asked of the system for every evaluation costs more than the arithmetic on it.
        """
        if len(self._rows) < count:
            shape = (count, len(_POINT))
            self._rows = np.empty((*shape, self.chain.size))
            self._wrench = np.empty((*shape, 6))
            self._residual = np.empty(shape)
            self._spare = np.empty((*shape, self.chain.angle_count))
        return self._rows[:count], self._wrench[:count], self._residual[:count], self._spare[:count]

    def cost(self, state: HandState, seen: Seen, prediction: Prediction | None = None) -> Array:
        """The value alone (B,), for a step after which nothing is stepped any more."""
        chain, settings = self.chain, self.settings
        points = chain.pose(state, moving=False).points
        cost = reprojection.cost(points, state.translation, seen, settings.pixel_robust)
        cost += points3d.cost(points, state.nuisance, seen, settings.point_robust)
        cost += self.prior.evaluate(state.angles)[0]
        cost += limits.evaluate(state.angles, chain.lower, chain.upper, settings.limit_sigma)[0]
        cost += nuisance.evaluate(state.nuisance, settings.nuisance_sigma)[0]
        if prediction is not None:
            cost += prediction.evaluate(state, chain.size)[0]
        return cost

    def evaluate(self, state: HandState, seen: Seen, prediction: Prediction | None = None) -> Evaluation:
        """Value and derivatives of all terms for B hands."""
        chain, settings = self.chain, self.settings
        posed = chain.pose(state)
        rows, wrench, residual, spare = self._workspace(state.count)
        first, second = np.s_[:, : len(reprojection.POINT)], np.s_[:, len(reprojection.POINT) :]
        cost = reprojection.evaluate(
            posed.points, state.translation, seen, settings.pixel_robust, wrench[first], residual[first]
        )
        turns = rows[second][..., -3:]
        cost += points3d.evaluate(
            posed.points, state.nuisance, seen, settings.point_robust, wrench[second], turns, residual[second]
        )
        chain.slopes(posed, _POINT, wrench, rows, spare)
        # The observed form knows no place, and the nuisance rotation acts on it as the root's, backwards.
        rows[second][..., ROTATION] = turns
        rows[second][..., TRANSLATION] = 0.0
        rows[first][..., -3:] = 0.0
        np.negative(turns, out=turns)
        transposed = rows.swapaxes(1, 2)
        matrix = transposed @ rows
        gradient = (transposed @ residual[..., None])[..., 0]
        angles = slice(FIRST_ANGLE, -3)
        diagonal = np.zeros((chain.size, state.count))

        value, slope = self.prior.evaluate(state.angles)
        cost += value
        matrix[:, angles, angles] += self.prior.precision

        value, beyond, stiffness = limits.evaluate(state.angles, chain.lower, chain.upper, settings.limit_sigma)
        cost += value
        gradient[:, angles] += (slope + beyond).T
        diagonal[angles] = stiffness

        value, slope, precision = nuisance.evaluate(state.nuisance, settings.nuisance_sigma)
        cost += value
        gradient[:, -3:] += slope.T
        diagonal[-3:] = precision

        if prediction is not None:
            value, slope, stiffness = prediction.evaluate(state, chain.size)
            cost += value
            gradient += slope.T
            diagonal += stiffness
        matrix[:, self._diagonal, self._diagonal] += diagonal.T
        return Evaluation(cost, gradient, matrix)
