# SPDX-License-Identifier: GPL-3.0-or-later
"""Families of what two hands do: where each draft starts and what it is drawn to.

Directions are in the canonical axes of the right hand: its fingers point along -x, its back
faces +y, its thumb lies towards +z. The left hand is laid by saying where its fingers and its
back shall point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.hand.names import FINGER_JOINTS, FINGERS

from . import contact, poses
from .contact import Pairs, Wishes

Array = NDArray[np.float64]
Random = np.random.Generator

_FINGERS: Final = np.array([-1.0, 0.0, 0.0])
_BACK: Final = np.array([0.0, 1.0, 0.0])
_THUMB: Final = np.array([0.0, 0.0, 1.0])
_RIGHT_PALM: Final = np.array([-0.055, 0.0, 0.0])
_LEFT_PALM: Final = np.array([0.055, 0.0, 0.0])
_HALF_PALM: Final = 0.015
_FOLDED: Final = ((28.0, 55.0), (45.0, 85.0), (15.0, 45.0))
"""degrees of flexion, least and most, at the three joints of fingers folded over the other hand"""
_LAID: Final = ((-5.0, 30.0), (0.0, 35.0), (0.0, 15.0))
"""the same for fingers laid between the other hand's"""
NOWHERE: Final = 1.0
"""A widest gap that refuses nothing."""


@dataclass(frozen=True)
class Draft:
    """Patterns before relaxation."""

    pairs: Pairs
    wishes: Wishes


@dataclass(frozen=True)
class Family:
    """One thing two hands do."""

    draft: Callable[[Random, int, bool], Draft]
    wanted: int
    """how many patterns the committed set holds"""
    widest: float
    """metres; drafts whose hands end further apart are not this family"""
    touching: bool
    """whether contact is what the family is about"""


def _turned_about(vector: Array, axis: Array, angle: Array) -> Array:
    """vector (3,) or (N, 3) turned about a fixed axis by angles (N,) in radians."""
    return rotations.rotate(rotations.quaternion_from_vector(axis * angle[:, None]), vector)


def _left_turn(fingers: Array, back: Array) -> Array:
    """Quaternions (N, 4) that lay the left hand's fingers and back along directions (N, 3)."""
    fingers = fingers / np.linalg.norm(fingers, axis=-1, keepdims=True)
    back = back - fingers * (back * fingers).sum(-1, keepdims=True)
    back = back / np.linalg.norm(back, axis=-1, keepdims=True)
    return rotations.quaternion_from_matrix(np.stack([fingers, back, np.cross(fingers, back)], axis=-1))


def _jittered(random: Random, turn: Array, degrees: float) -> Array:
    noise = rotations.quaternion_from_vector(np.radians(degrees) * random.normal(size=(len(turn), 3)))
    return rotations.multiply(noise, turn)


def _shift(turn: Array, anchor: Array, target: Array) -> Array:
    """The left wrist's place that brings a point of the left hand (canonical left axes) to a target (N, 3)."""
    return target - rotations.rotate(turn, np.broadcast_to(anchor, (len(turn), 3)))


def _forearms(random: Random, count: int, extension: float = 10.0, spread: float = 16.0) -> Array:
    """Forearm turns (count, 2, 4): degrees of wrist extension (mean, spread), and some deviation."""
    bend = np.radians(extension + spread * random.normal(size=(count, 2)))
    sway = np.radians(9.0 * random.normal(size=(count, 2)))
    # Extending the wrist lifts the hand's back towards the forearm: the forearm turns from +x to +y.
    lift = rotations.quaternion_from_vector(np.stack([0 * bend, 0 * bend, np.clip(bend, -1.0, 1.1)], axis=-1))
    side = rotations.quaternion_from_vector(np.stack([0 * sway, np.clip(sway, -0.45, 0.45), 0 * sway], axis=-1))
    turn = rotations.multiply(lift, side)
    turn[:, 1] = rotations.mirrored(turn[:, 1])
    return turn


