# SPDX-License-Identifier: GPL-3.0-or-later
"""What two hands do together: patterns of twelve families, sampled, relaxed to contact, kept if sound.

`data/two_hands.npz` holds them; make_two_hands.py makes it again. Everything else draws from it with
`load`, gives it another shape with `fitted` and puts it before a camera with `placed`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit.hinges import pack, rotations_from_angles, unpack
from blender_handmocap.engine.hand.free import free_hinges

from . import contact, mesh_gap
from .contact import Pairs, Wishes
from .families import FAMILIES
from .scene import HandPose

Array = NDArray[np.float64]

PATTERN_FILE: Final = Path(__file__).with_name("data") / "two_hands.npz"

ANGLE_UNIT: Final = 0.002
"""radians a step of the stored angles"""
SHIFT_UNIT: Final = 1e-5
QUATERNION_UNIT: Final = 1.0 / 32767
GAP_UNIT: Final = 1e-4
"""metres a step of the stored gaps; 255 steps or more is no contact at all"""

_PALM: Final = np.array([-0.055, 0.0, 0.0])

TOUCH: Final = 0.002
"""Surfaces at most this far apart touch."""
DEEPEST: Final = 0.002
"""A kept pattern's meshes sink into one another by at most this much."""
_DEEPEST_SPHERES: Final = 0.004
_DEEPEST_OWN: Final = 0.0045
TEST_SHARE: Final = 0.1
"""Share of the training families' patterns that are made of test poses, for testing alone."""


