# SPDX-License-Identifier: GPL-3.0-or-later
"""Rigify: the controls of a generated rig. Finger FK controls are keyed; masters stay neutral."""

from ..preset import RigPreset, finger_bones

PRESET = RigPreset(
    name="Rigify",
    bones={
        "wrist": "hand_fk.{S}",
        "index0": "palm.01.{S}",
        "middle0": "palm.02.{S}",
        "ring0": "palm.03.{S}",
        "pinky0": "palm.04.{S}",
        "forearm": "forearm_fk.{S}",
        "upper_arm": "upper_arm_fk.{S}",
        **finger_bones(
            "{finger}.{level}.{S}",
            {"index": "f_index", "middle": "f_middle", "ring": "f_ring", "pinky": "f_pinky", "thumb": "thumb"},
            {1: "01", 2: "02", 3: "03"},
        ),
    },
    source="Blender's bundled rigify, rigs/limbs/super_finger.py and arm.py, and its human metarig",
    verified="real skeleton",
    hold_neutral=(
        "thumb.01_master.{S}",
        "f_index.01_master.{S}",
        "f_middle.01_master.{S}",
        "f_ring.01_master.{S}",
        "f_pinky.01_master.{S}",
    ),
    switches={"upper_arm_parent.{S}": ("IK_FK", 1.0)},
    target="hand_ik.{S}",
    shown_wrist="ORG-hand.{S}",
    target_switches={"upper_arm_parent.{S}": ("IK_FK", 0.0)},
)
