# SPDX-License-Identifier: GPL-3.0-or-later
"""A rig preset: which bone of a rig plays which part of a hand. Presets are data, one file each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from ..hand.names import FINGERS, JOINT_NAMES, Side

METACARPAL_ROLES: Final = tuple(f"{finger}0" for finger in FINGERS if finger != "thumb")
ROLES: Final = (*JOINT_NAMES, *METACARPAL_ROLES, "forearm", "upper_arm")
"""What a bone can be: the wrist, three bones a finger from the palm outwards, a metacarpal (level 0), the arm's two."""
NEEDED_ROLES: Final = JOINT_NAMES
"""A hand cannot be mapped whole without these; a rig that lacks some is mapped as far as it goes."""

_SIDES: Final[Mapping[Side, tuple[str, str, str, str]]] = {
    "left": ("L", "l", "Left", "left"),
    "right": ("R", "r", "Right", "right"),
}


@dataclass(frozen=True)
class RigPreset:
    """Names of one family of rigs. In a name `{S}` stands for L or R, `{s}` l or r, `{Side}` Left, `{side}` left."""

    name: str
    """as the user sees it"""
    bones: Mapping[str, str]
    """role -> bone name with placeholders"""
    source: str
    """where the names come from"""
    verified: Literal["real skeleton", "names only"]
    prefix: str = ""
    """regular expression of a prefix that bone names may carry, such as `mixamorig\\d*:`"""
    hold_neutral: tuple[str, ...] = ()
    """bones with placeholders that must stay at rest (masters that bend the fingers a second time)"""
    switches: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    """bone name with placeholders -> (custom property, value) that must be keyed for the mapped bones to show"""
    target: str = ""
    """bone with placeholders that takes the hand to a place in space (an IK control), where the rig has one"""
    target_switches: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    """as `switches`, for `target` to show"""
    shown_wrist: str = ""
    """bone with placeholders that is where the hand is, whether the mapped bones or `target` move it"""

    def bone_name(self, role: str, side: Side) -> str | None:
        """The name a rig of this family gives to `role`, without prefix."""
        pattern = self.bones.get(role)
        return None if pattern is None else filled(pattern, side)


def filled(pattern: str, side: Side) -> str:
    """A name with its placeholders filled for one side."""
    upper, lower, title, word = _SIDES[side]
    return pattern.format(S=upper, s=lower, Side=title, side=word)


def finger_bones(pattern: str, fingers: Mapping[str, str], levels: Mapping[int, str]) -> dict[str, str]:
    """Roles of all fingers from one pattern with `{finger}` and `{level}`; other placeholders stay."""
    return {
        f"{finger}{level}": pattern.replace("{finger}", word).replace("{level}", text)
        for finger, word in fingers.items()
        for level, text in levels.items()
    }


@dataclass(frozen=True)
class BoneMap:
    """The bones of one actual rig that play the roles of one hand."""

    side: Side
    bones: Mapping[str, str]
    """role -> actual bone name"""
    preset: str = ""

    @property
    def missing(self) -> tuple[str, ...]:
        """Needed roles no bone was found for."""
        return tuple(role for role in NEEDED_ROLES if role not in self.bones)


def mapped(preset: RigPreset, names: frozenset[str] | set[str], side: Side) -> BoneMap:
    """The bones among `names` that the preset knows for `side`; a prefix is tried as it stands in the rig."""
    plain = {_without_prefix(name, preset.prefix): name for name in sorted(names)}
    found = {}
    for role in preset.bones:
        wanted = preset.bone_name(role, side)
        if wanted in plain:
            found[role] = plain[wanted]
    return BoneMap(side=side, bones=found, preset=preset.name)


def _without_prefix(name: str, prefix: str) -> str:
    return re.sub(f"^(?:{prefix})", "", name) if prefix else name
