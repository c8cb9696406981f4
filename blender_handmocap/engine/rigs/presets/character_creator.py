# SPDX-License-Identifier: GPL-3.0-or-later
"""Reallusion Character Creator and ActorCore."""

from ..preset import RigPreset, finger_bones

PRESET = RigPreset(
    name="Character Creator",
    bones={
        "wrist": "CC_Base_{S}_Hand",
        "forearm": "CC_Base_{S}_Forearm",
        "upper_arm": "CC_Base_{S}_Upperarm",
        **finger_bones(
            "CC_Base_{S}_{finger}{level}",
            {"thumb": "Thumb", "index": "Index", "middle": "Mid", "ring": "Ring", "pinky": "Pinky"},
            {1: "1", 2: "2", 3: "3"},
        ),
    },
    source="names as listed in the VRM add-on (cc_mapping.py)",
    verified="names only",
)