def _poses(
    random: Random, count: int, test: bool, names: tuple[str, ...] = (), share: float = 0.6, alike: float = 0.5
) -> Array:
    """Angles (count, 2, 16, 3): shares of named shapes; often both hands do nearly the same."""
    right = poses.sample(random, count, test=test)
    left = poses.sample(random, count, test=test)
    if names:
        known = np.array([poses.named(name) for name in names])
        for hand in (right, left):
            strength = np.where(random.random(count) < share, random.uniform(0.7, 1.0, count), 0.0)[:, None, None]
            hand[:] = hand + strength * (known[random.integers(len(names), size=count)] - hand)
    same = (random.random(count) < alike)[:, None, None]
    left = np.where(same, right + np.radians(4.0) * random.normal(size=right.shape), left)
    return poses.clipped(np.stack([right, left], axis=1))


def wishes(
    count: int,
    pulls: NDArray[np.int64] | None = None,
    *,
    angles: float = 14.0,
    turn: float = 18.0,
    shift: float = 0.03,
    thing: Array | None = None,
) -> Wishes:
    """Degrees and metres by which a draft may be left; finger spread and twist move less than flexion."""
    body = contact.body_of()
    sigma = np.where(body.angle_axis == 0, 1.0, 0.6) * np.radians(angles)
    return Wishes(
        pulls=np.full((count, 1, 2), -1, np.int64) if pulls is None else pulls,
        angle_sigma=np.tile(sigma, (count, 2, 1)),
        turn_sigma=np.full(count, np.radians(turn)),
        shift_sigma=np.full(count, shift),
        thing=np.zeros((count, 7)) if thing is None else thing,
    )


def tip_sphere(finger: str) -> int:
    """The sphere at a fingertip's pad."""
    body = contact.body_of()
    last = body.finger_spheres(FINGER_JOINTS[finger][2])
    return int(last[np.argsort(body.offset[0, last] @ body.tip_direction(finger))[-1]])


def _pad_spheres(joints: list[int]) -> NDArray[np.intp]:
    body = contact.body_of()
    return np.concatenate([body.finger_spheres(joint) for joint in joints])


def _nearest_pulls(pairs: Pairs, right: NDArray[np.intp], left: NDArray[np.intp], wanted: int) -> NDArray[np.int64]:
    """The `wanted` nearest pairs (N, wanted, 2) between two sets of spheres, each used once."""
    body = contact.body_of()
    centres = contact.centres(pairs, body)
    out = np.full((len(pairs), wanted, 2), -1, np.int64)
    touching = body.radius[right, None] + body.radius[left]
    for k in range(len(pairs)):
        apart = centres[k, 0][right][:, None] - centres[k, 1][left]
        distance = np.linalg.norm(apart, axis=-1) - touching
        for slot in range(wanted):
            i, j = np.unravel_index(distance.argmin(), distance.shape)
            if not np.isfinite(distance[i, j]):
                break
            out[k, slot] = right[i], left[j]
            distance[i], distance[:, j] = np.inf, np.inf
    return out


def brought(pairs: Pairs, right: NDArray[np.int64], left: NDArray[np.int64], outwards: float = 0.0) -> Pairs:
    """The left hand shifted so that the spheres (N,) of right and left touch; `outwards` metres to spare."""
    body = contact.body_of()
    centres = contact.centres(pairs, body)
    every = np.arange(len(pairs))
    here, there = centres[every, 0, right], centres[every, 1, left]
    palm = centres[:, 0, : body.hand_spheres].mean(1)
    away = here - palm
    away /= np.maximum(np.linalg.norm(away, axis=-1, keepdims=True), 1e-9)
    reach = (body.radius[right] + body.radius[left] + outwards)[:, None]
    return Pairs(pairs.angles, pairs.turn, pairs.shift + here + away * reach - there, pairs.arm)


