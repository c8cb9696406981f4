# SPDX-License-Identifier: GPL-3.0-or-later
"""Hands that a body's own animation holds: brought together where they touch in the take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ..engine import rotations
from ..engine.hand.names import Side
from ..engine.rigs.arm import Arm
from ..engine.take import Take
from .character_hand import Hand, with_touches
from .frames import WORLD_FROM_CAMERA
from .rig_motion import RigMotion

if TYPE_CHECKING:
    from .character_rig import Rig

_NEAR: Final = 0.3
"""share of its length by which an arm may be moved so that hands touch; more would be another gesture of the body"""
_UNMOVED: Final = 1e-4
"""metres"""


def brought_together(
    rig: Rig,
    take: Take,
    hands: Mapping[Side, Hand],
    motion: RigMotion,
    arms: Mapping[Side, Arm | None],
    wrists: Mapping[Side, str],
    movable: bool,
    notes: list[str],
) -> dict[Side, Hand]:
    """The hands in the world where the body has them, moved so that what touches in the take touches here.

    `wrists` are the bones that show where each hand is, whatever moves the arms. Empty, with a note where there is
    something to say, when nothing touches or an arm is not `movable`.
    """
    if len(hands) < 2:
        return {}
    placed = {}
    for side, hand in hands.items():
        rotation = hand.rotation.copy()
        root = WORLD_FROM_CAMERA @ rotations.matrix_from_quaternion(hand.rotation[:, 0])
        rotation[:, 0] = rotations.continuous(rotations.quaternion_from_matrix(root))
        where = motion.in_world(motion.posed[wrists[side]][:, :3, 3])
        placed[side] = replace(hand, rotation=rotation, translation=where)
    kept = with_touches(take, placed)
    moved = {side: np.linalg.norm(kept[side].translation - placed[side].translation, axis=-1) for side in hands}
    farthest = max(float(moved[side][hand.present].max()) for side, hand in hands.items())
    if farthest < _UNMOVED:
        return {}
    if not movable:
        notes.append(
            f"An arm of {rig.armature.name} was not found, so its hands were not brought together where they touch; "
            "choose forearm and upper arm in the bone list."
        )
        return {}
    lengths = [rig.length(arm) for arm in arms.values() if arm is not None]
    length = min(lengths, default=np.inf) * float(np.mean(np.abs(rig.armature.matrix_world.to_scale())))
    if farthest > _NEAR * length:
        notes.append(
            f"Where the hands touch in the take the body holds them up to {200.0 * farthest:.0f} cm apart, too far to "
            "bring them together; take over Hands in Space, or move the body's arms."
        )
        return {}
    return kept
