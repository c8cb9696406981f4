# SPDX-License-Identifier: GPL-3.0-or-later
"""The free hand that ships: models/hand.npz, baked by training/hand from CC0 material.

Keys of the file (right hand, canonical axes, metres, flat reference pose):

    template (V,3) f4, shape_dirs (10,V,3) f2      the model mesh, wrist capped
    joints (16,3), joint_dirs (10,16,3)            MANO's order and tree
    joint_vertices (16,K) u2, joint_shares (16,K)  the same as weighted means of vertices
    tips (5,3), tip_dirs (10,5,3)                  fingertips, FINGERS order
    tip_vertices (5,) u2                           the same as vertices
    weight_index (V,4) u1, weight (V,4) f2         skin, at most 4 joints a vertex
    quads (Q,4) u2, cap (C,3) u2                   faces; the cap closes the wrist
    uv (U,2) f4, quad_uv (Q,4) u2, cap_uv (C,3) u2
    part (V,) u1                                   PART_NAMES index
    nail (V,) u1                                   0..255, how much of a fingernail there is
    arm_template (A,3), arm_shape_dirs (10,A,3)    extra vertices of the rendering variant
    arm_quads (R,4) u2, arm_quad_uv (R,4) u2       indices into template followed by arm_template
    arm_weight (V+A,) f4                           share of the forearm in each vertex
    hinge_frame (16,3,3)                           columns: flexion, abduction, twist axis of a joint
    hinge_limits (16,3,2) radians, hinge_free (16,3) bool
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..errors import ModelFileError
from .model import Array, HandModel, IntArray
from .names import JOINT_COUNT, Side

HAND_FILE: Final = Path(__file__).resolve().parents[2] / "models" / "hand.npz"


MIRRORED_AXIS: Final = np.array([[1.0], [-1.0], [-1.0]])
"""Axes as columns in the mirror that flips x: an axis is a pseudo-vector, so its y and z change sign."""


@dataclass(frozen=True)
class HandSurface:
    """What drawing needs beyond skinning; indices are into the template unless said otherwise."""

    quads: IntArray
    cap: IntArray
    uv: Array
    quad_uv: IntArray
    cap_uv: IntArray
    part: NDArray[np.uint8]
    arm_template: Array
    arm_shape_dirs: Array
    arm_quads: IntArray
    arm_quad_uv: IntArray
    arm_weight: Array


@dataclass(frozen=True)
class Hinges:
    """Anatomy of the joints: axes in canonical axes at rest, and how far each may turn."""

    frame: Array
    """(16, 3, 3) columns: flexion, abduction, twist; right-handed"""
    limits: Array
    """(16, 3, 2) radians, lowest and highest"""
    free: NDArray[np.bool_]
    """(16, 3) which of the three turn at all"""


@lru_cache(maxsize=2)
def _read(path: Path) -> tuple[dict[str, NDArray[np.generic]], str]:
    try:
        raw = path.read_bytes()
        with np.load(io.BytesIO(raw), allow_pickle=False) as file:
            return {key: file[key] for key in file.files}, hashlib.sha256(raw).hexdigest()
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ModelFileError(
            f"The hand model {path.name} is missing or damaged ({error}); install HandMocap again."
        ) from error


def free_hand(side: Side, path: Path = HAND_FILE) -> HandModel:
    """The free hand of one side."""
    data, sha256 = _read(path)
    index, weight = data["weight_index"].astype(np.intp), data["weight"].astype(np.float64)
    dense = np.zeros((len(index), JOINT_COUNT))
    np.add.at(dense, (np.arange(len(index))[:, None], index), weight)
    quads = data["quads"].astype(np.int32)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]], data["cap"].astype(np.int32)])
    right = HandModel(
        id="handmocap-free-hand/1",
        sha256=sha256,
        side="right",
        template=data["template"].astype(np.float64),
        shape_dirs=data["shape_dirs"].astype(np.float64),
        joints=data["joints"].astype(np.float64),
        joint_dirs=data["joint_dirs"].astype(np.float64),
        tips=data["tips"].astype(np.float64),
        tip_dirs=data["tip_dirs"].astype(np.float64),
        weights=dense / dense.sum(1, keepdims=True),
        triangles=triangles,
    )
    return right if side == "right" else right.mirrored()


def free_surface(path: Path = HAND_FILE) -> HandSurface:
    """Faces, UVs, part labels and the forearm of the right free hand."""
    data, _ = _read(path)

    def indices(key: str) -> IntArray:
        return data[key].astype(np.int32)

    def lengths(key: str) -> Array:
        return data[key].astype(np.float64)

    return HandSurface(
        quads=indices("quads"),
        cap=indices("cap"),
        uv=lengths("uv"),
        quad_uv=indices("quad_uv"),
        cap_uv=indices("cap_uv"),
        part=data["part"].astype(np.uint8),
        arm_template=lengths("arm_template"),
        arm_shape_dirs=lengths("arm_shape_dirs"),
        arm_quads=indices("arm_quads"),
        arm_quad_uv=indices("arm_quad_uv"),
        arm_weight=lengths("arm_weight"),
    )


def free_hinges(side: Side, path: Path = HAND_FILE) -> Hinges:
    """Hinge axes and limits; the left hand's turn by the same angles as its mirror image."""
    data, _ = _read(path)
    hinges = Hinges(
        # Rounded to single precision in the file; a frame is a rotation to the last digit.
        frame=rotations.nearest_rotation(data["hinge_frame"]),
        limits=data["hinge_limits"].astype(np.float64),
        free=data["hinge_free"].astype(bool),
    )
    return hinges if side == "right" else replace(hinges, frame=hinges.frame * MIRRORED_AXIS)
