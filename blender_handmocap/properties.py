# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to a scene or to a hand: `Scene.handmocap` and, on a hand's armature object, `Object.handmocap`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import bpy

from .bridge import hand_rig

BETA_COUNT: Final = 10


def _hands_shaped_together(armature: bpy.types.Object) -> list[bpy.types.Object]:
    """The hand itself, and its partner where the scene says that both are one performer's."""
    hands = [armature]
    for scene in armature.users_scene:
        if scene.handmocap.same_shape:
            hands += [rig.armature for rig in hand_rig.find_hands(scene).values() if rig.armature not in hands]
    return hands


def _get_betas(self: HANDMOCAP_PG_hand) -> Sequence[float]:
    if hand_rig.side_of(self.id_data) is None:
        return [0.0] * BETA_COUNT
    return list(hand_rig.shape_of(self.id_data)[0])


def _set_betas(self: HANDMOCAP_PG_hand, value: Sequence[float]) -> None:
    if hand_rig.side_of(self.id_data) is not None:
        for armature in _hands_shaped_together(self.id_data):
            hand_rig.reshape(armature, betas=list(value))


def _get_palm(self: HANDMOCAP_PG_hand) -> float:
    return 0.0 if hand_rig.side_of(self.id_data) is None else hand_rig.shape_of(self.id_data)[1]


def _set_palm(self: HANDMOCAP_PG_hand, value: float) -> None:
    if hand_rig.side_of(self.id_data) is not None:
        for armature in _hands_shaped_together(self.id_data):
            hand_rig.reshape(armature, size=value)


class HANDMOCAP_PG_hand(bpy.types.PropertyGroup):
    """The shape of a hand. The values live in the armature's own data, so a file keeps them without HandMocap."""

    betas: bpy.props.FloatVectorProperty(
        name="Shape",
        description="Shape components, in standard deviations from the mean hand; joints and skin follow, keys stay",
        size=BETA_COUNT,
        soft_min=-3.0,
        soft_max=3.0,
        step=5,
        precision=2,
        options=set(),
        get=_get_betas,
        set=_set_betas,
    )
    palm_length: bpy.props.FloatProperty(
        name="Palm Length",
        description="From the wrist joint to the middle knuckle; the whole hand scales with it",
        min=0.02,
        max=0.5,
        soft_min=0.07,
        soft_max=0.13,
        step=0.1,
        precision=4,
        unit="LENGTH",
        options=set(),
        get=_get_palm,
        set=_set_palm,
    )


class HANDMOCAP_PG_scene(bpy.types.PropertyGroup):
    """Choices of one scene."""

    same_shape: bpy.props.BoolProperty(
        name="Both Hands Alike",
        description="Shape the left and the right hand together, as one performer's hands are",
        default=True,
        options=set(),
    )
