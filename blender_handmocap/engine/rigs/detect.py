# SPDX-License-Identifier: GPL-3.0-or-later
"""Which preset a rig follows, with a score; and a guess from names and structure for rigs no preset knows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..hand.names import FINGERS, JOINT_NAMES, JOINT_PARENTS, SIDES, Side
from .preset import NEEDED_ROLES, BoneMap, RigPreset, mapped
from .presets import PRESETS
from .skeleton import RestSkeleton

GUESSED: Final = "guessed"
_LEAST_SCORE: Final = 0.5

_FINGER_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "thumb": ("thumb", "pollex", "oya", "daumen"),
    "index": ("index", "pointer", "fore", "hito", "point"),
    "middle": ("middle", "mid", "naka"),
    "ring": ("ring", "kusuri"),
    "pinky": ("pinky", "pinkie", "little", "small", "ko"),
}
_WRIST_WORDS: Final = ("hand", "wrist")
_SIDE_WORDS: Final[Mapping[Side, tuple[str, ...]]] = {"left": ("left", "l", "lft"), "right": ("right", "r", "rgt")}
_NOT_DEFORMING: Final = frozenset({"ik", "mch", "org", "master", "target", "pole", "tweak", "twist", "ctrl", "control"})


@dataclass(frozen=True)
class Detection:
    """What was found for one rig."""

    preset: RigPreset | None
    """None: guessed from structure"""
    maps: Mapping[Side, BoneMap]
    score: float
    """0..1: share of the needed bones found, with their parents in the right order"""


def detect(skeleton: RestSkeleton, presets: Sequence[RigPreset] = PRESETS) -> list[Detection]:
    """Every preset that fits at least half, best first; the guess last unless nothing else fits."""
    found = [detection for preset in presets if (detection := _try(preset, skeleton)).score >= _LEAST_SCORE]
    found.sort(key=lambda detection: -detection.score)
    guess = _guess(skeleton)
    return [*found, guess] if guess.score >= _LEAST_SCORE else found


def _try(preset: RigPreset, skeleton: RestSkeleton) -> Detection:
    names = frozenset(skeleton.names)
    maps: dict[Side, BoneMap] = {side: mapped(preset, names, side) for side in SIDES}
    score = max(_score(skeleton, bones) for bones in maps.values())
    # Of two presets that find every needed bone, the one that explains more of the rig is meant.
    extra = sum(len(bones.bones) for bones in maps.values()) / max(1, 2 * len(preset.bones))
    return Detection(preset=preset, maps=maps, score=score * (0.9 + 0.1 * extra))


def _score(skeleton: RestSkeleton, bones: BoneMap) -> float:
    """Share of needed roles whose bone is there and hangs, directly or not, from its parent role's bone."""
    good = 0
    for role in NEEDED_ROLES:
        name = bones.bones.get(role)
        if name is None:
            continue
        parent = JOINT_PARENTS[JOINT_NAMES.index(role)]
        above = bones.bones.get(JOINT_NAMES[parent]) if parent >= 0 else None
        ancestors = [skeleton.names[i] for i in skeleton.ancestors(skeleton.index[name])]
        # Control rigs hang finger controls from helper bones, so only a wrong order counts against a bone.
        reversed_order = above is not None and name in [
            skeleton.names[i] for i in skeleton.ancestors(skeleton.index[above])
        ]
        good += 1 if (above is None or above in ancestors or not reversed_order) else 0
    return good / len(NEEDED_ROLES)


def _words(name: str) -> list[str]:
    """`mixamorig:LeftHandIndex1` -> [mixamorig, left, hand, index, 1]"""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def _side_of(words: Sequence[str]) -> Side | None:
    for side in SIDES:
        if any(word in _SIDE_WORDS[side] for word in words):
            return side
    return None


def _guess(skeleton: RestSkeleton) -> Detection:
    """Chains of three bones whose names tell finger and side, under the nearest bone that tells a hand."""
    words = [_words(name) for name in skeleton.names]
    maps: dict[Side, BoneMap] = {}
    for side in SIDES:
        bones: dict[str, str] = {}
        for finger in FINGERS:
            chain = _finger_chain(skeleton, words, finger, side)
            bones.update({f"{finger}{k + 1}": skeleton.names[bone] for k, bone in enumerate(chain)})
        wrist = _wrist_above(skeleton, words, [skeleton.index[name] for name in bones.values()])
        if wrist is not None:
            bones["wrist"] = skeleton.names[wrist]
        maps[side] = BoneMap(side=side, bones=bones, preset=GUESSED)
    score = max(_score(skeleton, bones) for bones in maps.values())
    # A guess never outranks a preset that fits as well.
    return Detection(preset=None, maps=maps, score=0.85 * score)


def _finger_chain(skeleton: RestSkeleton, words: Sequence[Sequence[str]], finger: str, side: Side) -> list[int]:
    """The last three bones of the longest chain of bones named after this finger and side."""
    named = {
        bone
        for bone, spelled in enumerate(words)
        if any(word in _FINGER_WORDS[finger] for word in spelled)
        and _side_of(spelled) == side
        and not _NOT_DEFORMING.intersection(spelled)
    }
    best: list[int] = []
    for bone in named:
        chain = [bone]
        while skeleton.parents[chain[0]] in named:
            chain.insert(0, skeleton.parents[chain[0]])
        if len(chain) > len(best):
            best = chain
    if len(best) >= 4 and ("tip" in words[best[-1]] or "end" in words[best[-1]] or "4" in words[best[-1]]):
        best = best[:-1]
    return best[-3:] if len(best) >= 3 else best


def _wrist_above(skeleton: RestSkeleton, words: Sequence[Sequence[str]], fingers: Sequence[int]) -> int | None:
    """The nearest common ancestor of all finger bones, preferring one that is named after a hand."""
    if not fingers:
        return None
    shared = [a for a in skeleton.ancestors(fingers[0]) if all(a in skeleton.ancestors(f) for f in fingers)]
    named = [a for a in shared if any(word in _WRIST_WORDS for word in words[a])]
    return next(iter(named or shared), None)
