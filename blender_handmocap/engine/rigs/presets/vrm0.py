# SPDX-License-Identifier: GPL-3.0-or-later
"""VRM 0.x human bone names."""

from ..preset import RigPreset, finger_bones

PRESET = RigPreset(
    name="VRM 0",
    bones={
        "wrist": "{side}Hand",
        "forearm": "{side}LowerArm",
        "upper_arm": "{side}UpperArm",
        **finger_bones(
            "{side}{finger}{level}",
            {"index": "Index", "middle": "Middle", "ring": "Ring", "pinky": "Little"},
            {1: "Proximal", 2: "Intermediate", 3: "Distal"},
        ),
        **finger_bones(
            "{side}{finger}{level}",
            {"thumb": "Thumb"},
            {1: "Proximal", 2: "Intermediate", 3: "Distal"},
        ),
    },
    source="VRM 0.x specification, humanoid bones",
    verified="names only",
)
