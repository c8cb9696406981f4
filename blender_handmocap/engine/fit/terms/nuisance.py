# SPDX-License-Identifier: GPL-3.0-or-later
"""The nuisance rotation is small. Residual: its rotation vector in radians over sigma."""

from __future__ import annotations

from .. import spatial
from ..spatial import Array


def evaluate(nuisance: Array, sigma: float) -> tuple[Array, Array, float]:
    """N (3, 3, B) -> cost (B,), exact gradient (3, B), and the diagonal of the normal matrix near N = 1."""
    vector = spatial.logarithm(nuisance)
    precision = 1.0 / (sigma * sigma)
    # log(exp(n) N) has the slope Jl^-1, which leaves the vector itself as it is: no correction is needed.
    return (vector * vector).sum(0) * precision, vector * precision, precision
