# SPDX-License-Identifier: GPL-3.0-or-later
"""What whoever follows hands might know of the hands of a crop: from good to wrong to nothing.

Trackers see one hand at a time. Where two overlap they lose one of them, take one for the other, or lag behind;
and they do not know it: the errors they state are those of good days. The engine places a crop from the hands that it
knows and tells of just those, so what is known of a crop must agree with how it was placed: a crop from one of two
hands tells nothing of the other, and beside a single hand off the middle another one was believed in. Else the place
of the crop would tell of hands that nobody knows of. Of hands that are each taken for the other one,
or of a single one that is, the truth is told in the order in which they are taken. Where the engine's own eyes looked
at a crop (`training.pair.eyes`), every other hand is told as they saw it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.see.pair_crop import BOTH_ENLARGED, ONE_ENLARGED
from blender_handmocap.engine.see.pair_given import SeenPair, exchanged

from .eyes import EyesSaid
from .heads import HANDS, POINTS
from .losses import Targets

Array = NDArray[np.float64]

_STRAYED_SHIFT: Final = 0.09
_STRAYED_SIZE: Final = 0.2
"""by which crops stray from where they were placed: shares of the crop, logarithm"""
_MISFIT: Final = 2.0
"""from which a crop was not placed from a single hand alone"""
_LEAST_ERROR: Final = 1e-3
_LEAST_FORM_ERROR: Final = 1e-2
"""that are stated: shares of the crop, palm lengths"""
_OPPOSITE: Final = 0.05
"""shares of the crop by which a second hand that is not there strays from where the crop would say it is"""


@dataclass(frozen=True)
class Following:
    """Shares of what happens to a hand that is there; the rest is seen well."""

    badly: float = 0.2
    stale: float = 0.15
    """where it was a moment ago"""
    wrong: float = 0.05
    """another hand's form"""
    other: float = 0.05
    """the points of the other hand"""
    lost: float = 0.05
    """of hands from which the crop may have been placed"""
    made_up: float = 0.9
    """hands that are not there and yet said to be seen, in crops that were placed from more than the single hand"""
    wherever: float = 0.02
    """the same in other crops"""
    alone: float = 0.95
    """crops placed from one of two hands that tell nothing of the other"""
    by_eyes: float = 0.5
    """of the hands that the engine's eyes looked for: those that are told as they saw them"""
    exchanged: float = 0.35
    """share of the crops whose hands, or whose only one, are each said to be of the other side"""


def followed(
    truth: Targets, definition: Array, random: np.random.Generator, following: Following, eyes: EyesSaid | None = None
) -> tuple[SeenPair, Targets]:
    """What might be known of each crop, and the truth in the order of hands in which that is known; `definition`
    (21, 21) says where a detector's points lie, `eyes` what the engine's own saw."""
    count = len(truth.present)
    shape = (count, HANDS)
    exact = places = definition @ truth.position.numpy().astype(np.float64)
    form = definition @ truth.location.numpy().astype(np.float64)
    form = form - form[:, :, :1]
    there = truth.known.numpy() > 0
    box = np.where(there, np.ptp(places, axis=2).max(-1), 0.35)
    pick = random.random(shape)
    edges = np.cumsum([following.lost, following.other, following.wrong, following.stale, following.badly])
    lost, other, wrong, stale, badly = (
        (pick >= low) & (pick < high) for low, high in zip([0.0, *edges[:-1]], edges, strict=True)
    )
    other &= there.all(1)[:, None]

    strangers = np.array([(k + 1 + random.integers(count - 1)) % count for k in range(count)]) if count > 1 else [0]
    strange = there[strangers]
    placed = placed_from(exact, there)
    single = there ^ there[:, ::-1]
    believed = single.any(1) & ~placed.any(1)
    share = np.where(believed, following.made_up, following.wherever)[:, None]
    made_up = ~there & strange & (random.random(shape) < share)
    unknown = placed.any(1)[:, None] & there & ~placed & (random.random((count, 1)) < following.alone)
    lost = unknown | (lost & ~(placed & there[:, ::-1]))
    alien = (wrong & strange) | made_up
    other_form = form[:, ::-1] * [-1.0, 1.0, 1.0]
    form = np.where(alien[..., None, None], form[strangers], np.where(other[..., None, None], other_form, form))
    foreign = places[strangers] - places[strangers].mean(2, keepdims=True)
    # A crop lies about the middle of what it was placed from.
    opposite = 1.0 - places[:, ::-1].mean(2) + random.normal(size=(*shape, 2)) * _OPPOSITE
    anywhere = np.where(believed[:, None, None], opposite, random.uniform(0.25, 0.75, (*shape, 2)))
    centre = np.where(there[..., None], places.mean(2), anywhere)
    foreign = foreign + centre[:, :, None]
    places = np.where(alien[..., None, None], foreign, np.where(other[..., None, None], places[:, ::-1], places))

    level = np.exp(random.uniform(np.log(0.012), np.log(0.06), shape))
    level = np.where(badly | stale, np.exp(random.uniform(np.log(0.05), np.log(0.18), shape)), level)
    each = np.exp(random.normal(size=(*shape, POINTS)) * 0.3)
    hidden = there[..., None] & (truth.visible.numpy() == 0) & (random.random((*shape, POINTS)) < 0.6)
    each = np.where(hidden, each * random.uniform(1.5, 3.0, (*shape, 1)), each)
    sigma = level[..., None] * each * box[..., None]
    moved = np.where(stale | badly, 0.15, 0.015) * box
    places = places + random.normal(size=(*shape, 1, 2)) * moved[..., None, None]
    turned = random.normal(size=shape) * np.where(stale | badly, 0.3, 0.03)
    grown = np.exp(random.normal(size=shape) * np.where(stale | badly, 0.15, 0.02))
    places = _about_middle(places, turned, grown) + _by_finger(random, shape, 2) * sigma[..., None]

    form_level = np.exp(random.uniform(np.log(0.02), np.log(0.13), shape)) * np.where(badly, 2.0, 1.0)
    form_sigma = form_level[..., None] * each
    noise = _by_finger(random, shape, 3) * form_sigma[..., None]
    noise[..., 2] *= 1.5
    tilt = random.normal(size=(*shape, 3)) * np.where(badly | stale, 0.35, 0.1)[..., None]
    form = (form + noise) @ np.swapaxes(rotations.matrix_from_vector(tilt), -1, -2)
    # Palms differ in shape between people, and detectors in what they think of them.
    scale = np.exp(random.normal(size=(count, 1)) * 0.03 + random.normal(size=shape) * 0.02)
    form = (form - form[:, :, :1]) * scale[..., None, None]

    stated = np.exp(random.normal(size=(*shape, 1)) * 0.3) * np.where(stale | badly, 0.7, 1.0)[..., None]
    seen = SeenPair(
        points=places,
        error=np.maximum(1.25 * sigma * stated, _LEAST_ERROR),
        form=form,
        form_error=np.maximum(1.6 * form_sigma * stated, _LEAST_FORM_ERROR),
        known=(there & ~lost) | made_up,
        focal=truth.focal * np.exp(random.normal(size=count) * 0.03),
    )
    if eyes is not None:
        # A hand that a crop was placed from was seen.
        chosen = eyes.asked & (eyes.known | ~placed) & (random.random(shape) < following.by_eyes)
        seen = _as_seen(seen, eyes, chosen)
    sure = _lies_on_its_own(seen, exact, there)
    which = sure & (random.random(count) < following.exchanged)
    told = truth.taken_for_the_other(torch.from_numpy(which), torch.from_numpy(sure))
    return _chosen(which, exchanged(seen), seen), told


