# SPDX-License-Identifier: GPL-3.0-or-later
"""Geman-McClure: squared residuals that stop growing, so that a wrong point is let go."""

from __future__ import annotations

import numpy as np

from ..spatial import Array


def geman_mcclure(squared: Array, weight: Array, width: float) -> tuple[Array, Array]:
    """Value and slope of weight * s / (1 + s / width^2) for squared residuals s in sigmas."""
    damped = 1.0 / (1.0 + squared * (1.0 / (width * width)))
    value = weight * squared * damped
    slope = weight * damped * damped
    return np.asarray(value), np.asarray(slope)
