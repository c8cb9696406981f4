# SPDX-License-Identifier: GPL-3.0-or-later
"""Ten poses the free hand is shown and checked in, as degrees of its hinges; the same for both hands.

Thumbs and closed fingers were found by least squares on the model's spheres: the thumb's pulp on the
middle bone of the finger it covers (fist, point, victory) or on the index pulp (pinch), neighbours
just touching, flesh overlapping the palm by 4 mm at most. The figures here are what came out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.names import FINGER_JOINTS, FINGERS, JOINT_COUNT

Array = NDArray[np.float64]
Bend = tuple[float, float, float, float]


@dataclass(frozen=True)
class HandPose:
    """Degrees: flexion of a finger's three joints from the palm outwards, then abduction of its knuckle."""

    index: Bend
    middle: Bend
    ring: Bend
    pinky: Bend
    thumb: tuple[tuple[float, float, float], tuple[float, float], float]
    """flexion, abduction, twist of the base; flexion, abduction of the middle joint; flexion of the end"""

    def angles(self) -> Array:
        """Hinge angles (16, 3) in radians, as fit.hinges.rotations_from_angles takes them."""
        out = np.zeros((JOINT_COUNT, 3))
        for finger in FINGERS[1:]:
            bend: Bend = getattr(self, finger)
            joints = FINGER_JOINTS[finger]
            out[list(joints), 0] = bend[:3]
            out[joints[0], 1] = bend[3]
        base, middle, end = FINGER_JOINTS["thumb"]
        out[base], out[middle, :2], out[end, 0] = self.thumb
        return np.radians(out)


_RING_CLOSED: Final[Bend] = (85.5, 104.1, 62.0, 2.8)
_PINKY_CLOSED: Final[Bend] = (88.2, 98.0, 60.0, 6.5)

TEN_POSES: Final[dict[str, HandPose]] = {
    "open": HandPose((0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0), ((0, 0, 0), (0, 0), 0)),
    "spread": HandPose(
        (-6, 0, 0, 12), (-6, 0, 0, 3), (-6, 0, 0, -6), (-6, 0, 0, -14), ((-22, -6, 0), (-5, 0), -8)
    ),
    "relaxed": HandPose(
        (18, 24, 10, -1), (24, 28, 13, 0), (28, 30, 14, 2), (30, 30, 13, 5), ((8, 8, -4), (10, 0), 14)
    ),
    "fist": HandPose(
        (77.6, 102.4, 60.2, -0.2), (79.9, 103.9, 62.0, 0.8), _RING_CLOSED, _PINKY_CLOSED,
        ((21.1, 24.5, -11.7), (33.9, 1.6), 68.4),
    ),
    "thumbs up": HandPose(
        (78.2, 103.1, 62.3, -0.4), (79.8, 104.1, 62.0, 0.7), _RING_CLOSED, _PINKY_CLOSED,
        ((-18.0, -27.9, 0.0), (-2.7, -0.1), -8.3),
    ),
    "point": HandPose(
        (3, 4, 2, 0), (79.9, 103.9, 62.0, 0.8), _RING_CLOSED, _PINKY_CLOSED,
        ((21.4, 17.2, -5.2), (33.5, 0.6), 64.1),
    ),
    "victory": HandPose(
        (2, 4, 2, 8), (2, 4, 2, -8), (79.6, 100.0, 60.0, 3.7), (85.0, 98.0, 60.0, 7.8),
        ((35.6, 14.7, -1.2), (29.4, -4.0), 57.5),
    ),
    "grasp": HandPose(
        (38, 46, 26, 2), (42, 50, 28, 0), (46, 50, 28, 0), (48, 48, 28, 0), ((19.4, 28.2, 9.7), (12.7, -0.3), 15.9)
    ),
    "half": HandPose(
        (35, 45, 25, 0), (38, 48, 26, 0), (40, 48, 26, 0), (42, 46, 26, 2), ((12, 14, -4), (15, 0), 20)
    ),
    "pinch": HandPose(
        (51.7, 47.7, 19.9, -0.2), (32, 34, 18, 0), (26, 30, 16, 2), (20, 26, 14, 2),
        ((30.5, 18.5, -9.4), (22.5, -1.8), -21.5),
    ),
}  # fmt: skip
