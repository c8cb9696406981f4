# SPDX-License-Identifier: GPL-3.0-or-later
"""DAZ Genesis 3 and 8."""

from ..preset import RigPreset, finger_bones

PRESET = RigPreset(
    name="DAZ Genesis 8",
    bones={
        "wrist": "{s}Hand",
        "index0": "{s}Carpal1",
        "middle0": "{s}Carpal2",
        "ring0": "{s}Carpal3",
        "pinky0": "{s}Carpal4",
        "forearm": "{s}ForearmBend",
        "upper_arm": "{s}ShldrBend",
        **finger_bones(
            "{s}{finger}{level}",
            {"thumb": "Thumb", "index": "Index", "middle": "Mid", "ring": "Ring", "pinky": "Pinky"},
            {1: "1", 2: "2", 3: "3"},
        ),
    },
    source="Genesis 8 figure as imported; listed in Expy-Kit",
    verified="names only",
)
