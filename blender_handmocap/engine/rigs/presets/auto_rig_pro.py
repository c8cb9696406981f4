# SPDX-License-Identifier: GPL-3.0-or-later
"""Auto-Rig Pro: the controls of a finished rig."""

from ..preset import RigPreset, finger_bones

PRESET = RigPreset(
    name="Auto-Rig Pro",
    bones={
        "wrist": "c_hand_fk.{s}",
        "index0": "c_index1_base.{s}",
        "middle0": "c_middle1_base.{s}",
        "ring0": "c_ring1_base.{s}",
        "pinky0": "c_pinky1_base.{s}",
        **finger_bones(
            "c_{finger}{level}.{s}",
            {"thumb": "thumb", "index": "index", "middle": "middle", "ring": "ring", "pinky": "pinky"},
            {1: "1", 2: "2", 3: "3"},
        ),
    },
    source="Auto-Rig Pro documentation, bone names of the rig",
    verified="names only",
    switches={"c_hand_ik.{s}": ("ik_fk_switch", 1.0)},
    target="c_hand_ik.{s}",
    shown_wrist="hand.{s}",
    target_switches={"c_hand_ik.{s}": ("ik_fk_switch", 0.0)},
)
