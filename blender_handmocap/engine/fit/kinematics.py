# SPDX-License-Identifier: GPL-3.0-or-later
"""The hinge chain: forward kinematics and derivatives for a batch of hands.

Every hand is solved as a right hand; a left one is mirrored in x on the way in and out. The
unknowns of a hand, in this order, are

    0..2   root rotation, R <- exp(w) R, w in camera axes, radians, about the wrist joint
    3..5   wrist translation, metres, camera axes
    6..    the free hinge angles, radians, in the packed order of `hinges.free_index`
    last 3 nuisance rotation of the observed 3D points, N <- exp(n) N, radians

A bone's motion is a twist (angular, linear) about the wrist: a point p of it moves by
angular x p + linear. Each unknown is one twist of all bones behind it, so a Jacobian is one
product of the points' matrices [-[p]x, 1] with the twists; there are no derivatives of rotation
vectors anywhere.

Bones are numbered as their joints in MANO's order; bone 0 is the palm. Axes are listed in
`spatial`: the batch is last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..hand.free import Hinges, free_hinges
from ..hand.model import RestHand
from ..hand.names import JOINT_COUNT, KEYPOINT_COUNT, KEYPOINT_OF_JOINT, TIP_JOINTS, TIP_KEYPOINTS
from . import spatial
from .hinges import free_index, zero_shift
from .spatial import Array

IntArray = NDArray[np.intp]

ROOT: Final = slice(0, 6)
ROTATION: Final = slice(0, 3)
TRANSLATION: Final = slice(3, 6)
FIRST_ANGLE: Final = 6

_FINGERS = 5
_LEVELS = 3
_FINGER_JOINTS: Final = np.arange(1, JOINT_COUNT).reshape(_FINGERS, _LEVELS)
_TIP_OF_FINGER: Final = tuple(TIP_KEYPOINTS[TIP_JOINTS.index(int(joints[-1]))] for joints in _FINGER_JOINTS)

POINT_ORDER: Final = np.array(
    [KEYPOINT_OF_JOINT[0], *(KEYPOINT_OF_JOINT[int(joints[0])] for joints in _FINGER_JOINTS)]
    + [
        keypoint
        for joints, tip in zip(_FINGER_JOINTS, _TIP_OF_FINGER, strict=True)
        for keypoint in (KEYPOINT_OF_JOINT[int(joints[1])], KEYPOINT_OF_JOINT[int(joints[2])], tip)
    ]
)
"""(21,) keypoint index of each point of the chain: first the six that move with the palm, then
one for each of the bones 1..15, the point at its far end."""
PALM_POINTS: Final = 6
POINT_BONE: Final = np.array([0] * PALM_POINTS + list(range(1, JOINT_COUNT)))
"""(21,) the bone each point of POINT_ORDER is fixed to"""


@dataclass(frozen=True)
class HandState:
    """The unknowns of B hands, each as a right hand."""

    root: Array
    """(3, 3, B) canonical axes to camera axes"""
    translation: Array
    """(3, B) wrist joint, metres, camera axes"""
    angles: Array
    """(A, B) free hinge angles, radians"""
    nuisance: Array
    """(3, 3, B) rotation of the observed 3D points"""

    @property
    def count(self) -> int:
        return self.translation.shape[-1]

    def take(self, index: IntArray) -> HandState:
        """The hands of an index (or boolean) array."""
        return HandState(
            self.root[..., index], self.translation[..., index], self.angles[..., index], self.nuisance[..., index]
        )

    def put(self, index: IntArray, other: HandState) -> HandState:
        """A copy with the hands at `index` replaced by those of `other`."""
        out = self.copy()
        for mine, theirs in zip(out.arrays(), other.arrays(), strict=True):
            mine[..., index] = theirs
        return out

    def where(self, chosen: NDArray[np.bool_], other: HandState) -> HandState:
        """This state where `chosen` (B,), the other elsewhere."""
        pairs = zip(self.arrays(), other.arrays(), strict=True)
        return HandState(*(np.where(chosen, mine, theirs) for mine, theirs in pairs))

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        return self.root, self.translation, self.angles, self.nuisance

    def copy(self) -> HandState:
        return HandState(*(array.copy() for array in self.arrays()))

    def moved(self, step: Array) -> HandState:
        """The state after a step (P, B) of the unknowns."""
        # Both rotations turn in one call: their vectors lie side by side.
        turn = spatial.exponential(np.concatenate([step[ROTATION], step[-3:]], axis=1))
        count = self.count
        return HandState(
            root=spatial.product(turn[..., :count], self.root),
            translation=self.translation + step[TRANSLATION],
            angles=self.angles + step[FIRST_ANGLE:-3],
            nuisance=spatial.product(turn[..., count:], self.nuisance),
        )


def concatenate(states: list[HandState]) -> HandState:
    """Several batches as one."""
    return HandState(*(np.concatenate(arrays, axis=-1) for arrays in zip(*(s.arrays() for s in states), strict=True)))


@dataclass(frozen=True)
class Posed:
    """B posed hands; every position is relative to its wrist, metres, camera axes."""

    root: Array
    """(3, 3, B)"""
    bones: Array
    """(3, 3, 5, 3, B) orientation of the bones 1..15, [finger, level] in MANO's order, hinge frame to camera"""
    joints: Array
    """(3, 5, 3, B) positions of the joints 1..15"""
    points: Array
    """(3, 21, B) in POINT_ORDER"""
    twists: Array
    """(6, A, B) motion of the bones behind it for a unit of each free angle: angular, linear"""