@dataclass(frozen=True)
class Patterns:
    """N kept patterns."""

    pairs: Pairs
    family: NDArray[np.uint8]
    """(N,) index into `names`"""
    names: tuple[str, ...]
    test: NDArray[np.bool_]
    """(N,) test only: a test family, or made of test poses"""
    gap: Array
    """(N, 6, 6) metres between CONTACT_PARTS of the left and of the right hand; 25.5 mm or more reads so"""
    thing: Array
    """(N, 7) the held capsule (two ends, radius; canonical right axes, metres); radius 0: nothing"""

    def __len__(self) -> int:
        return len(self.family)

    def __getitem__(self, index: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Patterns:
        return Patterns(
            self.pairs[index], self.family[index], self.names, self.test[index], self.gap[index], self.thing[index]
        )

    def of(self, *families: str) -> Patterns:
        """The patterns of some families."""
        return self[np.isin(self.family, [self.names.index(name) for name in families])]

    def chosen(self, *, test: bool) -> Patterns:
        """The patterns of one side of the split."""
        return self[self.test == test]

    @property
    def touching(self) -> NDArray[np.bool_]:
        """(N,) some parts of the two hands touch (parts between palm and tips are not looked at)."""
        return (self.gap <= TOUCH).any((1, 2))


@lru_cache(maxsize=1)
def load() -> Patterns:
    """The committed patterns."""
    return read(PATTERN_FILE)


def read(path: Path) -> Patterns:
    """A file of patterns."""
    hinges = free_hinges("right")
    with np.load(path, allow_pickle=False) as file:
        count = len(file["family"])
        thing = np.zeros((count, 7))
        thing[file["thing_index"]] = file["thing"].astype(np.float64)
        return Patterns(
            pairs=Pairs(
                angles=unpack(file["angles"] * ANGLE_UNIT, hinges),
                turn=rotations.normalized(file["turn"] * QUATERNION_UNIT),
                shift=file["shift"] * SHIFT_UNIT,
                arm=rotations.normalized(file["arm"] / 127.0),
            ),
            family=file["family"],
            names=tuple(str(name) for name in file["names"]),
            test=file["test"],
            gap=file["gap"] * GAP_UNIT,
            thing=thing,
        )


def save(patterns: Patterns, path: Path = PATTERN_FILE) -> None:
    """Write the compact form; the file appears under its name only when it is whole."""
    pairs = patterns.pairs
    held = np.flatnonzero(patterns.thing[:, 6] > 0.0)
    unfinished = path.with_name(path.stem + ".partial.npz")
    np.savez_compressed(
        unfinished,
        angles=np.round(pack(pairs.angles, free_hinges("right")) / ANGLE_UNIT).astype(np.int16),
        turn=np.round(pairs.turn / QUATERNION_UNIT).astype(np.int16),
        shift=np.round(pairs.shift / SHIFT_UNIT).astype(np.int16),
        arm=np.round(pairs.arm * 127.0).astype(np.int8),
        family=patterns.family,
        names=np.array(patterns.names),
        test=patterns.test,
        # Upwards, so that nothing touches that did not; what was read from a file stays as it is.
        gap=np.minimum(np.ceil(patterns.gap / GAP_UNIT - 1e-6), 255).astype(np.uint8),
        thing=patterns.thing[held].astype(np.float32),
        thing_index=held.astype(np.int32),
    )
    unfinished.replace(path)


def compacted(pairs: Pairs) -> Pairs:
    """Pairs as they read after saving: what is measured is what is stored."""
    hinges = free_hinges("right")
    return Pairs(
        angles=unpack(np.round(pack(pairs.angles, hinges) / ANGLE_UNIT) * ANGLE_UNIT, hinges),
        turn=rotations.normalized(np.round(pairs.turn / QUATERNION_UNIT)),
        shift=np.round(pairs.shift / SHIFT_UNIT) * SHIFT_UNIT,
        arm=rotations.normalized(np.round(pairs.arm * 127.0)),
    )


def made(family: str, random: np.random.Generator, count: int, *, test: bool) -> tuple[Patterns, int]:
    """Draft `count` patterns of one family, relax them and keep the sound ones; also how many were drafted."""
    draft = FAMILIES[family].draft(random, count, test)
    outcome = contact.relax(draft.pairs, draft.wishes)
    sound = (outcome.depth < _DEEPEST_SPHERES) & (outcome.own_depth < _DEEPEST_OWN)
    pairs = compacted(outcome.pairs[sound])
    thing = draft.wishes.thing[sound]
    seen = mesh_gap.measure(pairs)
    keep = (seen.depth < DEEPEST) & (seen.gap <= FAMILIES[family].widest)
    names = tuple(FAMILIES)
    return (
        Patterns(
            pairs=pairs[keep],
            family=np.full(int(keep.sum()), names.index(family), np.uint8),
            names=names,
            test=np.full(int(keep.sum()), test),
            gap=seen.part_gap[keep],
            thing=thing[keep],
        ),
        count,
    )


def fitted(patterns: Patterns, betas: Array, size: float | None = None) -> Pairs:
    """Patterns for a hand of another shape: scaled, and eased apart or together where that is not enough.

    The stored patterns are the mean shape's; contacts that were there are kept.
    """
    body = contact.body_of(betas, size)
    mean = contact.body_of()
    scale = float(np.linalg.norm(body.rest[0, 4]) / np.linalg.norm(mean.rest[0, 4]))
    pairs = patterns.pairs
    scaled = Pairs(pairs.angles, pairs.turn, pairs.shift * scale, pairs.arm)
    return contact.relax(scaled, _kept_contacts(patterns, mean, scale), body).pairs


def _kept_contacts(patterns: Patterns, mean: contact.Body, scale: float) -> Wishes:
    """Wishes that hold a pattern as it is, with its touching spheres as pulls."""
    count, free = len(patterns), len(mean.low)
    centres = contact.centres(patterns.pairs, mean)
    first_arm = mean.hand_spheres
    pulls = np.full((count, 6, 2), -1, np.int64)
    touching = mean.radius[:first_arm, None] + mean.radius[:first_arm]
    for k in range(count):
        apart = centres[k, 0, :first_arm, None] - centres[k, 1, :first_arm]
        distance = np.linalg.norm(apart, axis=-1) - touching
        near = np.argpartition(distance, 6, axis=None)[:6]
        near = near[np.argsort(distance.ravel()[near])]
        near = near[distance.ravel()[near] < TOUCH]
        pulls[k, : len(near)] = np.stack(np.unravel_index(near, distance.shape), axis=1)
    return Wishes(
        pulls=pulls,
        angle_sigma=np.full((count, 2, free), np.radians(8.0)),
        turn_sigma=np.full(count, np.radians(8.0)),
        shift_sigma=np.full(count, 0.012 * scale),
        thing=patterns.thing * scale,
    )


def placed(pairs: Pairs, turn: Array, place: Array) -> list[tuple[HandPose, HandPose]]:
    """The left and the right hand of every pattern in a picture.

    `turn` (N, 4) takes canonical right axes to the camera's; `place` (N, 3) is where the middle
    between the two hands' palms comes to lie, metres, camera axes.
    """
    left_root = rotations.multiply(turn, pairs.turn)
    right = rotations_from_angles(pairs.angles[:, 0], free_hinges("right"), turn)
    left = rotations_from_angles(pairs.angles[:, 1], free_hinges("left"), left_root)
    palms = [rotations.rotate(turn, _PALM), rotations.rotate(turn, pairs.shift) + rotations.rotate(left_root, -_PALM)]
    right_place = place - 0.5 * (palms[0] + palms[1])
    left_place = right_place + rotations.rotate(turn, pairs.shift)
    return [
        (
            HandPose("left", left[k], left_place[k], pairs.arm[k, 1]),
            HandPose("right", right[k], right_place[k], pairs.arm[k, 0]),
        )
        for k in range(len(pairs))
    ]


def contacts_of(gap: Array) -> NDArray[np.intp]:
    """(M, 2) pairs of CONTACT_PARTS (left, right) that touch in one pattern, from its gaps (6, 6)."""
    return np.argwhere(gap <= TOUCH)
