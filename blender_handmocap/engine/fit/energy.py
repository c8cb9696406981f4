# SPDX-License-Identifier: GPL-3.0-or-later
"""The sum of all terms for a batch of hands, with its gradient and Gauss-Newton matrix.

cost = sum of squared residuals; gradient = J^T r; matrix = J^T J (half of the true derivatives,
as is usual). Terms that couple hands or frames are added by those who solve for them together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .kinematics import FIRST_ANGLE, BoneQuadratic, Chain, HandState, Posed
from .observations import Seen
from .settings import FitSettings
from .spatial import Array
from .terms import limits, nuisance, points3d, pose_prior, reprojection
from .terms.prediction import Prediction


@dataclass(frozen=True)
class Evaluation:
    """The energy of B hands at a state."""

    cost: Array
    """(B,)"""
    gradient: Array
    """(P, B)"""
    matrix: Array
    """(P, P, B)"""
    posed: Posed

    def take(self, index: NDArray[np.intp]) -> Evaluation:
        """The hands of an index array."""
        return Evaluation(self.cost[index], self.gradient[:, index], self.matrix[..., index], self.posed.take(index))

    def where(self, chosen: NDArray[np.bool_], other: Evaluation) -> Evaluation:
        """This where `chosen` (B,), the other elsewhere."""
        return Evaluation(
            np.where(chosen, self.cost, other.cost),
            np.where(chosen, self.gradient, other.gradient),
            np.where(chosen, self.matrix, other.matrix),
            self.posed.where(chosen, other.posed),
        )


class Energy:
    """The terms that concern one hand in one frame."""

    def __init__(self, chain: Chain, settings: FitSettings) -> None:
        self.chain = chain
        self.settings = settings
        self.prior = pose_prior.merged(chain, settings)

    def evaluate(self, state: HandState, seen: Seen, prediction: Prediction | None = None) -> Evaluation:
        """Value and derivatives of all terms for B hands."""
        chain, settings = self.chain, self.settings
        posed = chain.pose(state)
        quadratic = BoneQuadratic.zero(state.count)
        cost = reprojection.add(quadratic, posed.points, state.translation, seen, settings.pixel_robust)
        value, centre = points3d.add(quadratic, posed.points, state.nuisance, seen, settings.point_robust)
        cost = cost + value
        matrix = chain.normal_matrix(posed, quadratic, centre)
        gradient = chain.gradient(posed, quadratic, centre)
        angles = slice(FIRST_ANGLE, -3)
        index = np.arange(chain.size)
        diagonal = np.zeros_like(gradient)

        value, slope = self.prior.evaluate(state.angles)
        cost += value
        gradient[angles] += slope
        matrix[angles, angles] += self.prior.precision[..., None]

        value, slope, stiffness = limits.evaluate(state.angles, chain.lower, chain.upper, settings.limit_sigma)
        cost += value
        gradient[angles] += slope
        diagonal[angles] = stiffness

        value, slope, precision = nuisance.evaluate(state.nuisance, settings.nuisance_sigma)
        cost += value
        gradient[-3:] += slope
        diagonal[-3:] = precision

        if prediction is not None:
            value, slope, stiffness = prediction.evaluate(state, chain.size)
            cost += value
            gradient += slope
            diagonal += stiffness
        matrix[index, index] += diagonal
        return Evaluation(cost, gradient, matrix, posed)
