# SPDX-License-Identifier: GPL-3.0-or-later
"""Geman-McClure: squared residuals that stop growing, so that a wrong point is let go."""

from __future__ import annotations

import numpy as np

from ..spatial import Array


def geman_mcclure(squared: Array, weight: Array, width: float) -> tuple[Array, Array]:
    """Value weight * s / (1 + s / width^2) of squared residuals s in sigmas, and the root of its slope by s.

    Residuals and their slopes times that root are those of a plain least squares problem with the
    same gradient.
    """
    damped = 1.0 / (1.0 + squared * (1.0 / (width * width)))
    return np.asarray(weight * squared * damped), np.asarray(np.sqrt(weight) * damped)