def _near(random: Random, count: int, test: bool) -> Draft:
    facing = random.random(count) < 0.5
    back = np.where(facing[:, None], -_BACK, _BACK)
    turn = _left_turn(np.tile(_FINGERS, (count, 1)), back)
    loose = _jittered(random, turn, 30.0)
    anything = rotations.normalized(random.normal(size=(count, 4)))
    turn = np.where((random.random(count) < 0.25)[:, None], anything, loose)
    away = random.normal(size=(count, 3))
    away /= np.linalg.norm(away, axis=-1, keepdims=True)
    shift = _shift(turn, _LEFT_PALM, _RIGHT_PALM + away * random.uniform(0.05, 0.17, (count, 1)))
    return Draft(
        Pairs(_poses(random, count, test, alike=0.3), turn, shift, _forearms(random, count)),
        wishes(count, shift=0.08, turn=30.0),
    )


def _overlapping(random: Random, count: int, test: bool) -> Draft:
    swing = np.radians(random.uniform(-110.0, 110.0, count))
    same_back = random.random(count) < 0.6
    back = np.where(same_back[:, None], _BACK, -_BACK)
    turn = _jittered(random, _left_turn(_turned_about(_FINGERS, _BACK, swing), back), 14.0)
    depth = random.uniform(0.028, 0.075, count) * random.choice([-1.0, 1.0], count)
    place = _RIGHT_PALM + np.stack([0.04 * random.normal(size=count), depth, 0.03 * random.normal(size=count)], axis=-1)
    return Draft(
        Pairs(_poses(random, count, test, alike=0.35), turn, _shift(turn, _LEFT_PALM, place), _forearms(random, count)),
        wishes(count, shift=0.04),
    )


def _touch(random: Random, count: int, test: bool) -> Draft:
    names = ("one", "open", "relaxed", "pinch", "gun", "half", "spread")
    angles = _poses(random, count, test, names, share=0.5, alike=0.0)
    back = np.where((random.random(count) < 0.6)[:, None], -_BACK, _BACK)
    turn = _jittered(random, _left_turn(_turned_about(_FINGERS, _BACK, random.normal(size=count)), back), 28.0)
    start = Pairs(angles, turn, np.zeros((count, 3)), _forearms(random, count))
    body = contact.body_of()
    tips = np.array([tip_sphere(finger) for finger in FINGERS])
    tip = tips[random.choice(5, count, p=[0.2, 0.4, 0.2, 0.1, 0.1])]
    anywhere = random.integers(body.hand_spheres, size=count)
    right_points = random.random(count) < 0.5
    right, left = np.where(right_points, tip, anywhere), np.where(right_points, anywhere, tip)
    pairs = brought(start, right, left, 0.004)
    return Draft(pairs, wishes(count, np.stack([right, left], axis=-1)[:, None], shift=0.05, turn=25.0))


def _fingertips(random: Random, count: int, test: bool) -> Draft:
    names = ("half", "ball", "pinch", "ok", "relaxed", "three_with_thumb", "precision_disk", "open")
    angles = _poses(random, count, test, names, share=0.7, alike=0.75)
    tilt, swing = np.radians(random.uniform(-15.0, 120.0, count)), np.radians(30.0 * random.normal(size=count))
    fingers = _turned_about(_turned_about(_FINGERS, _THUMB, -tilt), _BACK, swing)
    turn = _jittered(random, _left_turn(fingers, _turned_about(-_BACK, _THUMB, -tilt)), 10.0)
    start = Pairs(angles, turn, np.zeros((count, 3)), _forearms(random, count, 5.0))
    tips = np.array([tip_sphere(finger) for finger in FINGERS])
    pulls = np.full((count, 4, 2), -1, np.int64)
    for k in range(count):
        several = int(random.choice([1, 2, 3, 4], p=[0.4, 0.32, 0.16, 0.12]))
        mine = random.choice(5, several, replace=False, p=[0.25, 0.3, 0.2, 0.13, 0.12])
        theirs = mine if random.random() < 0.8 else random.choice(5, several, replace=False)
        pulls[k, :several, 0], pulls[k, :several, 1] = tips[mine], tips[theirs]
    pairs = brought(start, pulls[:, 0, 0], pulls[:, 0, 1], 0.002)
    return Draft(pairs, wishes(count, pulls, angles=18.0, shift=0.08, turn=25.0))


