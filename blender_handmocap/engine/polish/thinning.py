# SPDX-License-Identifier: GPL-3.0-or-later
"""Fewer keys: the frames between which smooth curves say what a key a frame said.

Curves are cubic, with the slopes the dense motion has at the kept frames. That is what Blender plays when a key's
handles lie a third of the way to its neighbours, so the error measured here is the error one gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Frames = NDArray[np.intp]

_STILL: Final = 0.2
"""of the usual speed: slower, a hand holds its pose"""
_APART: Final = 0.1
"""seconds between two poses of a pose-to-pose animation, at least"""
_CALM: Final = 0.08
"""seconds over which speed is averaged before poses are looked for"""


def slopes(values: Array, time: Array) -> Array:
    """(T, C) change a unit of time of dense values (T, C) at time (T,)."""
    if len(time) < 2:
        return np.zeros_like(values)
    return np.asarray(np.gradient(values, time, axis=0), dtype=np.float64)


def between_keys(values: Array, slope: Array, time: Array, keys: Frames) -> Array:
    """(T, C) what cubic curves through keys (K,) say at every frame; the ends are held."""
    at = np.clip(np.searchsorted(keys, np.arange(len(time)), side="right") - 1, 0, max(len(keys) - 2, 0))
    if len(keys) == 1:
        return np.broadcast_to(values[keys[0]], values.shape).copy()
    first, second = keys[at], keys[at + 1]
    length = time[second] - time[first]
    x = np.clip((time - time[first]) / length, 0.0, 1.0)[:, None]
    h = length[:, None]
    return np.asarray(
        (2 * x**3 - 3 * x**2 + 1) * values[first]
        + (x**3 - 2 * x**2 + x) * h * slope[first]
        + (3 * x**2 - 2 * x**3) * values[second]
        + (x**3 - x**2) * h * slope[second]
    )


def turn_error(values: Array, played: Array) -> Array:
    """(T,) radians between quaternions (T, 4) and their interpolated, not yet normalised, components."""
    unit = played / np.maximum(np.linalg.norm(played, axis=-1, keepdims=True), 1e-12)
    return np.asarray(2.0 * np.arcsin(np.clip(0.5 * np.linalg.norm(unit - values, axis=-1), 0.0, 1.0)) * 2.0)


def keys_within(curves: Sequence[tuple[Array, float]], time: Array) -> Frames:
    """The frames to keep, ends included, so that no curve is off by more than it may.

    `curves`: values (T, C), and what they may be off: radians for quaternions (C = 4), else the values' own unit.
    Frames are added where the curves are worst until all are good.
    """
    count = len(time)
    slope = [slopes(values, time) for values, _ in curves]
    keys = np.unique([0, count - 1])
    while True:
        off = np.zeros(count)
        for (values, most), steep in zip(curves, slope, strict=True):
            played = between_keys(values, steep, time, keys)
            error = turn_error(values, played) if values.shape[1] == 4 else np.linalg.norm(played - values, axis=-1)
            off = np.maximum(off, error / most)
        worst = _worst_of_each(off, keys)
        if not len(worst):
            return keys
        keys = np.union1d(keys, worst)


def _worst_of_each(off: Array, keys: Frames) -> Frames:
    """In every stretch between keys that is off by too much, its worst frame."""
    out = [
        first + int(off[first : last + 1].argmax())
        for first, last in pairwise(keys)
        if off[first : last + 1].max() > 1.0 and last - first > 1
    ]
    return np.array([frame for frame in out if frame not in keys], dtype=np.intp)


def poses(rotation: Array, time: Array) -> Frames:
    """The frames of a pose-to-pose animation of quaternions (T, B, 4): where the hand holds or turns back.

    Both ends of a hold are kept, so that it stays one.
    """
    count = len(time)
    if count < 3:
        return np.arange(count)
    turn = 2.0 * np.linalg.norm(np.diff(rotation, axis=0), axis=-1).sum(1) / np.diff(time)
    speed = np.interp(time, 0.5 * (time[1:] + time[:-1]), turn)
    width = max(1, round(_CALM / float(np.median(np.diff(time)))))
    padded = np.pad(speed, width, mode="edge")
    speed = np.convolve(padded, np.ones(2 * width + 1) / (2 * width + 1), mode="valid")
    usual = float(np.median(speed[speed > 0.0])) if (speed > 0.0).any() else 0.0
    found = {0, count - 1}
    still = speed < _STILL * usual
    edges = np.flatnonzero(np.diff(np.concatenate([[False], still, [False]]).astype(np.int8)))
    for first, end in zip(edges[::2], edges[1::2], strict=True):
        found |= {int(first), int(end) - 1}
    slowest = (speed[1:-1] <= speed[:-2]) & (speed[1:-1] < speed[2:]) & ~still[1:-1]
    found |= {int(frame) for frame in np.flatnonzero(slowest) + 1}
    return _apart(sorted(found), time, speed)


def _apart(frames: list[int], time: Array, speed: Array) -> Frames:
    """Of poses closer than `_APART` the calmer one; the ends stay."""
    kept = [frames[0]]
    for frame in frames[1:-1]:
        if time[frame] - time[kept[-1]] >= _APART:
            kept.append(frame)
        elif speed[frame] < speed[kept[-1]] and kept[-1] != frames[0]:
            kept[-1] = frame
    if len(kept) > 1 and time[frames[-1]] - time[kept[-1]] < _APART:
        kept.pop()
    return np.array([*kept, frames[-1]], dtype=np.intp)
