# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a detector sees the hand's points: one 21 x 3 table of offsets a definition.

A table row is the seen keypoint minus the model's keypoint of a **right** hand, in metres for a
hand of the model's own size (multiply by `RestHand.scale`). It is expressed in the hinge frame
(`Hinges.frame`: flexion, abduction, twist axis as columns) of the joint the keypoint moves with:
the keypoint's parent in `names.KEYPOINT_PARENTS`. The wrist, the thumb's root and the four
knuckles therefore move with the palm (joint 0, canonical axes: x towards the forearm, y dorsal,
z towards the thumb), the middle joint of a finger with its knuckle, a fingertip with the last joint.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelFileError
from ..hand.free import Hinges
from ..hand.names import KEYPOINT_COUNT, KEYPOINT_OF_JOINT, KEYPOINT_PARENTS, Side

Array = NDArray[np.float64]

MEDIAPIPE: Final = "mediapipe"
MODEL: Final = "model"
"""The definition of the model's own points: no offsets."""

OFFSETS_FOLDER: Final = Path(__file__).resolve().parent

_JOINT_OF_KEYPOINT: Final = {keypoint: joint for joint, keypoint in enumerate(KEYPOINT_OF_JOINT)}
OFFSET_JOINTS: Final = tuple(0 if parent < 0 else _JOINT_OF_KEYPOINT[parent] for parent in KEYPOINT_PARENTS)
"""(21,) the joint each keypoint's offset moves with."""


@lru_cache(maxsize=8)
def _read(definition: str) -> Array:
    path = OFFSETS_FOLDER / f"{definition}_offsets.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            table = file["offsets"].astype(np.float64)
    except (OSError, ValueError, KeyError) as error:
        raise ModelFileError(
            f"The keypoint offsets of the definition '{definition}' are missing or damaged ({error}); "
            "install HandMocap again."
        ) from error
    if table.shape != (KEYPOINT_COUNT, 3) or not np.isfinite(table).all():
        raise ModelFileError(f"{path.name} is not a table of keypoint offsets; install HandMocap again.")
    return table


def offsets(definition: str) -> Array:
    """The table (21, 3) of a definition: metres, hinge frames of a right hand; zeros for the model's own."""
    if definition == MODEL:
        return np.zeros((KEYPOINT_COUNT, 3))
    return _read(definition).copy()


def rest_offsets(definition: str, hinges: Hinges, side: Side) -> Array:
    """The same offsets (21, 3) in canonical axes at rest, for the hand of `side` whose hinges are given.

    seen keypoint k = keypoint k + scale * orientation of joint OFFSET_JOINTS[k] @ rest_offsets[k].
    """
    table = offsets(definition)
    frames = hinges.frame[list(OFFSET_JOINTS)]
    at_rest = np.einsum("kab,kb->ka", frames, table)
    # The axes of a left hand are pseudo-vectors of the mirror: the same coefficients point the other way.
    return at_rest if side == "right" else -at_rest
