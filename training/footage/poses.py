# SPDX-License-Identifier: GPL-3.0-or-later
"""Single-hand poses: named ones, random ones within anatomical limits, recorded ones, and mixtures.

All poses are hinge angles (N, 16, 3) in radians (flexion, abduction, twist), the same for a
left and a right hand; `fit.hinges.rotations_from_angles` makes them the rotations of a Take.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.fit.hinges import pack, rotations_from_angles, unpack
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.names import FINGER_JOINTS, FINGERS, JOINT_COUNT, JOINT_PARENTS
from blender_handmocap.engine.hand.spheres import fitted_spheres

from . import mocap

Array = NDArray[np.float64]

ThumbName = Literal["open", "beside", "across", "tucked", "opposed", "up", "round"]

# Thumbs are recorded ones: their oblique axes are hard to write down and easy to get wrong.
_THUMBS: Final[dict[ThumbName, str]] = {
    "open": "quest:flare",
    "beside": "quest:asl a",
    "across": "quest:asl 4",
    "tucked": "quest:asl s",
    "opposed": "quest:pinch",
    "up": "quest:thumb",
    "round": "quest:grab",
}


@dataclass(frozen=True)
class Shape:
    """A named hand shape: degrees of flexion at the three joints of each finger, and a thumb."""

    thumb: ThumbName
    index: tuple[float, float, float]
    middle: tuple[float, float, float]
    ring: tuple[float, float, float]
    pinky: tuple[float, float, float]
    spread: float = 0.0
    """degrees between neighbouring fingers beyond the flat hand's"""


_STRAIGHT: Final = (2.0, 4.0, 2.0)
_CURLED: Final = (75.0, 98.0, 55.0)

SHAPES: Final[dict[str, Shape]] = {
    "open": Shape("open", _STRAIGHT, _STRAIGHT, _STRAIGHT, _STRAIGHT),
    "spread": Shape("open", (-6, 2, 0), (-6, 2, 0), (-6, 2, 0), (-8, 2, 0), spread=6.0),
    "together": Shape("beside", (4, 3, 2), (4, 3, 2), (4, 3, 2), (4, 3, 2), spread=-8.0),
    "relaxed": Shape("beside", (22, 24, 10), (28, 30, 14), (30, 32, 16), (30, 30, 14)),
    "half": Shape("round", (35, 45, 25), (38, 48, 26), (40, 48, 26), (42, 46, 26)),
    "fist": Shape("tucked", _CURLED, (82, 100, 58), (84, 98, 58), (84, 92, 56), spread=-3.0),
    "thumbs_up": Shape("up", _CURLED, (82, 100, 58), (84, 98, 58), (84, 92, 56), spread=-3.0),
    "zero": Shape("round", (45, 60, 22), (46, 66, 26), (44, 64, 28), (42, 58, 26), spread=-4.0),
    "one": Shape("tucked", _STRAIGHT, (80, 100, 58), (82, 98, 58), (82, 92, 56)),
    "two": Shape("tucked", (3, 3, 2), (3, 3, 2), (80, 98, 58), (80, 92, 56), spread=4.0),
    "three": Shape("across", (4, 3, 2), (2, 3, 2), (4, 4, 2), (78, 86, 52), spread=3.0),
    "three_with_thumb": Shape("open", (3, 3, 2), (3, 3, 2), (80, 98, 58), (80, 92, 56), spread=3.0),
    "four": Shape("across", _STRAIGHT, _STRAIGHT, _STRAIGHT, _STRAIGHT, spread=2.0),
    "five": Shape("open", _STRAIGHT, _STRAIGHT, _STRAIGHT, _STRAIGHT, spread=4.0),
    "ok": Shape("opposed", (52, 52, 22), (20, 16, 8), (12, 12, 6), (6, 10, 5), spread=3.0),
    "pinch": Shape("opposed", (50, 48, 20), (46, 52, 26), (44, 52, 28), (42, 48, 26)),
    "tripod": Shape("opposed", (48, 44, 18), (50, 48, 20), (56, 62, 32), (58, 60, 32)),
    "hook": Shape("beside", (8, 85, 48), (8, 90, 50), (8, 88, 50), (8, 82, 46)),
    "cylinder": Shape("round", (42, 50, 28), (46, 54, 30), (50, 54, 30), (54, 52, 30), spread=-2.0),
    "ball": Shape("round", (30, 38, 20), (32, 42, 22), (34, 42, 22), (36, 40, 22), spread=5.0),
    "key": Shape("beside", (55, 62, 34), (66, 80, 44), (72, 84, 46), (74, 80, 44), spread=-4.0),
    "horns": Shape("tucked", _STRAIGHT, (80, 100, 58), (82, 98, 58), (4, 6, 4)),
    "gun": Shape("up", _STRAIGHT, (78, 100, 58), (82, 98, 58), (82, 92, 56)),
    "claw": Shape("open", (-10, 62, 40), (-10, 66, 42), (-10, 64, 42), (-10, 58, 40), spread=4.0),
    "precision_disk": Shape("opposed", (30, 34, 16), (34, 34, 16), (34, 34, 16), (32, 34, 16), spread=5.0),
}
"""Named grasps, gestures and counts."""

