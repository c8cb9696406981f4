# SPDX-License-Identifier: GPL-3.0-or-later
"""A character's hand laid flat as we lay ours: its own proportions, our axes.

A retargeted bone points exactly where our joint's does, so a rig's hand is our hand with other bone lengths, and
everything that is known of our hand's kinematics holds for it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..hand.model import HandModel, RestHand
from ..hand.names import FINGERS, JOINT_NAMES, PALM_LENGTH_JOINT, TIP_JOINTS
from .preset import BoneMap
from .retarget import HandFit
from .skeleton import RestSkeleton

Array = NDArray[np.float64]

_BELIEVABLE_TIP: Final = (0.6, 1.6)
"""A last bone this much shorter or longer than ours, next to the bone before it, was not drawn to the fingertip."""


def rest_on_rig(
    skeleton: RestSkeleton, bones: BoneMap, fit: HandFit, model: HandModel, *, unit: float = 1.0
) -> RestHand:
    """The rig's hand as a rest hand: canonical axes, wrist at 0, armature units times `unit`.

    Joints without a bone stand where ours do, at the rig's scale; a fingertip is the end of its last bone when
    that can be believed.
    """
    at = {role: skeleton.index[name] for role, name in bones.bones.items()}
    ours = model.rest()
    joints, tips = ours.joints * fit.scale, ours.tips * fit.scale
    wrist = skeleton.heads[at["wrist"]]
    for index, finger in enumerate(FINGERS):
        first = JOINT_NAMES.index(f"{finger}1")
        if f"{finger}1" in at:
            joints[first] = (skeleton.heads[at[f"{finger}1"]] - wrist) @ fit.palm
        for level in (2, 3):
            joint, role, before = first + level - 1, f"{finger}{level}", f"{finger}{level - 1}"
            along = ours.joints[joint] - ours.joints[joint - 1]
            length = float(np.linalg.norm(along)) * fit.scale
            if role in at and before in at:
                length = float(np.linalg.norm(skeleton.heads[at[role]] - skeleton.heads[at[before]]))
            joints[joint] = joints[joint - 1] + along / np.linalg.norm(along) * length
        along = ours.tips[index] - ours.joints[first + 2]
        ratio = float(np.linalg.norm(along) / np.linalg.norm(ours.joints[first + 2] - ours.joints[first + 1]))
        guessed = ratio * float(np.linalg.norm(joints[first + 2] - joints[first + 1]))
        length = _drawn_length(skeleton, at.get(f"{finger}3"))
        if not _BELIEVABLE_TIP[0] * guessed < length < _BELIEVABLE_TIP[1] * guessed:
            length = guessed
        tips[index] = joints[TIP_JOINTS[index]] + along / np.linalg.norm(along) * length
    joints, tips = joints * unit, tips * unit
    palm = float(np.linalg.norm(joints[PALM_LENGTH_JOINT]))
    return RestHand(joints=joints, tips=tips, scale=palm / model.palm_length, betas=ours.betas, sized=True)


def _drawn_length(skeleton: RestSkeleton, bone: int | None) -> float:
    """To the one bone that hangs from a last bone (a leaf some programs write), else to its tail."""
    if bone is None:
        return 0.0
    below = skeleton.children(bone)
    end = skeleton.heads[below[0]] if len(below) == 1 else skeleton.tails[bone]
    return float(np.linalg.norm(end - skeleton.heads[bone]))
