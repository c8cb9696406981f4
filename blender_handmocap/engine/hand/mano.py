# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's own MANO file as a HandModel, and MANO's conventions for translation.

MANO is licensed for research by its authors; its files are never shipped, fetched or needed.
The identity is MANO's template. A pickle is read without being run (safe_pickle).
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from .. import rotations
from ..errors import BadInputError
from .free import MIRRORED_AXIS, Hinges, free_hinges
from .model import Array, HandModel
from .names import FINGER_JOINTS, FINGERS, JOINT_COUNT, JOINT_NAMES, JOINT_PARENTS, TIP_JOINTS, Side
from .safe_pickle import LARGEST_FILE, read_data

MANO_VERTICES: Final = 778
MANO_TIP_VERTICES: Final = (744, 320, 443, 554, 671)
"""Thumb, index, middle, ring, pinky: the tips that `smplx` names for MANO's mesh."""
_KEYS: Final = ("v_template", "shapedirs", "J_regressor", "weights", "f", "kintree_table")
_SHAPE_COUNT: Final = 10


def load_mano(path: str | Path, side: Side, *, mend_left_shape: bool = True) -> HandModel:
    """Read MANO_RIGHT.pkl / MANO_LEFT.pkl or an .npz with the same keys.

    `mend_left_shape`: the published MANO_LEFT has the x of its first shape direction on the wrong side,
    so that equal betas make unlike hands; it is turned round where that is so.
    """
    source = Path(path)
    data = _read_npz(source) if source.suffix.lower() == ".npz" else read_data(source)
    if not isinstance(data, dict):
        raise _not_mano(source, "it holds no table of arrays")
    missing = [key for key in _KEYS if key not in data]
    if missing:
        raise _not_mano(source, f"it lacks {', '.join(missing)}")
    try:
        return _model(data, side, hashlib.sha256(source.read_bytes()).hexdigest(), mend_left_shape)
    except (ValueError, TypeError, IndexError) as error:
        raise _not_mano(source, error) from error


def _not_mano(source: Path, reason: object) -> BadInputError:
    return BadInputError(
        f"{source.name} is not a MANO hand ({reason}); choose MANO_RIGHT.pkl or MANO_LEFT.pkl as downloaded."
    )


