# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rig preset. A new one is one file and one entry here."""

from typing import Final

from ..preset import RigPreset
from . import (
    auto_rig_pro,
    character_creator,
    daz_genesis8,
    daz_genesis9,
    handmocap,
    mixamo,
    mpfb,
    rigify,
    rigify_metarig,
    smplx,
    unreal4,
    unreal5,
    vrm0,
    vrm1,
    vroid,
)

PRESETS: Final[tuple[RigPreset, ...]] = (
    handmocap.PRESET,
    rigify.PRESET,
    rigify_metarig.PRESET,
    mixamo.PRESET,
    vrm1.PRESET,
    vrm0.PRESET,
    vroid.PRESET,
    unreal5.PRESET,
    unreal4.PRESET,
    mpfb.PRESET,
    smplx.PRESET,
    daz_genesis8.PRESET,
    daz_genesis9.PRESET,
    auto_rig_pro.PRESET,
    character_creator.PRESET,
)
