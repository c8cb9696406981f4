# SPDX-License-Identifier: GPL-3.0-or-later
"""Hands before a camera: one, two apart, two near or overlapping, two in contact. Undressed scenes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import Hinges, free_hinges
from blender_handmocap.engine.hand.names import SIDES, Side

from . import poses, split, two_hands
from .contact import Pairs
from .scene import HandPose, Look, Scene, Thing
from .surface import hand_model

Array = NDArray[np.float64]
Random = np.random.Generator

SHAPE_COUNT: Final = 2**20
"""Shapes are drawn from this many seeds."""
PICTURE_SIZES: Final = ((640, 480), (640, 480), (1280, 720), (960, 540), (480, 640))
UPRIGHT: Final = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Canonical axes of a right hand to the camera's: fingers up, its back to the camera."""
_MIRROR: Final = np.diag([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Mixture:
    """Shares of situations; the rest are single hands."""

    touching: float = 0.28
    near: float = 0.17
    apart: float = 0.08
    frontal: float = 0.55
    """hands seen about as users hold them up; the others from anywhere"""
    nearest: float = 0.25
    farthest: float = 1.1
    """metres from the camera"""


class Sampler:
    """Draws scenes; holds the poses and contact patterns it draws from."""

    def __init__(
        self,
        random: Random,
        *,
        test: bool = False,
        mixture: Mixture = Mixture(),
        patterns: two_hands.Patterns | None = None,
        pool: int = 1500,
        angles: Array | None = None,
    ) -> None:
        """`pool` poses are drawn at once, unless `angles` (N, 16, 3) gives them.

        `patterns` are the contact patterns of this side of the split.
        """
        self.test = test
        self.mixture = mixture
        self.patterns = patterns
        self._poses = poses.sample(random, pool, test=test) if angles is None else angles
        self._hinges: dict[Side, Hinges] = {side: free_hinges(side) for side in SIDES}

    def scene(self, random: Random) -> Scene:
        """One scene without a look."""
        betas, size = self.shape(random)
        width, height = PICTURE_SIZES[int(random.integers(len(PICTURE_SIZES)))]
        view = np.deg2rad(random.uniform(42.0, 80.0))
        focal = 0.5 * max(width, height) / np.tan(0.5 * view)
        K = np.array([[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]])
        pick = random.random()
        mix = self.mixture
        held: tuple[Thing, ...] = ()
        if pick < mix.touching and self.patterns is not None:
            hands, held = self._touching(random, self.patterns, betas, size)
        elif pick < mix.touching:
            hands = self._near(random, 0.06)
        elif pick < mix.touching + mix.near:
            hands = self._near(random, 0.12)
        elif pick < mix.touching + mix.near + mix.apart:
            hands = self._near(random, 0.35)
        else:
            hands = (self._single(random, "right" if random.random() < 0.5 else "left"),)
        return self._placed(Scene(hands, betas, size, K, width, height, Look(things=held)), random)

    def shape(self, random: Random) -> tuple[Array, float]:
        """Betas (10,) and a palm length in metres, from this side of the split."""
        seed = int(random.integers(SHAPE_COUNT))
        while split.is_test("shape", seed) != self.test:
            seed = int(random.integers(SHAPE_COUNT))
        own = np.random.default_rng([seed, 53])
        betas = np.clip(own.normal(size=10), -2.5, 2.5)
        natural = hand_model("right").rest(betas)
        length = float(np.linalg.norm(natural.joints[4]))
        return betas, length * float(np.exp(own.normal() * 0.05))

    def _rotation(self, random: Random, side: Side) -> Array:
        angles = self._poses[int(random.integers(len(self._poses)))]
        return rotations_from_angles(angles, self._hinges[side])

    def _single(self, random: Random, side: Side) -> HandPose:
        rotation = self._rotation(random, side)
        rotation[0] = rotations.quaternion_from_matrix(self._view(random, side))
        return HandPose(side, rotation, np.zeros(3), self._forearm(random, side))

    def _view(self, random: Random, side: Side) -> Array:
        """Canonical to camera (3, 3)."""
        if random.random() < self.mixture.frontal:
            turn = random.normal() * 0.5 + (np.pi if random.random() < 0.55 else 0.0)
            tilt = rotations.matrix_from_vector(random.normal(size=3) * [0.5, 0.3, 0.55])
            view = tilt @ rotations.matrix_from_vector([0.0, turn, 0.0]) @ UPRIGHT
        else:
            view = rotations.matrix_from_quaternion(rotations.normalized(random.normal(size=4)))
        return view if side == "right" else _MIRROR @ view @ _MIRROR

    def _forearm(self, random: Random, side: Side) -> Array:
        bend = random.normal(size=3) * [0.12, 0.16, 0.32]
        arm = rotations.quaternion_from_vector(bend)
        return arm if side == "right" else rotations.mirrored(arm)

    def _near(self, random: Random, reach: float) -> tuple[HandPose, ...]:
        """Two hands whose middles are at most about `reach` apart: mirror images, or anyhow."""
        right = self._single(random, "right")
        left = self._single(random, "left")
        if random.random() < 0.55:
            wobble = rotations.matrix_from_vector(random.normal(size=3) * 0.45)
            view = wobble @ _MIRROR @ rotations.matrix_from_quaternion(right.rotation[0]) @ _MIRROR
            rotation = left.rotation.copy() if random.random() < 0.6 else rotations.mirrored(right.rotation)
            rotation[0] = rotations.quaternion_from_matrix(view)
            left = HandPose("left", rotation, left.translation, left.forearm)
        direction = random.normal(size=3) * [1.0, 0.7, 0.5]
        if random.random() < 0.7:
            direction[0] = abs(direction[0])
        direction /= np.linalg.norm(direction)
        offset = direction * random.uniform(0.25, 1.0) * reach
        # Offsets are between the hands' middles, which lie half a hand from the wrists.
        middle = [self._middle(right), self._middle(left)]
        return (right, HandPose("left", left.rotation, middle[0] + offset - middle[1], left.forearm))

    def _middle(self, hand: HandPose) -> Array:
        model = hand_model(hand.side)
        return model.pose(hand.rotation[None], hand.translation[None], model.rest()).keypoints[0].mean(0)

    def _touching(
        self, random: Random, patterns: two_hands.Patterns, betas: Array, size: float
    ) -> tuple[tuple[HandPose, ...], tuple[Thing, ...]]:
        """One of the contact patterns, eased to this shape, seen from anywhere; and what both hands hold."""
        index = int(random.integers(len(patterns)))
        one = patterns[index : index + 1]
        pairs = two_hands.fitted(one, betas, size)
        view = rotations.matrix_from_quaternion(rotations.normalized(random.normal(size=4)))
        scale = float(np.linalg.norm(hand_model("right").rest(betas, size).joints[4])) / hand_model("right").palm_length
        return pattern_hands(pairs, 0, view), held_capsule(
            one.thing[0] * scale, split.draw_seed("background", random, test=self.test)
        )

    def _placed(self, scene: Scene, random: Random) -> Scene:
        """The hands moved together to a place in the picture, from corner to corner and near to far."""
        mix = self.mixture
        middle = np.mean([self._middle(hand) for hand in scene.hands], axis=0)
        depth = float(np.exp(random.uniform(np.log(mix.nearest), np.log(mix.farthest))))
        place = np.clip(random.normal(size=2) * 0.17, -0.45, 0.45) * [scene.width, scene.height]
        target = np.array([place[0] / scene.K[0, 0] * depth, place[1] / scene.K[1, 1] * depth, depth])
        shift = target - middle
        hands = tuple(
            HandPose(hand.side, hand.rotation, hand.translation + shift, hand.forearm) for hand in scene.hands
        )
        # Nothing may reach behind the camera.
        nearest = min(
            float(
                model.pose(h.rotation[None], h.translation[None], model.rest(scene.betas, scene.size))
                .keypoints[0, :, 2]
                .min()
            )
            for h in hands
            for model in (hand_model(h.side),)
        )
        back = max(0.12 - nearest, 0.0)
        hands = tuple(
            HandPose(h.side, h.rotation, h.translation * (1.0 + back / max(depth, 1e-6)) + [0.0, 0.0, back], h.forearm)
            if back > 0
            else h
            for h in hands
        )
        return replace(scene, hands=hands)


def pattern_hands(patterns: Pairs, index: int, view: Array) -> tuple[HandPose, HandPose]:
    """Both hands (right, left) of one pattern; `view` (3, 3) takes canonical axes of the right hand to the camera."""
    both = []
    turns = (rotations.IDENTITY, patterns.turn[index])
    places = (np.zeros(3), patterns.shift[index])
    for k, side in enumerate(("right", "left")):
        rotation = rotations_from_angles(patterns.angles[index, k], free_hinges(side))  # type: ignore[arg-type]
        rotation[0] = rotations.multiply(rotations.quaternion_from_matrix(view), turns[k])
        both.append(HandPose(side, rotation, view @ places[k], patterns.arm[index, k]))  # type: ignore[arg-type]
    return both[0], both[1]


def held_capsule(capsule: Array, seed: int) -> tuple[Thing, ...]:
    """What a pattern's hands hold, as a thing in the right hand: two ends and a radius (7,), metres; 0: nothing."""
    radius = float(capsule[6])
    if radius <= 0.0:
        return ()
    axis = capsule[3:6] - capsule[:3]
    length = float(np.linalg.norm(axis))
    middle = 0.5 * (capsule[:3] + capsule[3:6])
    if length < 0.5 * radius:
        return (Thing("sphere", seed, (radius, radius + 0.5 * length, radius), rotations.IDENTITY.copy(), middle, 0),)
    axis = axis / length
    helper = np.array([0.0, 1.0, 0.0]) if abs(axis[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    across = np.cross(axis, helper)
    across /= np.linalg.norm(across)
    turn = rotations.quaternion_from_matrix(np.stack([across, axis, np.cross(across, axis)], axis=1))
    return (Thing("cylinder", seed, (radius, 0.5 * length + 0.7 * radius, radius), turn, middle, 0),)
