# SPDX-License-Identifier: GPL-3.0-or-later
"""Polish a take: smooth what was solved, fill short gaps. Always from the raw result, so it can be run again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..fit import corrections as fixes
from ..fit.hinges import angles_from_rotations, rotations_from_angles, unpack
from ..fit.kinematics import Chain
from ..fit.settings import FitSettings
from ..fit.terms.pose_prior import recorded
from ..hand.free import free_hand, free_hinges
from ..hand.model import HandModel
from ..hand.names import JOINT_COUNT, SIDES, Side
from ..take import HandTrack, State, Take
from .gaps import fill, short_gaps
from .settings import PolishSettings
from .smooth import smoothed_rotations, smoothed_values

Array = NDArray[np.float64]

_BREAK: Final = 0.25
"""seconds: across a longer hole nothing is smoothed"""
_TOGETHER: Final = (slice(0, 1), *(slice(first, first + 3) for first in range(1, JOINT_COUNT, 3)))
"""joints that are smoothed side by side: the root, then a finger at a time, for the memory that a long clip takes"""
_HELD: Final = 0.1
"""seconds around a correction in which smoothing fades out"""


def polish(
    take: Take, choices: PolishSettings | None = None, *, models: Mapping[Side, HandModel] | None = None
) -> Take:
    """A smoothed take from raw_rotation and raw_translation; frames a user corrected stay as they are.

    `models` are the hands the points are posed with; the free hand by default.
    """
    settings = PolishSettings() if choices is None else choices
    hands = {side: free_hand(side) for side in SIDES} if models is None else models
    tracks = {side: _polished(take, side, hands[side], settings) for side in SIDES}
    return replace(take, left=tracks["left"], right=tracks["right"], meta={**take.meta, "polish": asdict(settings)})


def _polished(take: Take, side: Side, model: HandModel, choices: PolishSettings) -> HandTrack:
    track = take.track(side)
    count = len(take)
    solved = np.isfinite(track.raw_translation).all(-1)
    rotation, translation = track.raw_rotation.copy(), track.raw_translation.copy()
    # A fill of an earlier polish is not a result: only frames the solver posed are.
    state = np.where(solved, track.state, State.ABSENT).astype(np.uint8)
    state[solved & (state == State.ABSENT)] = State.SEEN
    exact = _exactness(take, side)
    for stretch in _stretches(solved, take.time):
        time, trust = take.time[stretch], np.clip(track.confidence[stretch], 0.0, 1.0)
        kept = exact[stretch]
        for joints in _TOGETHER:
            rotation[stretch, joints] = smoothed_rotations(
                track.raw_rotation[stretch, joints],
                time,
                trust,
                kept,
                most_noise=choices.most_finger_noise if joints.start else choices.most_root_noise,
                strength=choices.strength,
            )
        translation[stretch] = _smoothed_place(track.raw_translation[stretch], time, trust, kept, choices, take.size)
    if choices.gaps != "none":
        rest = rest_pose(side)
        away = fixes.of_side(take, side).absent
        for gap in short_gaps(solved, take.time, choices.longest_gap):
            hole = slice(gap.first, gap.last + 1)
            if away.intersection(range(gap.first, gap.last + 1)):
                continue
            rotation[hole], translation[hole] = fill(rotation, translation, take.time, gap, rest, choices)
            state[hole] = State.FILLED
    present = state != State.ABSENT
    if choices.limits:
        rotation[present, 1:] = _within_limits(rotation[present], side)[:, 1:]
    _put_in_corrections(take, side, rotation, translation, present)
    rotation[~present], translation[~present] = rotations.IDENTITY, np.nan
    frames = np.flatnonzero(present)
    rotation[frames] = rotations.continuous(rotation[frames])
    points = np.full((count, 21, 3), np.nan)
    if len(frames):
        points[frames] = model.keypoints(rotation[frames], translation[frames], model.rest(take.betas, take.size))
    return replace(track, state=state, rotation=rotation, translation=translation, points=points)


_ADULT_PALM: Final = 0.09
_NEAREST: Final = 0.01
"""metres: nothing nearer to the camera has a place in its picture"""


def _smoothed_place(
    place: Array, time: Array, trust: Array, kept: Array, choices: PolishSettings, palm: float
) -> Array:
    """Translations (T, 3), smoothed as what the camera sees: where in the picture, and how deep.

    Depth trembles many times more than the place in the picture; apart, neither pays for the other.
    """
    strength = choices.strength if choices.place_strength is None else choices.place_strength
    if strength <= 0.0:
        return place.copy()
    depth = np.maximum(place[:, 2:], _NEAREST)
    usual = float(np.median(depth))
    larger = palm / _ADULT_PALM / usual
    sideways, deep = choices.most_sideways_noise * larger, choices.most_place_noise * larger
    seen = smoothed_values(
        np.concatenate([place[:, :2] / depth, np.log(depth)], axis=1),
        time,
        trust,
        kept,
        most_noise=np.array([sideways, sideways, deep]),
        strength=strength,
    )
    away = np.exp(seen[:, 2:])
    return np.where(place[:, 2:] > _NEAREST, np.concatenate([seen[:, :2] * away, away], axis=1), place)


def _within_limits(rotation: Array, side: Side) -> Array:
    """Rotations (n, 16, 4) whose joints turn no further than they can; what a joint did besides its hinges stays."""
    hinges = free_hinges(side)
    angles = angles_from_rotations(rotation, hinges, carry=False)
    clipped = np.clip(angles, hinges.limits[..., 0], hinges.limits[..., 1]) * hinges.free
    found, wanted = rotations_from_angles(angles, hinges), rotations_from_angles(clipped, hinges)
    beside = rotations.multiply(rotations.conjugate(found), rotation)
    return rotations.multiply(wanted, beside)


def _put_in_corrections(
    take: Take, side: Side, rotation: Array, translation: Array, present: NDArray[np.bool_]
) -> None:
    """Poses a user fixed since the take was solved: exact in their frames, fading around. In place.

    In a take that was solved with its corrections they are there already, and nothing changes.
    """
    given = fixes.of_side(take, side)
    frames = np.flatnonzero(present)
    if not len(frames):
        return
    time = take.time[frames]
    rotation[frames] = fixes.with_exact_rotations(rotation[frames], given, frames, time)
    fixed = sorted(set(given.translations) & set(frames.tolist()))
    if not fixed:
        return
    moved = np.array([given.translations[frame] for frame in fixed]) - translation[fixed]
    apart = np.abs(time[:, None] - take.time[fixed]).min(1)
    share = np.clip(1.0 - apart / fixes.FADE, 0.0, 1.0)
    share = share * share * (3.0 - 2.0 * share)
    between = np.stack([np.interp(time, take.time[fixed], moved[:, axis]) for axis in range(3)], axis=-1)
    translation[frames] += between * share[:, None]
    translation[fixed] = [given.translations[frame] for frame in fixed]


def _exactness(take: Take, side: Side) -> Array:
    """(T,) 1 in corrected frames, fading to 0 around them."""
    out = np.zeros(len(take))
    for frame in fixes.of_side(take, side).posed_frames:
        near = np.clip(1.0 - np.abs(take.time - take.time[frame]) / _HELD, 0.0, 1.0)
        out = np.maximum(out, near)
    return out


def _stretches(solved: NDArray[np.bool_], time: Array) -> list[NDArray[np.intp]]:
    """Runs of solved frames (indices) that follow each other without a long hole."""
    known = np.flatnonzero(solved)
    if not len(known):
        return []
    return np.split(known, np.flatnonzero(np.diff(time[known]) > _BREAK) + 1)


@lru_cache(maxsize=2)
def rest_pose(side: Side) -> Array:
    """The relaxed hand (16, 4): the mean of recorded hands; joint 0 is the identity."""
    hinges = free_hinges("right")
    mean = recorded(Chain(free_hand("right").rest(), hinges), FitSettings()).mean
    return rotations_from_angles(unpack(mean, hinges), free_hinges(side))
