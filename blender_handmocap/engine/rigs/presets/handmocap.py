# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own hands rig."""

from ..preset import RigPreset, finger_bones

PRESET = RigPreset(
    name="HandMocap hands",
    bones={
        "wrist": "wrist.{S}",
        **finger_bones(
            "{finger}{level}.{S}",
            {"thumb": "thumb", "index": "index", "middle": "middle", "ring": "ring", "pinky": "pinky"},
            {1: "1", 2: "2", 3: "3"},
        ),
    },
    source="bridge/hand_rig.py",
    verified="real skeleton",
)
