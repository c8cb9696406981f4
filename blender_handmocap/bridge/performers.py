# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer's hand on a scene: what its sliders show and what its hand rigs have are one."""

from __future__ import annotations

import bpy

from ..engine.performer import Performer
from ..engine.take import Take


def take_over(scene: bpy.types.Scene, performer: Performer, *, rename: bool = True) -> None:
    """Give the scene's performer, and with it its hands, this shape; captures use it from now on."""
    chosen = scene.handmocap
    if rename:
        chosen.performer = performer.name
    # The properties' own update moves the hands.
    chosen.palm, chosen.betas = performer.palm_mm, performer.betas
    chosen.use_performer = any(performer.betas) or rename


def follow(scene: bpy.types.Scene, take: Take) -> None:
    """After a take gave the hands its shape, the sliders show it."""
    chosen = scene.handmocap
    chosen.palm, chosen.betas = take.size * 1000.0, take.betas.tolist()
