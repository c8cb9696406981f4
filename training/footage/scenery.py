# SPDX-License-Identifier: GPL-3.0-or-later
"""Backdrops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .scene import Backdrop


def backdrop(choice: Backdrop, width: int, height: int) -> NDArray[np.float32]:
    """Linear RGB (height, width, 3)."""
    return np.full((height, width, 3), 0.3, np.float32)
