# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes of what hands wear and hold, and of what stands about them."""

from __future__ import annotations

from collections.abc import Sequence

from blender_handmocap.engine.hand.model import RestHand

from .bodies import Body
from .scene import HandPose, Thing, Wear


def worn(wear: Wear, hand: HandPose, rest: RestHand, skin: Body) -> list[Body]:
    """The bodies of something worn."""
    return []


def body(thing: Thing, hands: Sequence[HandPose], rests: Sequence[RestHand]) -> list[Body]:
    """The bodies of a free thing."""
    return []
