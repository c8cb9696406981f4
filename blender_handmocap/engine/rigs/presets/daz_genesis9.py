# SPDX-License-Identifier: GPL-3.0-or-later
"""DAZ Genesis 9."""

from ..preset import RigPreset, finger_bones

PRESET = RigPreset(
    name="DAZ Genesis 9",
    bones={
        "wrist": "{s}_hand",
        "index0": "{s}_indexmetacarpal",
        "middle0": "{s}_midmetacarpal",
        "ring0": "{s}_ringmetacarpal",
        "pinky0": "{s}_pinkymetacarpal",
        "forearm": "{s}_forearm",
        "upper_arm": "{s}_upperarm",
        **finger_bones(
            "{s}_{finger}{level}",
            {"thumb": "thumb", "index": "index", "middle": "mid", "ring": "ring", "pinky": "pinky"},
            {1: "1", 2: "2", 3: "3"},
        ),
    },
    source="Genesis 9 figure as imported by the DAZ importer",
    verified="names only",
)