def _read_npz(source: Path) -> dict[str, Any]:
    try:
        if source.stat().st_size > LARGEST_FILE:
            raise ValueError(f"it is larger than {LARGEST_FILE // 2**20} MB")
        with np.load(source, allow_pickle=False) as file:
            # The header tells the size, so that a small archive cannot unpack into all memory.
            if sum(info.file_size for info in file.zip.infolist()) > 4 * LARGEST_FILE:
                raise ValueError("it unpacks to more than a hand model has")
            return {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise _not_mano(source, error) from error


def _model(data: Mapping[str, Any], side: Side, sha256: str, mend_left_shape: bool) -> HandModel:
    def numbers(key: str, *shape: int | None) -> Array:
        array = np.asarray(data[key], np.float64)
        fits = array.ndim == len(shape) and all(n is None or n == m for n, m in zip(shape, array.shape, strict=True))
        if not fits or not np.isfinite(array).all():
            raise ValueError(f"{key} has shape {array.shape} or numbers that are not finite")
        return array

    template = numbers("v_template", None, 3)
    count = len(template)
    shape_dirs = numbers("shapedirs", count, 3, None)
    if shape_dirs.shape[2] < _SHAPE_COUNT:
        raise ValueError(f"shapedirs has {shape_dirs.shape[2]} components, not {_SHAPE_COUNT}")
    shape_dirs = np.moveaxis(shape_dirs[:, :, :_SHAPE_COUNT], 2, 0).copy()
    regressor = numbers("J_regressor", JOINT_COUNT, count)
    weights = numbers("weights", count, JOINT_COUNT)
    triangles = np.asarray(data["f"]).astype(np.int64)
    parents = np.asarray(data["kintree_table"]).astype(np.int64)[0]
    if tuple(parents[1:]) != JOINT_PARENTS[1:]:
        raise ValueError("its joints hang from each other in another order")
    if triangles.ndim != 2 or triangles.shape[1] != 3 or triangles.min() < 0 or triangles.max() >= count:
        raise ValueError("its faces name vertices that are not there")
    pose_dirs = None
    if "posedirs" in data:
        pose_dirs = np.moveaxis(numbers("posedirs", count, 3, 9 * (JOINT_COUNT - 1)), 2, 0).copy()
        pose_dirs = pose_dirs if np.any(pose_dirs) else None
    if side == "left" and mend_left_shape and _left_shape_is_wrong(shape_dirs, template, regressor):
        shape_dirs[:, :, 0] *= -1
    joints = regressor @ template
    tips = _tip_vertices(template, joints, weights)
    return HandModel(
        id="mano",
        sha256=sha256,
        side=side,
        template=template,
        shape_dirs=shape_dirs,
        joints=joints,
        joint_dirs=np.einsum("jv,bvc->bjc", regressor, shape_dirs),
        tips=template[tips],
        tip_dirs=shape_dirs[:, tips],
        weights=weights / weights.sum(1, keepdims=True),
        triangles=triangles.astype(np.int32),
        pose_dirs=pose_dirs,
    )


def _left_shape_is_wrong(shape_dirs: Array, template: Array, regressor: Array) -> bool:
    """Growing (component 0) moves a hand's points away from its wrist or towards it, in x as in y and z."""
    spread = template - (regressor @ template)[0]
    growth = shape_dirs[0]
    along_x = float((growth[:, 0] * spread[:, 0]).sum())
    along_rest = float((growth[:, 2] * spread[:, 2]).sum())
    return along_x * along_rest < 0


def _tip_vertices(template: Array, joints: Array, weights: Array) -> list[int]:
    """MANO's own tip vertices, or on another mesh the vertex farthest out along each finger's last bone."""
    if len(template) == MANO_VERTICES:
        return list(MANO_TIP_VERTICES)
    tips = []
    for joint in TIP_JOINTS:
        along = joints[joint] - joints[JOINT_PARENTS[joint]]
        own = weights[:, joint] > 0.5
        if not own.any():
            raise ValueError(f"no vertices follow the joint {JOINT_NAMES[joint]}")
        tips.append(int(np.where(own, template @ along, -np.inf).argmax()))
    return tips


def hinges_from_joints(model: HandModel) -> Hinges:
    """Hinge axes read from a model's own joints; how far they turn is the free hand's anatomy.

    A finger flexes about the axis across it in the plane of the palm's back; the free hand's axes are
    carried over by the smallest turn that lays its bone on the model's.
    """
    if model.side == "left":
        mirrored = hinges_from_joints(model.mirrored())
        return replace(mirrored, frame=mirrored.frame * MIRRORED_AXIS)
    free = free_hinges("right")
    rest = model.rest()
    frame = free.frame.copy()
    for finger in FINGERS:
        chain = FINGER_JOINTS[finger]
        ends = [rest.joints[chain[1]], rest.joints[chain[2]], rest.tips[FINGERS.index(finger)]]
        for joint, end in zip(chain, ends, strict=True):
            along = (end - rest.joints[joint]) / np.linalg.norm(end - rest.joints[joint])
            axis, cosine = np.cross(free.frame[joint, :, 2], along), float(free.frame[joint, :, 2] @ along)
            turn = np.arctan2(np.linalg.norm(axis), cosine) * axis / max(float(np.linalg.norm(axis)), 1e-12)
            frame[joint] = rotations.matrix_from_vector(turn) @ free.frame[joint]
    return Hinges(frame=frame, limits=free.limits, free=free.free)


def mano_translation(model: HandModel, betas: ArrayLike, wrist: ArrayLike) -> Array:
    """MANO's own translation t of v = R (v - J0) + J0 + t, from posed wrist joints (..., 3) in metres."""
    return np.asarray(wrist, np.float64) - _rest_wrist(model, betas)


def wrist_from_mano(model: HandModel, betas: ArrayLike, translation: ArrayLike) -> Array:
    """Posed wrist joints (..., 3) from MANO's own translation."""
    return np.asarray(translation, np.float64) + _rest_wrist(model, betas)


def _rest_wrist(model: HandModel, betas: ArrayLike) -> Array:
    origin: Array = model.joints[0] + np.tensordot(np.asarray(betas, np.float64), model.joint_dirs[:, 0], 1)
    return origin
