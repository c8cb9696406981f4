# SPDX-License-Identifier: GPL-3.0-or-later
"""BVH: one skeleton a hand, Y up, centimetres, joint rotations as ZXY degrees.

BVH has no gaps: frames in which a hand is absent repeat the nearest frame in which it is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..errors import BadInputError
from ..hand.model import HandModel, RestHand
from ..hand.names import JOINT_COUNT, JOINT_NAMES, JOINT_PARENTS, SIDE_SUFFIX, SIDES, TIP_JOINTS, Side
from ..take import HandTrack, Take

_CENTIMETRES = 100.0
_CAMERA_TO_Y_UP = np.diag([1.0, -1.0, -1.0])
"""Camera axes are x right, y down, z forward; BVH's are x right, y up, z towards the viewer."""


def write_bvh(take: Take, path: Path, *, models: dict[Side, HandModel], sides: Sequence[Side] = SIDES) -> None:
    """Write the hands that appear in the take; both stand under one root at the camera."""
    present = [side for side in sides if take.track(side).present.any()]
    if not present:
        raise BadInputError("The take holds no hand of the chosen side, so there is nothing to write; choose another.")
    lines = ["HIERARCHY", "ROOT camera", "{", "\tOFFSET 0 0 0", "\tCHANNELS 3 Xposition Yposition Zposition"]
    columns: list[NDArray[np.float64]] = [np.zeros((len(take), 3))]
    for side in present:
        rest = models[side].rest(take.betas, take.size)
        _write_joint(lines, side, rest, joint=0, depth=1)
        columns.append(_channels(take.track(side)))
    lines += ["}", "MOTION", f"Frames: {len(take)}", f"Frame Time: {1.0 / take.rate:.8f}"]
    values = np.concatenate(columns, axis=1)
    lines += [" ".join(f"{value:.6f}" for value in row) for row in values]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def _children(joint: int) -> list[int]:
    return [child for child in range(JOINT_COUNT) if JOINT_PARENTS[child] == joint]


def _depth_first(joint: int = 0) -> list[int]:
    return [joint, *(below for child in _children(joint) for below in _depth_first(child))]


def _write_joint(lines: list[str], side: Side, rest: RestHand, *, joint: int, depth: int) -> None:
    indent = "\t" * depth
    # The rest pose is written in canonical axes; rotation channels carry everything else.
    parent = JOINT_PARENTS[joint]
    offset = (rest.joints[joint] - rest.joints[parent]) * _CENTIMETRES if joint else np.zeros(3)
    lines += [
        f"{indent}JOINT {JOINT_NAMES[joint]}.{SIDE_SUFFIX[side]}",
        f"{indent}{{",
        f"{indent}\tOFFSET " + " ".join(f"{value:.6f}" for value in offset),
        f"{indent}\tCHANNELS "
        + ("6 Xposition Yposition Zposition " if joint == 0 else "3 ")
        + "Zrotation Xrotation Yrotation",
    ]
    for child in _children(joint):
        _write_joint(lines, side, rest, joint=child, depth=depth + 1)
    if joint in TIP_JOINTS:
        tip = (rest.tips[TIP_JOINTS.index(joint)] - rest.joints[joint]) * _CENTIMETRES
        lines += [
            f"{indent}\tEnd Site",
            f"{indent}\t{{",
            f"{indent}\t\tOFFSET " + " ".join(f"{value:.6f}" for value in tip),
            f"{indent}\t}}",
        ]
    lines.append(f"{indent}}}")


def _channels(track: HandTrack) -> NDArray[np.float64]:
    """(T, 6 + 15 * 3) in the order the hierarchy declares them."""
    nearest = _nearest_present(track)
    matrices = rotations.matrix_from_quaternion(track.rotation[nearest])
    matrices[:, 0] = _CAMERA_TO_Y_UP @ matrices[:, 0]
    angles = np.degrees(_zxy(matrices))
    place = track.translation[nearest] @ _CAMERA_TO_Y_UP.T * _CENTIMETRES
    order = _depth_first()
    return np.concatenate([place, *(angles[:, joint] for joint in order)], axis=1)


def _nearest_present(track: HandTrack) -> NDArray[np.intp]:
    there = np.flatnonzero(track.present)
    frames = np.arange(len(track.state))
    after = np.clip(np.searchsorted(there, frames), 0, len(there) - 1)
    before = np.maximum(after - 1, 0)
    closer = np.abs(there[before] - frames) <= np.abs(there[after] - frames)
    return np.where(closer, there[before], there[after])


def _zxy(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrices (T, J, 3, 3) = Rz(a) Rx(b) Ry(c) -> (T, J, 3) radians (a, b, c), unwrapped over time."""
    b = np.arcsin(np.clip(matrix[..., 2, 1], -1.0, 1.0))
    a = np.arctan2(-matrix[..., 0, 1], matrix[..., 1, 1])
    c = np.arctan2(-matrix[..., 2, 0], matrix[..., 2, 2])
    return np.unwrap(np.stack([a, b, c], axis=-1), axis=0)