def _steeple(random: Random, count: int, test: bool) -> Draft:
    angles = _poses(random, count, test, ("open", "spread", "together", "five"), share=1.0, alike=0.9)
    tilt = np.radians(random.uniform(30.0, 85.0, count))
    turn = _jittered(
        random, _left_turn(_turned_about(_FINGERS, _THUMB, -tilt), _turned_about(-_BACK, _THUMB, -tilt)), 5.0
    )
    start = Pairs(angles, turn, np.zeros((count, 3)), _forearms(random, count, 15.0))
    tips = np.array([tip_sphere(finger) for finger in FINGERS])
    pulls = np.tile(np.stack([tips, tips], axis=-1), (count, 1, 1))
    pulls[random.random(count) < 0.35, 0] = -1
    pairs = brought(start, pulls[:, 2, 0], pulls[:, 2, 1], 0.002)
    return Draft(pairs, wishes(count, pulls, angles=20.0, shift=0.08, turn=25.0))


def _palms(random: Random, count: int, test: bool) -> Draft:
    angles = _poses(random, count, test, ("open", "together", "relaxed", "spread", "four"), share=0.9, alike=0.7)
    swing = np.radians(np.where(random.random(count) < 0.5, 10.0, 45.0) * random.normal(size=count))
    turn = _jittered(random, _left_turn(_turned_about(_FINGERS, _BACK, swing), np.tile(-_BACK, (count, 1))), 7.0)
    slide = np.stack(
        [0.016 * random.normal(size=count), np.full(count, -0.036), 0.01 * random.normal(size=count)], axis=-1
    )
    pairs = Pairs(angles, turn, _shift(turn, _LEFT_PALM, _RIGHT_PALM + slide), _forearms(random, count, 35.0, 14.0))
    palm = _pad_spheres([0])
    pads = _pad_spheres([joints[2] for finger, joints in FINGER_JOINTS.items() if finger != "thumb"])
    pulls = np.concatenate([_nearest_pulls(pairs, palm, palm, 3), _nearest_pulls(pairs, pads, pads, 4)], axis=1)
    cupped = random.random(count) < 0.3
    pulls[cupped, :3] = -1
    return Draft(pairs, wishes(count, pulls, shift=0.03))


