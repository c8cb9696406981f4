# SPDX-License-Identifier: GPL-3.0-or-later
"""A rig's rest skeleton as plain arrays: what the bridge reads and retargeting works on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RestSkeleton:
    """Bones of an armature at rest, in armature space (any unit, any axes, right-handed)."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    """index of each bone's parent, -1 for roots; parents come before children"""
    heads: Array
    """(B, 3)"""
    tails: Array
    """(B, 3)"""
    axes: Array
    """(B, 3, 3) bone axes as columns; the bone points along its y"""

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Bone index by name."""
        return {name: i for i, name in enumerate(self.names)}

    def ancestors(self, bone: int) -> list[int]:
        """Parents of a bone, nearest first."""
        out = []
        while (bone := self.parents[bone]) >= 0:
            out.append(bone)
        return out

    def children(self, bone: int) -> list[int]:
        """Bones whose parent is `bone`."""
        return [i for i, parent in enumerate(self.parents) if parent == bone]
