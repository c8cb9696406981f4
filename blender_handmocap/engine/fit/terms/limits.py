# SPDX-License-Identifier: GPL-3.0-or-later
"""Joint limits: one-sided, silent inside. Residual: radians beyond the limit over sigma."""

from __future__ import annotations

import numpy as np

from ..spatial import Array


def evaluate(angles: Array, lower: Array, upper: Array, sigma: float) -> tuple[Array, Array, Array]:
    """Angles (A, B), limits (A,) -> cost (B,), gradient (A, B), diagonal of the normal matrix (A, B)."""
    beyond = angles - np.clip(angles, lower[:, None], upper[:, None])
    precision = 1.0 / (sigma * sigma)
    gradient = beyond * precision
    return (beyond * gradient).sum(0), gradient, (beyond != 0.0) * precision
