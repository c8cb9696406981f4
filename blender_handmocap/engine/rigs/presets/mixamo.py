# SPDX-License-Identifier: GPL-3.0-or-later
"""Mixamo, with or without its prefix."""

from ..preset import RigPreset, finger_bones

PRESET = RigPreset(
    name="Mixamo",
    bones={
        "wrist": "{Side}Hand",
        "forearm": "{Side}ForeArm",
        "upper_arm": "{Side}Arm",
        **finger_bones(
            "{Side}Hand{finger}{level}",
            {"thumb": "Thumb", "index": "Index", "middle": "Middle", "ring": "Ring", "pinky": "Pinky"},
            {1: "1", 2: "2", 3: "3"},
        ),
    },
    source="names as exported by mixamo.com and listed in the VRM add-on (mixamo_mapping.py)",
    verified="names only",
    prefix=r"mixamorig\d*:",
)
