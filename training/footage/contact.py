# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hands relaxed to touch without sinking into one another: spheres, solved pattern by pattern.

The right hand's wrist is at the origin, in canonical axes; the left hand has a place relative to
it. Unknowns are that place and the free hinge angles of both hands. A damped Gauss-Newton pulls
chosen spheres together, pushes all others apart (also within a hand), holds the joint limits and
stays near a start. One pattern takes a few milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit.hinges import free_index, pack, unpack
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.model import RestHand
from blender_handmocap.engine.hand.names import FINGER_JOINTS, FINGERS, JOINT_COUNT, JOINT_PARENTS, SIDES
from blender_handmocap.engine.hand.spheres import Spheres, fitted_spheres

from .contact_kernel import forward, place, relax_one

Array = NDArray[np.float64]

SPHERE_COUNT: Final = 240
ARM_SPHERES: Final = 6
ARM_STEP: Final = 0.032
"""metres between the spheres of a forearm"""
ARM_RADIUS: Final = np.array([0.026, 0.027, 0.030, 0.034, 0.038, 0.041])

_SELF_SLACK: Final = 0.001
_WRIST: Final = 0.004
"""Skin this near to the cut at the wrist is left out: beyond it there is forearm."""


@dataclass(frozen=True)
class Body:
    """What the solver knows of a pair of hands of one shape; tables of right and left."""

    rest: Array
    """(2, 16, 3) joints at rest"""
    frame: Array
    """(2, 16, 3, 3) hinge frames"""
    joint: NDArray[np.int64]
    """(S,) the joint each sphere follows; forearm spheres come last and follow joint 0"""
    start: NDArray[np.int64]
    """(17,) where the spheres of each joint start; they are sorted by joint"""
    offset: Array
    """(2, S, 3)"""
    radius: Array
    """(S,)"""
    part: NDArray[np.uint8]
    """(S,) CONTACT_PARTS index, or spheres.NO_PART"""
    angle_joint: NDArray[np.int64]
    """(n,) joint of each free angle"""
    angle_axis: NDArray[np.int64]
    """(n,)"""
    low: Array
    """(n,) radians"""
    high: Array
    """(n,)"""
    own_least: Array
    """(H, H) how near the centres of two spheres of one hand may come; 0: as near as they like"""
    own_meet: NDArray[np.bool_]
    """(16, 16) whether spheres of two joints mind each other at all"""
    vertices: Array
    """(2, V, 3) skin at rest; the cut of the wrist is left out"""
    vertex_joint: NDArray[np.int64]
    """(V, 4) joints that move each vertex, the one that moves it most first"""
    vertex_weight: Array
    """(V, 4)"""

    @property
    def hand_spheres(self) -> int:
        """How many spheres are the hand's, before the forearm's."""
        return len(self.joint) - ARM_SPHERES

    def finger_spheres(self, joint: int) -> NDArray[np.intp]:
        """Spheres that follow a joint (not the forearm's)."""
        return np.flatnonzero(self.joint[: self.hand_spheres] == joint)

    def tip_direction(self, finger: str) -> Array:
        """From the last joint of a finger of the right hand towards the pad of its tip, at rest."""
        hand = free_hand("right")
        joint = FINGER_JOINTS[finger][2]
        along = hand.tips[FINGERS.index(finger)] - hand.joints[joint]
        palmar = -free_hinges("right").frame[joint][:, 1]
        return along / np.linalg.norm(along) + 0.15 * palmar

    def nearest_sphere(self, point: Array) -> int:
        """The sphere of the right hand at rest whose surface is nearest to a point, canonical axes."""
        count = self.hand_spheres
        centre = self.rest[0][self.joint[:count]] + self.offset[0][:count]
        return int((np.linalg.norm(centre - point, axis=1) - self.radius[:count]).argmin())


def body_of(betas: Array | None = None, size: float | None = None) -> Body:
    """The pair of hands of one shape and size."""
    return _mean_body() if betas is None and size is None else _body(betas, size)


@lru_cache(maxsize=1)
def _mean_body() -> Body:
    return _body(None, None)