COUNTS: Final = ("fist", "one", "two", "three", "four", "five")
"""Names of the shapes for counting from 0 to 5."""

_SPREAD_WEIGHT: Final = {"index": -1.5, "middle": -0.5, "ring": 0.5, "pinky": 1.5}

# Shares of the sources in `sample`.
_SHARES: Final = {"limits": 0.30, "recorded": 0.28, "single": 0.25, "named": 0.17}
_MIXED_SHARE: Final = 0.40
_NOISE: Final = np.radians([[7.0, 3.5, 2.0], [6.0, 2.0, 0.0], [4.5, 0.0, 0.0]])
"""(level, axis) spread of the jitter added to every sampled pose"""
_WORST_OVERLAP: Final = 0.004
_NEIGHBOUR_SLACK: Final = 0.0015

# How `without_overlap` weighs what gives way.
_FINGER_GIVES: Final = np.radians(5.0)
_THUMB_GIVES: Final = np.radians(25.0)
_DEPTH_SIGMA: Final = 0.001
_OVERLAP_ROUNDS: Final = 48
_DIFFERENCE: Final = 1e-4


def clipped(angles: Array) -> Array:
    """Angles (..., 16, 3) within the limits of our hinges; those that do not turn become zero."""
    hinges = free_hinges("right")
    return np.clip(angles, hinges.limits[..., 0], hinges.limits[..., 1]) * hinges.free


@lru_cache(maxsize=1)
def _spread_sign() -> float:
    """Sign of the abduction that moves a finger towards the pinky."""
    hinges = free_hinges("right")
    joint = FINGER_JOINTS["middle"][0]
    model = free_hand("right")
    bone = model.joints[joint + 1] - model.joints[joint]
    return -float(np.sign(np.cross(hinges.frame[joint][:, 1], bone)[2]))


@lru_cache(maxsize=1)
def _all_named() -> dict[str, Array]:
    recordings = mocap.load()
    drafts = np.zeros((len(SHAPES), JOINT_COUNT, 3))
    for angles, shape in zip(drafts, SHAPES.values(), strict=True):
        source = recordings.names.index(_THUMBS[shape.thumb])
        thumb = recordings.angles[np.flatnonzero(recordings.source == source)[-1]]
        angles[list(FINGER_JOINTS["thumb"])] = thumb[list(FINGER_JOINTS["thumb"])]
        for finger, weight in _SPREAD_WEIGHT.items():
            joints = list(FINGER_JOINTS[finger])
            angles[joints, 0] = np.radians(getattr(shape, finger))
            angles[joints[0], 1] = _spread_sign() * np.radians(shape.spread) * weight
    return dict(zip(SHAPES, without_overlap(drafts), strict=True))


def named(name: str) -> Array:
    """The angles (16, 3) of one of SHAPES."""
    if name not in SHAPES:
        raise KeyError(f"There is no hand shape {name!r}; there are {', '.join(SHAPES)}.")
    return _all_named()[name].copy()


