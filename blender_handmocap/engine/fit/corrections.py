# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user fixed: kept exactly, while the frames around follow.

A corrected joint, point or place becomes a pin: a residual with a tiny sigma in its frame. What
the detector saw there was wrong, and probably was so in the frames around too, so the
observations a correction contradicts fade out towards it; time carries the correction on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..hand.names import JOINT_COUNT, KEYPOINT_COUNT, SIDES, Side
from ..take import CorrectionKind, Take
from . import kinematics, spatial
from .hinges import angles_from_rotations
from .kinematics import FIRST_ANGLE, POINT_BONE, POINT_ORDER, ROTATION, TRANSLATION, Chain, HandState
from .observations import undistorted
from .spatial import Array

FADE = 0.2
"""seconds on both sides of a correction in which contradicting observations fade out"""
_SURE = 1e-4
"""sigma of a pinned angle or turn (radians) and of a pinned place (metres)"""
_SURE_PIXEL = 0.02
"""sigma of a pinned point, pixels"""


@dataclass
class SideCorrections:
    """The corrections of one hand, by index into the take."""

    rotations: dict[tuple[int, int], Array] = field(default_factory=dict)
    """(frame, joint) -> quaternion (4,) of the take"""
    translations: dict[int, Array] = field(default_factory=dict)
    """frame -> metres (3,)"""
    points: dict[tuple[int, int], Array] = field(default_factory=dict)
    """(frame, keypoint) -> pixel (2,)"""
    hidden: set[int] = field(default_factory=set)
    absent: set[int] = field(default_factory=set)

    @property
    def posed_frames(self) -> set[int]:
        """Frames in which the user says where the hand, or a part of it, is."""
        return (
            {frame for frame, _ in self.rotations} | {frame for frame, _ in self.points} | set(self.translations)
        ) - self.absent


def of_side(take: Take, side: Side) -> SideCorrections:
    """Read the records of one hand; a later record about the same thing replaces an earlier one."""
    out = SideCorrections()
    for record in take.corrections:
        frame, index = int(record["frame"]), int(record["index"])
        if SIDES[int(record["side"])] != side or not 0 <= frame < len(take):
            continue
        kind, value = int(record["kind"]), np.array(record["value"], dtype=np.float64)
        if kind == CorrectionKind.ROTATION and index < JOINT_COUNT:
            out.rotations[frame, index] = rotations.normalized(value)
        elif kind == CorrectionKind.POINT and index < KEYPOINT_COUNT:
            out.points[frame, index] = value[:2]
        elif kind == CorrectionKind.TRANSLATION:
            out.translations[frame] = value[:3]
        elif kind == CorrectionKind.HIDDEN:
            out.hidden.add(frame)
        elif kind == CorrectionKind.ABSENT:
            out.absent.add(frame)
    return out


def faded(weight: Array, given: SideCorrections, frames: NDArray[np.intp], time: Array, when: Array) -> Array:
    """Observation weights (21, n) of `frames` (n,) at `time` (n,), less where a correction contradicts them.

    `when` (T,): the time of every frame of the take, as what is corrected may lie beside these frames.
    """
    out = weight.copy()
    for frame in given.hidden:
        out[:, frames == frame] = 0.0

    def fade(frame: int, points: NDArray[np.bool_]) -> None:
        if frame not in given.absent:
            share = np.clip(np.abs(time - when[frame]) / FADE, 0.0, 1.0)
            out[points] *= share * share

    for frame, joint in given.rotations:
        fade(frame, _moved_by(joint))
    for frame in given.translations:
        fade(frame, np.ones(KEYPOINT_COUNT, dtype=bool))
    for frame, keypoint in given.points:
        fade(frame, np.equal(POINT_ORDER, keypoint))
    return out


def _moved_by(joint: int) -> NDArray[np.bool_]:
    """(21,) points of the chain's order that turn with a joint."""
    if joint == 0:
        return np.ones(KEYPOINT_COUNT, dtype=bool)
    same_finger = (joint - 1) // 3 == (POINT_BONE - 1) // 3
    return np.asarray(same_finger & (joint <= POINT_BONE) & (POINT_BONE > 0))


@dataclass(frozen=True)
class Pins:
    """The corrections of a batch of B hands as quadratic terms; hands are right-handed."""

    diagonal: Array
    """(P, B) 1 / sigma^2 of each pinned unknown, 0 elsewhere"""
    target: HandState
    """where the pinned unknowns are held"""
    rays: Array
    """(2, 21, B) pinned points of the MODEL at unit depth, in the chain's order"""
    ray_precision: Array
    """(21, B) 1 / sigma of the same, 0 where no point is pinned"""

    @property
    def any(self) -> bool:
        return bool(self.diagonal.any() or self.ray_precision.any())

    def take(self, index: NDArray[np.intp]) -> Pins:
        """The hands of an index array."""
        return Pins(
            self.diagonal[:, index], self.target.take(index), self.rays[..., index], self.ray_precision[:, index]
        )

    def started(self, state: HandState) -> HandState:
        """A state with every pinned unknown at its target."""
        held = self.diagonal > 0.0
        return HandState(
            np.where(held[0], self.target.root, state.root),
            np.where(held[TRANSLATION], self.target.translation, state.translation),
            np.where(held[FIRST_ANGLE:-3], self.target.angles, state.angles),
            state.nuisance,
        )

    def evaluate(self, state: HandState) -> tuple[Array, Array]:
        """Cost (B,) and gradient (P, B) of the pinned unknowns; the normal matrix is `diagonal`."""
        away = np.zeros_like(self.diagonal)
        away[ROTATION] = spatial.logarithm(spatial.product(state.root, spatial.transposed(self.target.root)))
        away[TRANSLATION] = state.translation - self.target.translation
        away[FIRST_ANGLE:-3] = state.angles - self.target.angles
        gradient = away * self.diagonal
        return (away * gradient).sum(0), gradient