def _laced(random: Random, count: int, test: bool, *, folded: bool) -> Draft:
    names = ("fist", "half", "cylinder") if folded else ("open", "relaxed", "spread", "five")
    angles = _poses(random, count, test, names[1:] if folded else names, share=0.95, alike=0.85)
    for finger in FINGERS[1:]:
        first, second, third = FINGER_JOINTS[finger]
        bends = _FOLDED if folded else _LAID
        for joint, (low, high) in zip((first, second, third), bends, strict=True):
            angles[:, :, joint, 0] = np.radians(
                random.uniform(low, high, (count, 2)) + 3.0 * random.normal(size=(count, 2))
            )
    angles = poses.clipped(angles)
    tilt = np.radians(random.uniform(50.0, 100.0, count) if folded else random.uniform(35.0, 115.0, count))
    turn = _jittered(
        random, _left_turn(_turned_about(_FINGERS, _THUMB, -tilt), _turned_about(-_BACK, _THUMB, -tilt)), 5.0
    )
    body = contact.body_of()
    # The webs meet: a little beyond the middle knuckle, half a finger aside, so that fingers alternate.
    knuckle, next_one = body.rest[0, FINGER_JOINTS["middle"][0]], body.rest[0, FINGER_JOINTS["middle"][1]]
    web = knuckle + random.uniform(0.45, 0.85, (count, 1)) * (next_one - knuckle) - 0.004 * _BACK
    pitch = abs(body.rest[0, FINGER_JOINTS["index"][0], 2] - knuckle[2])
    aside = random.choice([-1.0, 1.0], count) * 0.5 * pitch
    left_web = np.array([-1.0, 1.0, 1.0]) * (knuckle + 0.65 * (next_one - knuckle) - 0.004 * _BACK)
    shift = _shift(turn, left_web, web + aside[:, None] * _THUMB)
    pairs = Pairs(angles, turn, shift, _forearms(random, count, 12.0))
    near = _pad_spheres([FINGER_JOINTS[f][0] for f in FINGERS[1:]] + [FINGER_JOINTS[f][1] for f in FINGERS[1:]])
    pulls = _nearest_pulls(pairs, near, near, 5)
    if folded:
        tips = _pad_spheres([FINGER_JOINTS[f][2] for f in FINGERS[1:]])
        back = _pad_spheres([0, *(FINGER_JOINTS[f][0] for f in FINGERS[1:])])
        pulls = np.concatenate(
            [pulls, _nearest_pulls(pairs, tips, back, 3), _nearest_pulls(pairs, back, tips, 3)], axis=1
        )
    return Draft(pairs, wishes(count, pulls, angles=16.0, shift=0.03, turn=15.0))


def _interlaced(random: Random, count: int, test: bool) -> Draft:
    return _laced(random, count, test, folded=False)


def _clasp(random: Random, count: int, test: bool) -> Draft:
    return _laced(random, count, test, folded=True)


def _hand_over_hand(random: Random, count: int, test: bool) -> Draft:
    names = ("together", "relaxed", "open", "fist", "half")
    angles = _poses(random, count, test, names, share=0.85, alike=0.3)
    swing = np.radians(45.0 * random.normal(size=count))
    turn = _jittered(random, _left_turn(_turned_about(_FINGERS, _BACK, swing), np.tile(_BACK, (count, 1))), 8.0)
    over = random.random(count) < 0.5
    height = np.where(over, 1.0, -1.0) * 0.038
    place = np.stack([-0.06 + 0.022 * random.normal(size=count), height, 0.012 * random.normal(size=count)], axis=-1)
    pairs = Pairs(angles, turn, _shift(turn, _LEFT_PALM, place), _forearms(random, count, 8.0))
    palm = _pad_spheres([0, *(FINGER_JOINTS[f][0] for f in FINGERS[1:])])
    everything = np.arange(contact.body_of().hand_spheres)
    pulls = np.concatenate(
        [_nearest_pulls(pairs, palm, palm, 3), _nearest_pulls(pairs, everything, everything, 4)], axis=1
    )
    return Draft(pairs, wishes(count, pulls, angles=18.0, shift=0.03))


def _crossing(random: Random, count: int, test: bool) -> Draft:
    swing = np.radians(random.uniform(55.0, 130.0, count) * random.choice([-1.0, 1.0], count))
    back = np.where((random.random(count) < 0.7)[:, None], _BACK, -_BACK)
    turn = _jittered(random, _left_turn(_turned_about(_FINGERS, _BACK, swing), back), 10.0)
    side = random.choice([-1.0, 1.0], count)
    place = np.stack(
        [
            random.uniform(-0.06, 0.05, count),
            side * random.uniform(0.04, 0.065, count),
            0.015 * random.normal(size=count),
        ],
        axis=-1,
    )
    along = random.uniform(-0.05, 0.05, (count, 1)) * np.array([1.0, 0.0, 0.0])
    pairs = Pairs(
        _poses(random, count, test, alike=0.4), turn, _shift(turn, along, place), _forearms(random, count, 5.0, 12.0)
    )
    return Draft(pairs, wishes(count, shift=0.05))