def random_within_limits(random: np.random.Generator, count: int) -> Array:
    """Anatomical poses (count, 16, 3): fingers bend together, tips follow their middle joint."""
    hinges = free_hinges("right")
    angles = np.zeros((count, JOINT_COUNT, 3))
    curl = random.beta(0.8, 0.9, count)
    together = random.random(count) < 0.6
    previous = np.zeros(count)
    for number, finger in enumerate(FINGERS[1:]):
        first, second, third = FINGER_JOINTS[finger]
        alone = random.random(count)
        own = np.where(together, curl + random.normal(0.0, 0.16, count), alone)
        if number:
            # Tendons are shared: a finger cannot leave its neighbour behind altogether.
            coupling = 0.35 if finger == "pinky" else 0.2
            own = (1.0 - coupling) * own + coupling * previous
        own = np.clip(own, 0.0, 1.0)
        previous = own
        knuckle = own * np.radians(random.uniform(45.0, 92.0, count)) - np.radians(random.uniform(0.0, 14.0, count))
        middle = own * np.radians(random.uniform(70.0, 110.0, count))
        # A hook bends the middle joint alone; a tabletop the knuckle alone.
        way = random.random(count)
        knuckle = np.where(way < 0.12, knuckle * 0.2, knuckle)
        middle = np.where(way > 0.88, middle * 0.2, middle)
        angles[:, first, 0], angles[:, second, 0] = knuckle, middle
        angles[:, third, 0] = 0.6 * middle + np.radians(random.normal(0.0, 8.0, count))
        room = np.ptp(hinges.limits[first, 1]) * (1.0 - 0.8 * np.clip(knuckle / np.radians(80.0), 0.0, 1.0))
        angles[:, first, 1] = hinges.limits[first, 1].mean() + 0.28 * room * random.normal(size=count)
    recordings = mocap.load()
    thumb = list(FINGER_JOINTS["thumb"])
    known = recordings.angles[recordings.chosen(test=False)][:, thumb]
    middle_thumb, spread = known.mean(0), known.std(0)
    angles[:, thumb] = middle_thumb + 1.6 * spread * random.normal(size=(count, 3, 3))
    return clipped(angles)


def sample(random: np.random.Generator, count: int, *, test: bool = False, recorded: bool = True) -> Array:
    """Poses (count, 16, 3) from all sources of one side of the split, mixed, varied and free of self-collision.

    Recorded hands are taken as they are, interpolated from rest, blended in pairs, or mixed
    finger by finger; all get a little noise. Without `recorded`, only limits and named shapes are drawn from.
    """
    found: list[Array] = []
    missing = count
    while missing > 0:
        batch = _proposals(random, 2 * missing + 16, test=test, recorded=recorded)
        good = batch[self_overlap(batch) < _WORST_OVERLAP][:missing]
        found.append(good)
        missing -= len(good)
    return np.concatenate(found)


def _proposals(random: np.random.Generator, count: int, *, test: bool, recorded: bool) -> Array:
    angles = _from_sources(random, count, test=test, recorded=recorded)
    mixed = random.random(count) < _MIXED_SHARE
    if mixed.any():
        others = _from_sources(random, int(mixed.sum()), test=test, recorded=recorded)
        angles[mixed] = _mixture(random, angles[mixed], others)
    jitter = np.zeros((JOINT_COUNT, 3))
    jitter[1:] = np.tile(_NOISE, (len(FINGERS), 1))
    return clipped(angles + random.normal(size=angles.shape) * jitter)


def _from_sources(random: np.random.Generator, count: int, *, test: bool, recorded: bool) -> Array:
    recordings = mocap.load()
    chosen = recordings.chosen(test=test)
    moving = np.array([recordings.kind(source) == "recording" for source in range(len(recordings.names))])
    pools = {
        "recorded": chosen[moving[recordings.source[chosen]]],
        "single": chosen[~moving[recordings.source[chosen]]],
    }
    shares = np.array([share * (recorded or kind not in pools) for kind, share in _SHARES.items()])
    which = random.choice(len(_SHARES), count, p=shares / shares.sum())
    angles = np.empty((count, JOINT_COUNT, 3))
    for number, kind in enumerate(_SHARES):
        here = np.flatnonzero(which == number)
        if kind == "limits":
            angles[here] = random_within_limits(random, len(here))
        elif kind == "named":
            names = random.choice(list(SHAPES), len(here))
            angles[here] = np.array([_all_named()[str(name)] for name in names]).reshape(-1, JOINT_COUNT, 3)
        else:
            angles[here] = recordings.angles[random.choice(pools[kind], len(here))]
    return angles