def concatenate(parts: list[Pins]) -> Pins:
    """Several batches as one."""
    return Pins(
        np.concatenate([p.diagonal for p in parts], axis=-1),
        kinematics.concatenate([p.target for p in parts]),
        np.concatenate([p.rays for p in parts], axis=-1),
        np.concatenate([p.ray_precision for p in parts], axis=-1),
    )


def pins(given: SideCorrections, side: Side, chain: Chain, take: Take, frames: NDArray[np.intp]) -> Pins:
    """The pins of one hand for its `frames` (n,), indices into the take."""
    count = len(frames)
    diagonal = np.zeros((chain.size, count))
    root = np.repeat(np.eye(3)[..., None], count, -1)
    translation = np.zeros((3, count))
    angles = np.zeros((chain.angle_count, count))
    rays = np.zeros((2, KEYPOINT_COUNT, count))
    precision = np.zeros((KEYPOINT_COUNT, count))
    mirror = -1.0 if side == "left" else 1.0
    at = {int(frame): i for i, frame in enumerate(frames)}
    for (frame, joint), quaternion in given.rotations.items():
        if frame not in at:
            continue
        i = at[frame]
        q = rotations.mirrored(quaternion) if side == "left" else quaternion
        if joint == 0:
            root[..., i] = rotations.matrix_from_quaternion(q)
            diagonal[ROTATION, i] = _SURE**-2
            continue
        whole = np.tile(rotations.IDENTITY, (JOINT_COUNT, 1))
        whole[joint] = q
        found = angles_from_rotations(whole, chain.hinges, carry=False)
        mine = np.flatnonzero(chain.angle_joint == joint)
        angles[mine, i] = found[joint, chain.angle_axis[mine]]
        diagonal[FIRST_ANGLE + mine, i] = _SURE**-2
    for frame, place in given.translations.items():
        if frame in at:
            translation[:, at[frame]] = place * np.array([mirror, 1.0, 1.0])
            diagonal[TRANSLATION, at[frame]] = _SURE**-2
    for (frame, keypoint), pixel in given.points.items():
        if frame not in at:
            continue
        matrix = take.K if take.K.ndim == 2 else take.K[frame]
        ray = undistorted(pixel[None, None], matrix, take.dist)[0, 0]
        point = int(np.flatnonzero(np.equal(POINT_ORDER, keypoint))[0])
        rays[:, point, at[frame]] = ray * np.array([mirror, 1.0])
        precision[point, at[frame]] = np.sqrt(matrix[0, 0] * matrix[1, 1]) / _SURE_PIXEL
    nuisance = np.repeat(np.eye(3)[..., None], count, -1)
    return Pins(diagonal, HandState(root, translation, angles, nuisance), rays, precision)


def with_exact_rotations(rotation: Array, given: SideCorrections, frames: NDArray[np.intp], time: Array) -> Array:
    """Solved rotations (n, 16, 4) with the corrected ones put in to the last digit.

    A user may turn a joint as its hinges cannot. What the hinges left out is added to the frames
    around as well, fading over the same time, so that nothing pops.
    """
    out = rotation.copy()
    at = {int(frame): i for i, frame in enumerate(frames)}
    for joint in sorted({joint for _, joint in given.rotations}):
        fixed = sorted(at[frame] for frame, j in given.rotations if j == joint and frame in at)
        if not fixed:
            continue
        wanted = np.stack([given.rotations[int(frames[i]), joint] for i in fixed])
        left_out = rotations.vector_from_quaternion(
            rotations.multiply(rotations.conjugate(rotation[fixed, joint]), wanted)
        )
        # Between corrections the rest is interpolated, outside it fades; both are zero far away.
        anchors, values = [], []
        for i, value in zip(fixed, left_out, strict=True):
            anchors.append(time[i])
            values.append(value)
        when, turn = np.array(anchors), np.array(values)
        distance = np.abs(time[:, None] - when[None]).min(1)
        share = np.clip(1.0 - distance / FADE, 0.0, 1.0)
        share = share * share * (3.0 - 2.0 * share)
        blended = np.stack([np.interp(time, when, turn[:, axis]) for axis in range(3)], axis=-1)
        out[:, joint] = rotations.multiply(out[:, joint], rotations.quaternion_from_vector(blended * share[:, None]))
        same = np.where((wanted * out[fixed, joint]).sum(-1, keepdims=True) < 0.0, -1.0, 1.0)
        out[fixed, joint] = wanted * same
    return out
