# SPDX-License-Identifier: GPL-3.0-or-later
"""What poses hands take: a Gaussian over the free hinge angles.

Two quadratic terms make it: the Mahalanobis distance from the mean under the covariance of
recorded hands (models/pose_prior.npz) widened by a floor, and the bend of a finger's last joint
that goes with its middle one. Both are constant, so they are merged once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelFileError
from ...hand.names import JOINT_NAMES
from ..hinges import pack
from ..kinematics import Chain
from ..settings import FitSettings
from ..spatial import Array

PRIOR_FILE: Final = Path(__file__).resolve().parents[3] / "models" / "pose_prior.npz"

_DEGREE: Final = np.pi / 180.0


@dataclass(frozen=True)
class Gaussian:
    """cost = (a - mean)^T precision (a - mean) for angles a (A,)."""

    mean: Array
    precision: Array

    def evaluate(self, angles: Array) -> tuple[Array, Array]:
        """Angles (A, B) -> cost (B,), gradient (A, B); the normal matrix is `precision`."""
        away = angles - self.mean[:, None]
        gradient = self.precision @ away
        return (away * gradient).sum(0), gradient

    def brought_within(self, angles: Array, distance: float) -> Array:
        """Angles (A, B), those farther from the mean than a Mahalanobis distance scaled back to it."""
        mean, far = self.mean[:, None], np.sqrt(np.maximum(self.evaluate(angles)[0], 0.0))
        return np.asarray(mean + (angles - mean) * np.minimum(1.0, distance / np.maximum(far, 1e-12)))


@lru_cache(maxsize=4)
def _read(path: Path) -> tuple[Array, Array]:
    try:
        with np.load(path, allow_pickle=False) as file:
            mean, covariance = file["mean"].astype(np.float64), file["covariance"].astype(np.float64)
    except (OSError, ValueError, KeyError) as error:
        raise ModelFileError(
            f"The pose prior {path.name} is missing or damaged ({error}); install HandMocap again."
        ) from error
    if covariance.shape != (len(mean), len(mean)) or not np.isfinite(covariance).all() or not np.isfinite(mean).all():
        raise ModelFileError(f"The pose prior {path.name} is not a mean and a covariance; install HandMocap again.")
    return mean, covariance


def recorded(chain: Chain, settings: FitSettings, path: Path = PRIOR_FILE) -> Gaussian:
    """The Gaussian of recorded hands; a hand with other free hinges gets a plain spread an axis."""
    mean, covariance = _read(path)
    if len(mean) != chain.angle_count:
        mean = np.zeros(chain.angle_count)
        covariance = np.diag(_plain_spread(chain) ** 2)
    else:
        # The recordings are about the free hand, which is flat at rest; another hand may be bent there.
        mean = mean + pack(chain.zero_shift, chain.hinges)
    widened = covariance + settings.prior_floor**2 * np.eye(len(mean))
    return Gaussian(mean, settings.prior_weight * np.linalg.inv(widened))


def coupling(chain: Chain, settings: FitSettings) -> Gaussian:
    """Last joint = ratio * middle joint, for the four fingers. Residual: radians over sigma."""
    rows: list[NDArray[np.float64]] = []
    for finger in ("index", "middle", "ring", "pinky"):
        middle, last = JOINT_NAMES.index(f"{finger}2"), JOINT_NAMES.index(f"{finger}3")
        row = np.zeros(chain.angle_count)
        row[(chain.angle_joint == last) & (chain.angle_axis == 0)] = 1.0
        row[(chain.angle_joint == middle) & (chain.angle_axis == 0)] = -settings.coupling_ratio
        rows.append(row / settings.coupling_sigma)
    matrix = np.stack(rows)
    return Gaussian(np.zeros(chain.angle_count), matrix.T @ matrix)


def merged(chain: Chain, settings: FitSettings) -> Gaussian:
    """Both terms as one Gaussian; its cost differs from their sum by a constant."""
    first, second = recorded(chain, settings), coupling(chain, settings)
    precision = first.precision + second.precision
    mean = np.linalg.solve(precision, first.precision @ first.mean + second.precision @ second.mean)
    return Gaussian(mean, precision)


def _plain_spread(chain: Chain) -> Array:
    """(A,) radians: flexion, abduction, twist."""
    return np.array([40.0, 12.0, 10.0])[chain.angle_axis] * _DEGREE
