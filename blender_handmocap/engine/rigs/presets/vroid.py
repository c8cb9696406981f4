# SPDX-License-Identifier: GPL-3.0-or-later
"""VRoid Studio avatars, the most common VRM skeleton."""

from ..preset import RigPreset, finger_bones

PRESET = RigPreset(
    name="VRoid",
    bones={
        "wrist": "J_Bip_{S}_Hand",
        "forearm": "J_Bip_{S}_LowerArm",
        "upper_arm": "J_Bip_{S}_UpperArm",
        **finger_bones(
            "J_Bip_{S}_{finger}{level}",
            {"thumb": "Thumb", "index": "Index", "middle": "Middle", "ring": "Ring", "pinky": "Little"},
            {1: "1", 2: "2", 3: "3"},
        ),
    },
    source="names as listed in the VRM add-on (vroid_mapping.py)",
    verified="names only",
)
