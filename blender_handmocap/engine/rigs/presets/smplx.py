# SPDX-License-Identifier: GPL-3.0-or-later
"""SMPL-X and SMPL-H body models."""

from ..preset import RigPreset, finger_bones

PRESET = RigPreset(
    name="SMPL-X",
    bones={
        "wrist": "{side}_wrist",
        "forearm": "{side}_elbow",
        "upper_arm": "{side}_shoulder",
        **finger_bones(
            "{side}_{finger}{level}",
            {"thumb": "thumb", "index": "index", "middle": "middle", "ring": "ring", "pinky": "pinky"},
            {1: "1", 2: "2", 3: "3"},
        ),
    },
    source="smplx package, joint_names.py",
    verified="names only",
)
