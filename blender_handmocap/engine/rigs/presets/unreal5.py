# SPDX-License-Identifier: GPL-3.0-or-later
"""Unreal Engine 5 mannequins and MetaHuman, with metacarpals."""

from ..preset import RigPreset, finger_bones

PRESET = RigPreset(
    name="Unreal 5",
    bones={
        "wrist": "hand_{s}",
        "index0": "index_metacarpal_{s}",
        "middle0": "middle_metacarpal_{s}",
        "ring0": "ring_metacarpal_{s}",
        "pinky0": "pinky_metacarpal_{s}",
        "forearm": "lowerarm_{s}",
        "upper_arm": "upperarm_{s}",
        **finger_bones(
            "{finger}_{level}_{s}",
            {"thumb": "thumb", "index": "index", "middle": "middle", "ring": "ring", "pinky": "pinky"},
            {1: "01", 2: "02", 3: "03"},
        ),
    },
    source="UE5 mannequin (Manny, Quinn); listed in Expy-Kit",
    verified="names only",
)