def _as_seen(seen: SeenPair, eyes: EyesSaid, chosen: NDArray[np.bool_]) -> SeenPair:
    """What is known, with the hands `chosen` (N, 2) of it as the eyes saw them, or lost where they did not."""
    points = chosen[..., None, None]
    return SeenPair(
        points=np.where(points, eyes.points, seen.points),
        error=np.where(chosen[..., None], np.maximum(eyes.error, _LEAST_ERROR), seen.error),
        form=np.where(points, eyes.form, seen.form),
        form_error=np.where(chosen[..., None], np.maximum(eyes.form_error, _LEAST_FORM_ERROR), seen.form_error),
        known=seen.known & (eyes.known | ~chosen),
        focal=seen.focal,
    )


def placed_from(places: Array, there: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N, 2) crops that were likely placed from this hand (true places (N, 2, 21, 2)) alone."""
    lowest, highest = places.min(2), places.max(2)
    own = np.where(there, _misfit(lowest, highest, ONE_ENLARGED), np.inf)
    both = _misfit(lowest.min(1), highest.max(1), BOTH_ENLARGED)
    rival = np.where(there.all(1)[:, None], np.minimum(own[:, ::-1], both[:, None]), _MISFIT)
    return np.asarray(own < rival)


def _misfit(lowest: Array, highest: Array, enlarged: float) -> Array:
    """(...,) how badly boxes (..., 2) agree with a crop that was placed so much enlarged about them."""
    away = np.linalg.norm((lowest + highest) / 2.0 - 0.5, axis=-1) / _STRAYED_SHIFT
    size = np.log(np.maximum((highest - lowest).max(-1) * enlarged, 1e-6)) / _STRAYED_SIZE
    return np.asarray(away**2 + size**2)


def _lies_on_its_own(seen: SeenPair, places: Array, there: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N,) crops in which a hand is known, and nearer to its own true place (N, 2, 21, 2) than to the other one's."""
    distance = np.linalg.norm(seen.points[:, :, None] - places[:, None], axis=-1).mean(-1)
    distance = np.where(there[:, None], distance, np.inf)
    own, other = distance[:, [0, 1], [0, 1]], distance[:, [0, 1], [1, 0]]
    real = seen.known & there
    return np.asarray(real.any(1) & (~real | (own < other)).all(1))


def _chosen(which: NDArray[np.bool_], one: SeenPair, other: SeenPair) -> SeenPair:
    """The crops `which` (N,) of one, else those of the other."""
    return SeenPair(
        *(
            np.where(which.reshape(-1, *[1] * (values.ndim - 1)), values, getattr(other, name))
            for name, values in vars(one).items()
        )
    )


def _about_middle(points: Array, angle: Array, scale: Array) -> Array:
    """Points (N, 2, 21, 2) turned by angles (N, 2) and scaled about the middle of each hand."""
    middle = points.mean(2, keepdims=True)
    cosine, sine = np.cos(angle) * scale, np.sin(angle) * scale
    turn = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
    return np.asarray((points - middle) @ np.swapaxes(turn, -1, -2) + middle)


def _by_finger(random: np.random.Generator, shape: tuple[int, int], size: int) -> Array:
    """(N, 2, 21, size) unit normal noise, half of its variance shared by a finger."""
    shared = np.concatenate(
        [random.normal(size=(*shape, 1, size)), np.repeat(random.normal(size=(*shape, 5, size)), 4, axis=2)], axis=2
    )
    both: Any = (random.normal(size=(*shape, POINTS, size)) + shared) * np.sqrt(0.5)
    return np.asarray(both)
