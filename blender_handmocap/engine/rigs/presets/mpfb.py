# SPDX-License-Identifier: GPL-3.0-or-later
"""MakeHuman and MPFB: the default rig."""

from ..preset import RigPreset, finger_bones

PRESET = RigPreset(
    name="MPFB default",
    bones={
        "wrist": "wrist.{S}",
        "index0": "metacarpal1.{S}",
        "middle0": "metacarpal2.{S}",
        "ring0": "metacarpal3.{S}",
        "pinky0": "metacarpal4.{S}",
        "forearm": "lowerarm01.{S}",
        "upper_arm": "upperarm01.{S}",
        **finger_bones(
            "{finger}-{level}.{S}",
            {"thumb": "finger1", "index": "finger2", "middle": "finger3", "ring": "finger4", "pinky": "finger5"},
            {1: "1", 2: "2", 3: "3"},
        ),
    },
    source="MPFB2 data, rigs/standard/rig.default.json",
    verified="real skeleton",
)
