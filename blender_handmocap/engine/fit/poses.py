# SPDX-License-Identifier: GPL-3.0-or-later
"""From the solver's right-handed unknowns to a take's rotations and places."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from . import spatial
from .hinges import rotations_from_angles, unpack
from .kinematics import Chain, HandState
from .spatial import Array

_MIRROR = np.array([-1.0, 1.0, 1.0])


def hand_poses(state: HandState, left: NDArray[np.bool_] | bool, chain: Chain) -> tuple[Array, Array]:
    """Rotations (B, 16, 4) and translations (B, 3) of the hands themselves; `left` (B,) or one for all."""
    root = rotations.quaternion_from_matrix(spatial.to_batch_first(state.root))
    turned = rotations_from_angles(unpack(state.angles.T, chain.hinges), chain.hinges, root)
    mirror = np.broadcast_to(np.asarray(left), (state.count,))
    turned = np.where(mirror[:, None, None], rotations.mirrored(turned), turned)
    place = state.translation.T * np.where(mirror[:, None], _MIRROR, 1.0)
    return turned, place
