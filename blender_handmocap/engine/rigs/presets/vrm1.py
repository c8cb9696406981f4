# SPDX-License-Identifier: GPL-3.0-or-later
"""VRM 1.0 human bone names; its thumb starts with a metacarpal."""

from ..preset import RigPreset, finger_bones

PRESET = RigPreset(
    name="VRM 1",
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
            {1: "Metacarpal", 2: "Proximal", 3: "Distal"},
        ),
    },
    source="VRMC_vrm-1.0 specification, humanoid bones",
    verified="names only",
)