def _mixture(random: np.random.Generator, first: Array, second: Array) -> Array:
    """Blend pairs, mix them finger by finger, or stop on the way from rest."""
    count = len(first)
    way = random.random(count)
    share = random.random(count)[:, None, None]
    blended = first * (1.0 - share) + second * share
    taken = np.zeros((count, JOINT_COUNT), bool)
    for finger in FINGERS:
        taken[:, list(FINGER_JOINTS[finger])] = (random.random(count) < 0.4)[:, None]
    swapped = np.where(taken[..., None], second, first)
    # Past the pose by up to a fifth: recordings seldom hold the extremes.
    from_rest = _all_named()["relaxed"] + (first - _all_named()["relaxed"]) * (1.2 * share)
    return np.where((way < 0.35)[:, None, None], blended, np.where((way < 0.75)[:, None, None], swapped, from_rest))


@lru_cache(maxsize=1)
def _overlap_pairs() -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """Pairs of spheres on bones that are not neighbours, and how near their centres may come."""
    spheres = fitted_spheres(free_hand("right"))
    related = np.eye(JOINT_COUNT, dtype=bool)
    for joint in range(1, JOINT_COUNT):
        related[joint, JOINT_PARENTS[joint]] = related[JOINT_PARENTS[joint], joint] = True
    # The ball of the thumb folds into the palm: its flesh gives way.
    base, middle, _ = FINGER_JOINTS["thumb"]
    for joint in (0, base, middle):
        related[joint, [0, base, middle]] = True
    related[base, [FINGER_JOINTS[finger][0] for finger in FINGERS]] = True
    related[[FINGER_JOINTS[finger][0] for finger in FINGERS], base] = True
    first, second = np.triu_indices(len(spheres), 1)
    apart = ~related[spheres.joint[first], spheres.joint[second]]
    first, second = first[apart], second[apart]
    least = spheres.radius[first] + spheres.radius[second]
    # Spheres that already overlap in the flat hand (webs, the ball of the thumb) are flesh, not a collision.
    flat = spheres.centres(_posed(np.zeros((1, JOINT_COUNT, 3))))[0]
    least = np.minimum(least, np.linalg.norm(flat[first] - flat[second], axis=-1) + _NEIGHBOUR_SLACK)
    return first, second, least


def _posed(angles: Array):
    model = free_hand("right")
    rotation = rotations_from_angles(angles, free_hinges("right"))
    return model.pose(rotation, np.zeros((len(angles), 3)), model.rest())


def without_overlap(angles: Array) -> Array:
    """Poses (N, 16, 3) moved as little as needed for the fingers to lie on, not in, one another.

    The thumb gives way first: it is what lies on top.
    """
    hinges = free_hinges("right")
    first, second, least = _overlap_pairs()
    spheres = fitted_spheres(free_hand("right"))
    sigma = np.full((JOINT_COUNT, 3), _FINGER_GIVES)
    sigma[list(FINGER_JOINTS["thumb"])] = _THUMB_GIVES
    stiff = pack(sigma, hinges)

    def depth(packed: Array) -> Array:
        centres = spheres.centres(_posed(unpack(packed, hinges)))
        return np.maximum(least - np.linalg.norm(centres[:, first] - centres[:, second], axis=-1), 0.0) / _DEPTH_SIGMA

    goal = pack(clipped(angles), hinges)
    now = goal.copy()
    size = now.shape[1]
    for _ in range(_OVERLAP_ROUNDS):
        for pose in range(len(now)):
            residual = depth(now[pose : pose + 1])[0]
            stepped = depth(now[pose] + _DIFFERENCE * np.eye(size))
            jacobian = (stepped - residual) / _DIFFERENCE
            normal = jacobian @ jacobian.T + np.diag(stiff**-2) + 30.0 * np.eye(size)
            step = np.linalg.solve(normal, jacobian @ residual + (now[pose] - goal[pose]) / stiff**2)
            now[pose] -= np.clip(step, -0.15, 0.15)
        now = pack(clipped(unpack(now, hinges)), hinges)
    return unpack(now, hinges)


def self_overlap(angles: Array) -> Array:
    """How deep the fingers of each hand (N, 16, 3) sink into one another or the palm: (N,) metres."""
    first, second, least = _overlap_pairs()
    spheres = fitted_spheres(free_hand("right"))
    depth = np.zeros(len(angles))
    for start in range(0, len(angles), 256):
        centres = spheres.centres(_posed(angles[start : start + 256]))
        distance = np.linalg.norm(centres[:, first] - centres[:, second], axis=-1)
        depth[start : start + 256] = (least - distance).max(1)
    return np.maximum(depth, 0.0)
