# SPDX-License-Identifier: GPL-3.0-or-later
"""From the solver's right-handed unknowns to a take's rotations and places."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .. import rotations
from ..hand.free import Hinges, free_hinges
from ..hand.names import Side
from . import spatial
from .hinges import rotations_from_angles, unpack
from .kinematics import Chain, HandState
from .spatial import Array


@lru_cache(maxsize=2)
def _hinges(side: Side) -> Hinges:
    return free_hinges(side)


def hand_poses(state: HandState, side: Side, chain: Chain) -> tuple[Array, Array]:
    """Rotations (B, 16, 4) and translations (B, 3) of a side's own hand."""
    root = rotations.quaternion_from_matrix(spatial.to_batch_first(state.root))
    place = state.translation.T.copy()
    if side == "left":
        root = rotations.mirrored(root)
        place[:, 0] = -place[:, 0]
    return rotations_from_angles(unpack(state.angles.T, chain.hinges), _hinges(side), root), np.asarray(place)
