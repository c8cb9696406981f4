# SPDX-License-Identifier: GPL-3.0-or-later
"""Rigify: the human metarig itself."""

from ..preset import RigPreset, finger_bones

PRESET = RigPreset(
    name="Rigify metarig",
    bones={
        "wrist": "hand.{S}",
        "index0": "palm.01.{S}",
        "middle0": "palm.02.{S}",
        "ring0": "palm.03.{S}",
        "pinky0": "palm.04.{S}",
        "forearm": "forearm.{S}",
        "upper_arm": "upper_arm.{S}",
        **finger_bones(
            "{finger}.{level}.{S}",
            {"index": "f_index", "middle": "f_middle", "ring": "f_ring", "pinky": "f_pinky", "thumb": "thumb"},
            {1: "01", 2: "02", 3: "03"},
        ),
    },
    source="Blender's bundled rigify, rigs/limbs/super_finger.py and arm.py, and its human metarig",
    verified="real skeleton",
)