def _grasp(random: Random, count: int, test: bool) -> Draft:
    names = ("fist", "open", "together", "one", "thumbs_up", "relaxed")
    angles = _poses(random, count, test, names, share=0.8, alike=0.0)
    grip = np.array([poses.named(name) for name in ("cylinder", "half", "ball")])
    angles[:, 1] = poses.clipped(
        grip[random.integers(3, size=count)] + np.radians(6.0) * random.normal(size=(count, 16, 3))
    )
    around = np.radians(random.uniform(0.0, 360.0, count))
    outwards = _turned_about(_BACK, _FINGERS, around)
    across = np.cross(outwards, _FINGERS) * random.choice([-1.0, 1.0], (count, 1))
    turn = _jittered(random, _left_turn(across, outwards), 16.0)
    target = np.stack([random.choice([-0.135, -0.09, -0.01], count), np.zeros(count), np.zeros(count)], axis=-1)
    target[:, 0] += 0.01 * random.normal(size=count)
    place = target + outwards * random.uniform(0.03, 0.045, (count, 1))
    pairs = Pairs(angles, turn, _shift(turn, _LEFT_PALM * 1.25, place), _forearms(random, count, 5.0))
    gripping = _pad_spheres([joints[level] for joints in FINGER_JOINTS.values() for level in (1, 2)])
    everything = np.arange(contact.body_of().hand_spheres)
    pulls = np.concatenate(
        [_nearest_pulls(pairs, everything, gripping, 6), _nearest_pulls(pairs, everything, _pad_spheres([0]), 2)],
        axis=1,
    )
    # Either hand may be the one that grips: half of the drafts are seen in the mirror.
    drafted = Draft(pairs, wishes(count, pulls, angles=18.0, shift=0.03))
    return _partly_swapped(drafted, random.random(count) < 0.5)


def _partly_swapped(draft: Draft, swap: NDArray[np.bool_]) -> Draft:
    """Where `swap`, right and left change roles: the pattern as a mirror shows it."""
    pairs, wishes = draft.pairs, draft.wishes
    mirror = np.array([-1.0, 1.0, 1.0])
    inverse = rotations.conjugate(pairs.turn)
    # In the mirror the old left hand is the right one; its axes become the frame of the pattern.
    turn = rotations.mirrored(inverse)
    shift = -rotations.rotate(inverse, pairs.shift) * mirror
    chosen = swap[:, None]
    arm = rotations.mirrored(pairs.arm[:, ::-1])
    return Draft(
        Pairs(
            np.where(chosen[..., None, None], pairs.angles[:, ::-1], pairs.angles),
            np.where(chosen, turn, pairs.turn),
            np.where(chosen, shift, pairs.shift),
            np.where(chosen[..., None], arm, pairs.arm),
        ),
        Wishes(
            np.where(chosen[..., None], wishes.pulls[:, :, ::-1], wishes.pulls),
            np.where(chosen[..., None], wishes.angle_sigma[:, ::-1], wishes.angle_sigma),
            wishes.turn_sigma,
            wishes.shift_sigma,
            wishes.thing,
        ),
    )