class Chain:
    """One right hand of fixed shape: rest lengths, hinge axes and where its observed points sit."""

    def __init__(self, rest: RestHand, hinges: Hinges, offsets: Array | None = None) -> None:
        """`rest` and `hinges` of the RIGHT hand; `offsets` (21, 3) metres in keypoint order: from the
        model's keypoint to the detector's, in the frame of the bone the point is fixed to (the palm's
        six in canonical axes, the others in the hinge frame of the joint before them)."""
        self.hinges = hinges
        self.rest = rest
        frame = hinges.frame[_FINGER_JOINTS]
        joints = rest.joints[_FINGER_JOINTS]
        tips = np.stack([rest.tips[TIP_JOINTS.index(int(fingers[-1]))] for fingers in _FINGER_JOINTS])
        inverse = np.swapaxes(frame, -1, -2)
        between = np.stack([frame[:, 0], inverse[:, 0] @ frame[:, 1], inverse[:, 1] @ frame[:, 2]], axis=1)
        reach = np.stack([joints[:, 1] - joints[:, 0], joints[:, 2] - joints[:, 1], tips - joints[:, 2]], axis=1)
        reach = (inverse @ reach[..., None])[..., 0]
        shift = np.zeros((KEYPOINT_COUNT, 3)) if offsets is None else np.asarray(offsets, dtype=np.float64)
        shift = shift[POINT_ORDER]
        self.connections = between
        """(5, 3, 3, 3) rest orientation of each finger joint in the frame before it, [finger, level]"""
        # Limits are about the free hand's flat rest pose; a model that is bent at rest counts from there.
        self.zero_shift = zero_shift(hinges, free_hinges("right"))
        """(16, 3) radians to add to the free hand's angles"""
        limits = hinges.limits + self.zero_shift[..., None]
        self.finger_limits = (
            hinges.free[_FINGER_JOINTS].astype(np.float64),
            limits[_FINGER_JOINTS][..., 0],
            limits[_FINGER_JOINTS][..., 1],
        )
        """(5, 3, 3) each: 1 where an angle is free, lower and upper limits"""
        self._between = np.moveaxis(between, (0, 1), (2, 3))[..., None]
        self._knuckles = joints[:, 0].T.copy()
        ends = reach + shift[PALM_POINTS:].reshape(_FINGERS, _LEVELS, 3)
        self._arms = np.stack([reach, ends], axis=-1).transpose(2, 3, 0, 1)[..., None]
        self.palm_points = np.concatenate([np.zeros((3, 1)), self._knuckles], axis=1) + shift[:PALM_POINTS].T
        """(3, 6) the palm's points in canonical axes"""
        centred = self.palm_points - self.palm_points.mean(1, keepdims=True)
        self.palm_spread = float(np.linalg.norm(centred))
        """metres: root of the summed squares of the palm's points about their mean"""

        flat = free_index(hinges)
        joint, self.angle_axis = np.divmod(flat, 3)
        self.angle_joint = joint
        self._finger, self._level = np.divmod(joint - 1, _LEVELS)
        self.angle_count = len(flat)
        self.finger_index = flat - 3
        """(A,) the free angles in a flattened (5, 3, 3) [finger, level, axis]"""
        self.size = FIRST_ANGLE + self.angle_count + 3
        """number of unknowns of a hand, the nuisance rotation included"""
        self.lower = limits.reshape(-1, 2)[flat, 0]
        self.upper = limits.reshape(-1, 2)[flat, 1]
        self._behind = (self._finger[:, None] == (np.arange(JOINT_COUNT) - 1) // _LEVELS) & (
            self._level[:, None] <= (np.arange(JOINT_COUNT) - 1) % _LEVELS
        )
        self._behind[:, 0] = False
        """(A, 16) whether the angle moves the bone"""
        self._moves = self._behind.T[POINT_BONE].astype(np.float64)
        """(21, A) 1 where the angle moves the point"""

    def pose(self, state: HandState, *, moving: bool = True) -> Posed:
        """Forward kinematics of B hands; without `moving` the twists are left out."""
        count = state.count
        cosine = np.ones((3, _FINGERS, _LEVELS, count))
        sine = np.zeros((3, _FINGERS, _LEVELS, count))
        cosine[self.angle_axis, self._finger, self._level] = np.cos(state.angles)
        sine[self.angle_axis, self._finger, self._level] = np.sin(state.angles)
        turn = _euler(cosine, sine)
        local = spatial.product(self._between, turn)

        bones = np.empty((3, 3, _FINGERS, _LEVELS, count))
        parent = state.root[:, :, None]
        for level in range(_LEVELS):
            parent = np.einsum("ij...,jk...->ik...", parent, local[:, :, :, level], out=bones[:, :, :, level])
        # Of each bone at once: to the next joint, and to its point.
        arms = np.einsum("ij...,jk...->ki...", bones, self._arms)
        joints = np.empty((3, _FINGERS, _LEVELS, count))
        np.einsum("ijb,jf->ifb", state.root, self._knuckles, out=joints[:, :, 0])
        np.add(joints[:, :, 0], arms[0, :, :, 0], out=joints[:, :, 1])
        np.add(joints[:, :, 1], arms[0, :, :, 1], out=joints[:, :, 2])
        points = np.empty((3, KEYPOINT_COUNT, count))
        np.einsum("ijb,jk->ikb", state.root, self.palm_points, out=points[:, :PALM_POINTS])
        points[:, PALM_POINTS:] = (joints + arms[1]).reshape(3, -1, count)

        if not moving:
            return Posed(state.root, bones, joints, points, np.empty((6, 0, count)))
        # The axes in the frame they lead to: flexion is turned back by abduction and twist, abduction by twist.
        axes = np.zeros((3, 3, _FINGERS, _LEVELS, count))
        axes[0] = turn[0]
        axes[1, 0], axes[1, 1], axes[2, 2] = sine[2], cosine[2], 1.0
        angular = np.einsum(
            "ija,ja->ia",
            bones[:, :, self._finger, self._level].reshape(3, 3, -1),
            axes.swapaxes(0, 1)[:, self.angle_axis, self._finger, self._level].reshape(3, -1),
        ).reshape(3, self.angle_count, count)
        twists = np.empty((6, self.angle_count, count))
        twists[:3] = angular
        twists[3:] = spatial.cross(joints[:, self._finger, self._level], angular)
        return Posed(state.root, bones, joints, points, twists)

    def slopes(self, posed: Posed, point: IntArray, wrench: Array, out: Array, spare: Array) -> None:
        """Write rows (B, R, P) of what pushes points: row r is `wrench` (B, R, 6) on the bone of point[r].

        A force f at p is the wrench (p x f, f): the row is the slope of f . p. The root's columns are
        the wrench itself, an angle's its twist's share of it; the nuisance rotation's stay as they are.
        `spare` (B, R, A) is scratch space.
        """
        out[..., ROOT] = wrench
        twists = np.ascontiguousarray(posed.twists.transpose(2, 0, 1))
        np.matmul(wrench, twists, out=spare)
        np.multiply(spare, self._moves[point], out=out[..., FIRST_ANGLE:-3])

    def directions(self, posed: Posed, bone: IntArray, batch: IntArray, at: Array, along: Array) -> Array:
        """Rows (n, 6 + A) of d(along . point): points `at` (3, n) fixed to `bone` of hand `batch`.

        What couples single points (collision, pinned points) is built from such rows.
        """
        wrench = np.concatenate([spatial.cross(at, along), along])
        rows = np.empty((len(bone), FIRST_ANGLE + self.angle_count))
        rows[:, :FIRST_ANGLE] = wrench.T
        angles = (posed.twists[:, :, batch] * wrench[:, None]).sum(0)
        rows[:, FIRST_ANGLE:] = (angles * self._behind[:, bone]).T
        return rows


def _euler(cosine: Array, sine: Array) -> Array:
    """Rx Ry Rz (3, 3, ...) from cosines and sines (3, ...) of the three angles."""
    c0, c1, c2 = cosine
    s0, s1, s2 = sine
    out = np.empty((3, *cosine.shape))
    c0s2, s0s2 = c0 * s2, s0 * s2
    c0c2, s0c2 = c0 * c2, s0 * c2
    np.multiply(c1, c2, out=out[0, 0])
    np.multiply(-c1, s2, out=out[0, 1])
    out[0, 2] = s1
    np.add(c0s2, s1 * s0c2, out=out[1, 0])
    np.subtract(c0c2, s1 * s0s2, out=out[1, 1])
    np.multiply(-s0, c1, out=out[1, 2])
    np.subtract(s0s2, s1 * c0c2, out=out[2, 0])
    np.add(s0c2, s1 * c0s2, out=out[2, 1])
    np.multiply(c0, c1, out=out[2, 2])
    return out
