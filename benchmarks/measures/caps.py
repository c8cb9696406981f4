# SPDX-License-Identifier: GPL-3.0-or-later
"""What a missed hand costs: every error is cut at its cap, and a missed hand is charged the cap.

So a wild guess is never worse than no answer, and leaving out the hard hands never pays.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CAPS: Final[dict[str, float]] = {
    "error2d": 0.5,
    "pa_mpjpe_mm": 50.0,
    "root_mpjpe_mm": 100.0,
    "joint_mpjpe_mm": 100.0,
    "mrrpe_mm": 200.0,
    "mrrpe_plane_mm": 200.0,
    "mrrpe_depth_mm": 200.0,
    "angle_rmse_deg": 60.0,
    "root_rotation_deg": 90.0,
    "points_rotation_deg": 90.0,
    "pip_error_deg": 60.0,
    "place_mm": 300.0,
    "touching_distance_mm": 100.0,
}
"""Key of a measure -> the largest error one hand (or one pair) may be charged, in that measure's unit."""


def with_misses(key: str, errors: Array, missed: NDArray[np.bool_], measurable: NDArray[np.bool_]) -> Array:
    """Errors (N,) cut at the cap of `key`, the cap for missed hands (N,), NaN where there is no truth to measure by.

    `measurable` (N,) says which hands have the truth this measure needs, found or not. A found hand for which
    the method gives no answer (NaN) is charged like a missed one.
    """
    cap = CAPS[key]
    charged = np.where(missed | ~np.isfinite(errors), cap, np.minimum(errors, cap))
    return np.where(measurable, charged, np.nan)
