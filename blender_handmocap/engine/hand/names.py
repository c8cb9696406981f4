# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and orders of joints and keypoints: the one place that knows them.

Joints follow MANO's order and tree; keypoints follow the order every hand detector uses
(wrist, then thumb to pinky, each from the palm outwards to the tip).
"""

from __future__ import annotations

from typing import Final, Literal

Side = Literal["left", "right"]
SIDES: Final[tuple[Side, Side]] = ("left", "right")
SIDE_SUFFIX: Final[dict[Side, str]] = {"left": "L", "right": "R"}

FINGERS: Final = ("thumb", "index", "middle", "ring", "pinky")
"""Fingers in keypoint order."""

JOINT_NAMES: Final = (
    "wrist",
    "index1", "index2", "index3",
    "middle1", "middle2", "middle3",
    "pinky1", "pinky2", "pinky3",
    "ring1", "ring2", "ring3",
    "thumb1", "thumb2", "thumb3",
)  # fmt: skip
JOINT_PARENTS: Final = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)
JOINT_COUNT: Final = len(JOINT_NAMES)

FINGER_JOINTS: Final[dict[str, tuple[int, int, int]]] = {
    finger: (first, first + 1, first + 2) for finger in FINGERS for first in (JOINT_NAMES.index(f"{finger}1"),)
}
"""The three joints of each finger, from the palm outwards, as indices into JOINT_NAMES."""

KEYPOINT_NAMES: Final = ("wrist", *(f"{finger}{level}" for finger in FINGERS for level in (1, 2, 3, 4)))
"""Level 4 is the fingertip. Levels 1..3 are the joints of the same name."""
KEYPOINT_COUNT: Final = len(KEYPOINT_NAMES)
KEYPOINT_PARENTS: Final = tuple(-1 if k == 0 else (0 if (k - 1) % 4 == 0 else k - 1) for k in range(KEYPOINT_COUNT))

KEYPOINT_OF_JOINT: Final = tuple(KEYPOINT_NAMES.index(name) for name in JOINT_NAMES)
"""Keypoint index of each joint."""
TIP_KEYPOINTS: Final = tuple(KEYPOINT_NAMES.index(f"{finger}4") for finger in FINGERS)
"""Keypoint index of each fingertip, in FINGERS order."""
TIP_JOINTS: Final = tuple(JOINT_NAMES.index(f"{finger}3") for finger in FINGERS)
"""The joint each fingertip hangs from, in FINGERS order."""
PALM_KEYPOINTS: Final = (0, 1, 5, 9, 13, 17)
"""Keypoints that move with the palm (wrist, thumb root, knuckles)."""

PALM_LENGTH_JOINT: Final = JOINT_NAMES.index("middle1")
"""`size` is the rest distance from the wrist to this joint, in metres."""

PART_NAMES: Final = JOINT_NAMES
"""Surface part labels are the joint that moves them most; 16 is the forearm of the rendering variant."""
FOREARM_PART: Final = JOINT_COUNT

CONTACT_PARTS: Final = (*(f"{finger}_tip" for finger in FINGERS), "palm")
"""The six regions of a hand that contacts are recorded between."""