def _body(betas: Array | None, size: float | None) -> Body:
    hands = {side: free_hand(side) for side in SIDES}
    rests: dict[str, RestHand] = {side: hands[side].rest(betas, size) for side in SIDES}
    spheres = {side: fitted_spheres(hands[side], rests[side], count=SPHERE_COUNT) for side in SIDES}
    order = ("right", "left")
    right = free_hinges("right")
    scale = rests["right"].scale
    index = free_index(right)
    arm = np.zeros((2, ARM_SPHERES, 3))
    arm[:, :, 0] = np.array([[1.0], [-1.0]]) * ARM_STEP * scale * (1.0 + np.arange(ARM_SPHERES))
    # Sorted by joint, so that whole bones can be passed over.
    order_of = np.argsort(spheres["right"].joint, kind="stable")
    spheres = {
        side: Spheres(s.joint[order_of], s.offset[order_of], s.radius[order_of], s.part[order_of])
        for side, s in spheres.items()
    }
    own_least, own_meet = own_collisions(spheres["right"], rests["right"])
    template = hands["right"].template[:, 0]
    skin = template < template.max() - _WRIST
    weights = hands["right"].weights[skin]
    heaviest = np.argsort(-weights, axis=1, kind="stable")[:, :4]
    return Body(
        rest=np.stack([rests[side].joints for side in order]),
        frame=np.stack([free_hinges(side).frame for side in order]),
        joint=np.concatenate([spheres["right"].joint, np.zeros(ARM_SPHERES, int)]).astype(np.int64),
        start=np.searchsorted(spheres["right"].joint, np.arange(JOINT_COUNT + 1)).astype(np.int64),
        offset=np.concatenate([np.stack([spheres[side].offset for side in order]), arm], axis=1),
        radius=np.concatenate([spheres["right"].radius, ARM_RADIUS * scale]),
        part=np.concatenate([spheres["right"].part, np.full(ARM_SPHERES, 255, np.uint8)]),
        angle_joint=(index // 3).astype(np.int64),
        angle_axis=(index % 3).astype(np.int64),
        low=pack(right.limits[..., 0], right),
        high=pack(right.limits[..., 1], right),
        own_least=own_least,
        own_meet=own_meet,
        vertices=np.stack([hands[side].rest_vertices(rests[side])[skin] for side in order]),
        vertex_joint=heaviest.astype(np.int64),
        vertex_weight=np.take_along_axis(weights, heaviest, 1),
    )


def own_collisions(spheres: Spheres, rest: RestHand) -> tuple[Array, NDArray[np.bool_]]:
    """How near spheres (S, S) of one hand may come, 0 where they may overlap; and which joints (16, 16) that concerns.

    Neighbours share flesh, and so do the ball of the thumb and the palm it folds into; spheres that
    overlap in the flat hand (the webs) may always do so.
    """
    related = np.eye(JOINT_COUNT, dtype=bool)
    for joint in range(1, JOINT_COUNT):
        related[joint, JOINT_PARENTS[joint]] = related[JOINT_PARENTS[joint], joint] = True
    base, middle, _ = FINGER_JOINTS["thumb"]
    knuckles = [FINGER_JOINTS[finger][0] for finger in FINGERS]
    for joint in (0, base, middle):
        related[joint, [0, base, middle]] = True
    related[base, knuckles] = related[knuckles, base] = True
    centre = rest.joints[spheres.joint] + spheres.offset
    x, y, z = (centre[:, None, k] - centre[:, k] for k in range(3))
    flat = np.sqrt(x * x + y * y + z * z)
    least = np.minimum(spheres.radius[:, None] + spheres.radius, flat) - _SELF_SLACK * rest.scale
    return np.where(related[spheres.joint[:, None], spheres.joint], 0.0, np.maximum(least, 0.0)), ~related


@dataclass(frozen=True)
class Pairs:
    """N patterns of two hands; the right wrist at the origin in canonical axes."""

    angles: Array
    """(N, 2, 16, 3) hinge angles of the right and the left hand"""
    turn: Array
    """(N, 4) canonical left axes to canonical right axes, w,x,y,z"""
    shift: Array
    """(N, 3) the left wrist in canonical right axes, metres"""
    arm: Array
    """(N, 2, 4) forearm turns about the wrists, as scene.HandPose.forearm"""

    def __len__(self) -> int:
        return len(self.angles)

    def __getitem__(self, index: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Pairs:
        return Pairs(self.angles[index], self.turn[index], self.shift[index], self.arm[index])

    @staticmethod
    def joined(parts: list[Pairs]) -> Pairs:
        """All patterns of several sets."""
        return Pairs(*(np.concatenate([getattr(p, key) for p in parts]) for key in ("angles", "turn", "shift", "arm")))


@dataclass(frozen=True)
class Wishes:
    """What N patterns are drawn to, and how far they may go from their start."""

    pulls: NDArray[np.int64]
    """(N, K, 2) spheres of the right and left hand that shall touch; -1: none.
    A left sphere of -2 pulls the right one to the held thing, a right one of -2 the left one."""
    angle_sigma: Array
    """(N, 2, n) radians by which free angles may leave the start"""
    turn_sigma: Array
    """(N,) radians"""
    shift_sigma: Array
    """(N,) metres"""
    thing: Array
    """(N, 7) a held capsule: its two ends and its radius, canonical right axes; radius 0: nothing"""


@dataclass(frozen=True)
class Outcome:
    """Relaxed patterns and what the spheres say of them."""

    pairs: Pairs
    depth: Array
    """(N,) metres by which spheres of one hand sink into the other's (or into the thing)"""
    own_depth: Array
    """(N,) the same within a hand"""


def centres(pairs: Pairs, body: Body) -> Array:
    """(N, 2, S, 3) sphere centres of both hands, canonical right axes; forearms straight."""
    hinges = free_hinges("right")
    count, spheres = len(pairs), len(body.joint)
    out = np.empty((count, 2, spheres, 3))
    packed = pack(pairs.angles, hinges)
    turn = rotations.matrix_from_quaternion(pairs.turn)
    orientation, joints = np.empty((JOINT_COUNT, 3, 3)), np.empty((JOINT_COUNT, 3))
    axes = np.empty((len(body.low), 3))
    for k in range(count):
        for hand, (root, origin) in enumerate(((np.eye(3), np.zeros(3)), (turn[k], pairs.shift[k]))):
            forward(
                packed[k, hand], body.angle_joint, body.angle_axis, root, origin, body.rest[hand], body.frame[hand],
                orientation, joints, axes,
            )  # fmt: skip
            place(body.offset[hand], body.joint, orientation, joints, out[k, hand])
    return out


def thing_depth(pairs: Pairs, thing: Array, body: Body) -> Array:
    """(N, 2, S) how deep each sphere of either hand lies in held capsules (N, 7); negative outside."""
    centre = centres(pairs, body)
    start, end = thing[:, None, None, :3], thing[:, None, None, 3:6]
    length = np.maximum(((end - start) ** 2).sum(-1), 1e-12)
    share = np.clip(((centre - start) * (end - start)).sum(-1) / length, 0.0, 1.0)
    distance = np.linalg.norm(centre - start - share[..., None] * (end - start), axis=-1)
    return body.radius + thing[:, None, None, 6] - distance


def relax(pairs: Pairs, wishes: Wishes, body: Body | None = None) -> Outcome:
    """Solve every pattern."""
    solid = body_of() if body is None else body
    hinges = free_hinges("right")
    count = len(pairs)
    state = np.concatenate([pack(pairs.angles[:, 0], hinges), pack(pairs.angles[:, 1], hinges)], axis=1)
    turn = rotations.matrix_from_quaternion(pairs.turn)
    shift = pairs.shift.copy()
    offsets = np.broadcast_to(solid.offset, (count, *solid.offset.shape)).copy()
    first_arm = solid.hand_spheres
    arm_turn = rotations.matrix_from_quaternion(pairs.arm)
    offsets[:, :, first_arm:] = np.einsum("nhab,hsb->nhsa", arm_turn, solid.offset[:, first_arm:])
    depth, own_depth = np.zeros(count), np.zeros(count)
    sigma = wishes.angle_sigma.reshape(count, -1)
    for k in range(count):
        depth[k], own_depth[k] = relax_one(
            state[k], turn[k], shift[k], sigma[k], wishes.turn_sigma[k], wishes.shift_sigma[k],
            wishes.pulls[k], wishes.thing[k], solid.rest, solid.frame, solid.joint, solid.start, offsets[k],
            solid.radius,            first_arm, solid.angle_joint, solid.angle_axis, solid.low, solid.high,
            solid.own_least, solid.own_meet, solid.vertices, solid.vertex_joint, solid.vertex_weight,
        )  # fmt: skip
    free = len(solid.low)
    angles = np.stack([unpack(state[:, :free], hinges), unpack(state[:, free:], hinges)], axis=1)
    done = Pairs(angles, rotations.quaternion_from_matrix(turn), shift, pairs.arm)
    return Outcome(done, depth, own_depth)
