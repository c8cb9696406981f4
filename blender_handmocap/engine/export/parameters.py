# SPDX-License-Identifier: GPL-3.0-or-later
"""MANO parameters as .npz or .json: 45 axis-angles, root rotation, MANO's own translation.

MANO places a hand by v = R (v - J0) + J0 + t, a take by its posed wrist joint, so t = wrist - J0.
The left hand is given in both conventions in use: `left` (MANO_LEFT's own values) and
`left_mirrored` (the values of the mirrored right hand, y and z of every axis-angle negated).
Betas are MANO's only when the take was solved with a MANO file; else they are zero and `size` tells the scale.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from .. import rotations
from ..hand.model import HandModel
from ..hand.names import SIDES, Side
from ..take import Take

_MIRROR_VECTOR = np.array([1.0, -1.0, -1.0])


def mano_parameters(take: Take, models: dict[Side, HandModel]) -> dict[str, np.ndarray[Any, Any]]:
    """Arrays ready for any MANO layer; camera axes (x right, y down, z forward), metres, radians."""
    is_mano = str(take.meta.get("hand_model", "")).startswith("mano")
    out: dict[str, np.ndarray[Any, Any]] = {
        "frame": take.frame,
        "time": take.time,
        "K": take.K,
        "size": np.array(take.size),
        "betas": take.betas if is_mano else np.zeros(10),
        "betas_are_mano": np.array(is_mano),
    }
    for side in SIDES:
        track = take.track(side)
        vectors = rotations.vector_from_quaternion(track.rotation)
        model = models[side]
        rest_wrist = model.joints[0] + np.tensordot(out["betas"], model.joint_dirs[:, 0], 1) if is_mano else np.zeros(3)
        out[f"{side}_present"] = track.present
        out[f"{side}_confidence"] = track.confidence
        out[f"{side}_global_orient"] = vectors[:, 0]
        out[f"{side}_hand_pose"] = vectors[:, 1:].reshape(len(take), 45)
        out[f"{side}_transl"] = track.translation - rest_wrist
        out[f"{side}_joints"] = track.points
    out["left_mirrored_global_orient"] = out["left_global_orient"] * _MIRROR_VECTOR
    out["left_mirrored_hand_pose"] = out["left_hand_pose"] * np.tile(_MIRROR_VECTOR, 15)
    return out


def write_npz(take: Take, path: Path, *, models: dict[Side, HandModel]) -> None:
    """All parameters as a compressed .npz without pickles."""
    np.savez_compressed(path, **mano_parameters(take, models))


def write_json(take: Take, path: Path, *, models: dict[Side, HandModel]) -> None:
    """All parameters as JSON; numbers that are not there are null."""
    data = {key: _plain(value) for key, value in mano_parameters(take, models).items()}
    path.write_text(json.dumps(data, allow_nan=False), encoding="utf-8")


def _plain(value: np.ndarray[Any, Any]) -> Any:
    if value.dtype.kind == "f":
        whole = value.astype(object)
        whole[~np.isfinite(value)] = None
        return whole.tolist()
    return value.tolist()
