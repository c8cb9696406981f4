# SPDX-License-Identifier: GPL-3.0-or-later
"""The character's hands as the engine sees them, with what the take does on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import bpy
import numpy as np
from numpy.typing import NDArray

from ..engine import rotations
from ..engine.errors import BadInputError
from ..engine.hand.free import free_hand, free_hinges
from ..engine.hand.model import RestHand
from ..engine.hand.names import SIDES, Side
from ..engine.rigs.contact import Performed, keep_contacts
from ..engine.rigs.figure import rest_on_rig
from ..engine.rigs.preset import BoneMap
from ..engine.rigs.retarget import HandFit, fit_hand
from ..engine.rigs.skeleton import RestSkeleton
from ..engine.rigs.touches import touches_of
from ..engine.take import Take

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Hand:
    """One hand of the character through a take of T frames."""

    side: Side
    bones: BoneMap
    fit: HandFit
    rest: RestHand
    """its own proportions, metres in the world"""
    present: NDArray[np.bool_]
    """(T,) frames in which the take has this hand"""
    rotation: Array
    """(T, 16, 4) as in the take, a pose in every frame; joint 0 canonical to camera, or to the world once placed"""
    translation: Array
    """(T, 3) wrist; metres in camera axes, or in the world once placed"""

    @property
    def wrist(self) -> str:
        """The wrist's bone."""
        return self.bones.bones["wrist"]


def hands_of(
    take: Take, armature: bpy.types.Object, skeleton: RestSkeleton, maps: Mapping[Side, BoneMap]
) -> dict[Side, Hand]:
    """The hands that the take has and the character has bones for."""
    hands: dict[Side, Hand] = {}
    unit = float(np.mean(np.abs(armature.matrix_world.to_scale())))
    for side in SIDES:
        track = take.track(side)
        if side not in maps or not maps[side].bones or not track.present.any():
            continue
        gone = [name for name in maps[side].bones.values() if name not in skeleton.index]
        if gone:
            raise BadInputError(f"{armature.name} has no bone {gone[0]}; choose another in the bone list.")
        model = free_hand(side)
        fit = fit_hand(skeleton, maps[side], model)
        # Where the hand is away its nearest pose stands in, so that curves over time have no holes.
        there = np.flatnonzero(track.present)
        nearest = there[np.abs(np.arange(len(take))[:, None] - there).argmin(1)]
        rest = rest_on_rig(skeleton, maps[side], fit, model, unit=unit)
        hands[side] = Hand(
            side, maps[side], fit, rest, track.present, track.rotation[nearest], track.translation[nearest]
        )
    if not hands:
        raise BadInputError("The take holds no hand that the character has bones for; choose them in the bone list.")
    return hands


def with_pinches(take: Take, hands: Mapping[Side, Hand]) -> dict[Side, Hand]:
    """Each hand with its own pinches kept on its own fingers."""
    still = {side: replace(hand, rotation=_unturned(hand.rotation)) for side, hand in hands.items()}
    kept = _kept(take, still, between_hands=False)
    return {
        side: replace(hand, rotation=np.concatenate([hand.rotation[:, :1], kept[side].rotation[:, 1:]], axis=1))
        for side, hand in hands.items()
    }


def with_touches(take: Take, hands: Mapping[Side, Hand]) -> dict[Side, Hand]:
    """Placed hands with pinches and the contacts between them kept."""
    kept = _kept(take, hands, between_hands=True)
    return {
        side: replace(hand, rotation=kept[side].rotation, translation=kept[side].translation)
        for side, hand in hands.items()
    }


def _kept(take: Take, hands: Mapping[Side, Hand], *, between_hands: bool) -> dict[Side, Performed]:
    if str(take.meta.get("hand_model", "")).startswith("mano"):
        # The shape of a user's MANO hand means nothing to ours; its size does.
        take = take.with_tracks(betas=np.zeros_like(take.betas))
    touches = touches_of(take, {side: free_hand(side) for side in SIDES}, between_hands=between_hands)
    performed = {
        side: Performed(
            model=free_hand(side),
            hinges=free_hinges(side),
            source=free_hand(side).rest(take.betas, take.size),
            rest=hand.rest,
            rotation=hand.rotation,
            translation=hand.translation,
        )
        for side, hand in hands.items()
    }
    return keep_contacts(touches, performed, take.time, move_wrists=between_hands)


def _unturned(rotation: Array) -> Array:
    out = rotation.copy()
    out[:, 0] = rotations.IDENTITY
    return out
