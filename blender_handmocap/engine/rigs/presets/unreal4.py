# SPDX-License-Identifier: GPL-3.0-or-later
"""Unreal Engine 4 mannequin."""

from ..preset import RigPreset, finger_bones

PRESET = RigPreset(
    name="Unreal 4",
    bones={
        "wrist": "hand_{s}",
        "forearm": "lowerarm_{s}",
        "upper_arm": "upperarm_{s}",
        **finger_bones(
            "{finger}_{level}_{s}",
            {"thumb": "thumb", "index": "index", "middle": "middle", "ring": "ring", "pinky": "pinky"},
            {1: "01", 2: "02", 3: "03"},
        ),
    },
    source="UE4 mannequin; listed in the VRM add-on (unreal_mapping.py) and Expy-Kit",
    verified="names only",
)