def _object(random: Random, count: int, test: bool) -> Draft:
    names = ("cylinder", "ball", "half", "precision_disk", "relaxed", "claw")
    angles = _poses(random, count, test, names, share=0.95, alike=0.6)
    radius = random.uniform(0.016, 0.06, count)
    length = np.where(random.random(count) < 0.4, 0.0, random.uniform(0.04, 0.2, count))
    centre = np.array([-0.085, 0.0, 0.0]) - (radius + _HALF_PALM)[:, None] * _BACK
    axis = _jittered_directions(random, np.tile(_THUMB, (count, 1)), 20.0)
    slide = random.uniform(-0.5, 0.5, (count, 1)) * length[:, None]
    centre = centre + axis * slide
    thing = np.concatenate(
        [centre - axis * length[:, None] / 2, centre + axis * length[:, None] / 2, radius[:, None]], axis=1
    )
    # The left palm faces the thing from another side and, on a long one, from another place along it.
    around = np.radians(random.uniform(60.0, 300.0, count))
    outwards = _turned_about(_BACK, _THUMB, around)
    place = (
        centre + outwards * (radius + _HALF_PALM + 0.004)[:, None] - axis * slide * random.uniform(0.5, 2.5, (count, 1))
    )
    fingers = np.cross(outwards, _THUMB) * random.choice([-1.0, 1.0], (count, 1))
    turn = _jittered(random, _left_turn(_jittered_directions(random, fingers, 25.0), outwards), 8.0)
    pairs = Pairs(angles, turn, _shift(turn, np.array([0.085, 0.0, 0.0]), place), _forearms(random, count))
    pairs, thing = _cleared(pairs, thing)
    body = contact.body_of()
    tips = np.array([tip_sphere(finger) for finger in FINGERS])
    palm_point = np.array([-0.085, -_HALF_PALM, 0.0])
    spheres = np.concatenate([tips, [body.nearest_sphere(palm_point)]])
    pulls = np.concatenate(
        [np.stack([spheres, np.full(6, -2)], axis=-1), np.stack([np.full(6, -2), spheres], axis=-1)]
    ).astype(np.int64)
    return Draft(pairs, wishes(count, np.tile(pulls, (count, 1, 1)), angles=20.0, shift=0.04, turn=20.0, thing=thing))


def _cleared(pairs: Pairs, thing: Array) -> tuple[Pairs, Array]:
    """Things and left hands moved out of the palms, and fingers opened until they lie around the thing."""
    body = contact.body_of()
    thing, shift, angles = thing.copy(), pairs.shift.copy(), pairs.angles.copy()
    flat = poses.named("open")
    for _ in range(8):
        now = Pairs(angles, pairs.turn, shift, pairs.arm)
        depth = contact.thing_depth(now, thing, body)
        palm = depth[:, :, body.joint == 0].max(2)
        lower = np.maximum(palm[:, 0], 0.0)[:, None] * -_BACK
        thing[:, :3] += lower
        thing[:, 3:6] += lower
        away = rotations.rotate(pairs.turn, np.tile(_BACK, (len(pairs), 1)))
        shift += lower + away * np.maximum(palm[:, 1], 0.0)[:, None]
        inside = depth[:, :, body.joint != 0].max(2) > 0.004
        angles = np.where(inside[:, :, None, None], angles + 0.3 * (flat - angles), angles)
    return Pairs(angles, pairs.turn, shift, pairs.arm), thing


def _jittered_directions(random: Random, directions: Array, degrees: float) -> Array:
    noisy = directions + np.radians(degrees) * random.normal(size=directions.shape)
    return noisy / np.linalg.norm(noisy, axis=-1, keepdims=True)


FAMILIES: Final[dict[str, Family]] = {
    "near": Family(_near, 5000, 0.06, touching=False),
    "overlapping": Family(_overlapping, 5000, NOWHERE, touching=False),
    "crossing": Family(_crossing, 3500, NOWHERE, touching=False),
    "object": Family(_object, 4500, NOWHERE, touching=False),
    "touch": Family(_touch, 6000, 0.004, touching=True),
    "fingertips": Family(_fingertips, 7000, 0.004, touching=True),
    "palms": Family(_palms, 4500, 0.004, touching=True),
    "interlaced": Family(_interlaced, 6000, 0.004, touching=True),
    "grasp": Family(_grasp, 4000, 0.004, touching=True),
    "hand_over_hand": Family(_hand_over_hand, 2500, 0.004, touching=True),
    "steeple": Family(_steeple, 2000, 0.004, touching=True),
    "clasp": Family(_clasp, 2000, 0.004, touching=True),
}
"""Name -> family, in the order of the stored index."""
