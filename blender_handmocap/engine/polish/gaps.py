# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames in which a hand was away for a moment: a pose between the last one and the next one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from .settings import PolishSettings

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Gap:
    """Frames first..last of a take are empty; the frames on both sides are not."""

    first: int
    last: int


def short_gaps(present: NDArray[np.bool_], time: Array, longest: float) -> list[Gap]:
    """Holes of at most `longest` seconds between two present frames of a track; present (T,), time (T,)."""
    known = np.flatnonzero(present)
    after = np.flatnonzero(np.diff(known) > 1)
    gaps = [Gap(int(known[i]) + 1, int(known[i + 1]) - 1) for i in after]
    return [gap for gap in gaps if time[gap.last + 1] - time[gap.first - 1] <= longest + 1e-9]


def fill(
    rotation: Array, translation: Array, time: Array, gap: Gap, rest: Array, choices: PolishSettings
) -> tuple[Array, Array]:
    """Rotations (n, 16, 4) and translations (n, 3) of a gap's frames; `rest` (16, 4) is the relaxed hand."""
    before, after = gap.first - 1, gap.last + 1
    begin, end = time[before], time[after]
    now = time[gap.first : gap.last + 1]
    place = _between(translation, time, before, after, now)
    if choices.gaps == "hold":
        share = _eased((now - np.maximum(end - choices.ease, begin)) / min(choices.ease, end - begin))
        held = translation[before] + share[:, None] * (translation[after] - translation[before])
        return _mixed(rotation[before], rotation[after], share), held
    through = _mixed(rotation[before], rotation[after], _eased((now - begin) / (end - begin)))
    if choices.gaps == "rest":
        ease = min(choices.ease, 0.5 * (end - begin))
        away = _eased(np.minimum(now - begin, end - now) / ease)
        relaxed = _mixed(through, np.broadcast_to(rest, through.shape), away)
        through = np.concatenate([through[:, :1], relaxed[:, 1:]], axis=1)
    return through, place


def _mixed(first: Array, second: Array, share: Array) -> Array:
    """Slerp of poses (16, 4) or (n, 16, 4) by share (n,)."""
    first, second = (np.broadcast_to(q, (len(share), *q.shape[-2:])) for q in (first, second))
    return rotations.slerp(first, second, share[:, None])


def _eased(share: Array) -> Array:
    """0..1 with no speed at both ends."""
    x = np.clip(share, 0.0, 1.0)
    return np.asarray(x * x * (3.0 - 2.0 * x))


def _between(translation: Array, time: Array, before: int, after: int, now: Array) -> Array:
    """Cubic Hermite from one side to the other with the speeds found there."""
    length = time[after] - time[before]
    x = ((now - time[before]) / length)[:, None]

    def speed(at: int, towards: int) -> Array:
        beyond = at + towards
        if 0 <= beyond < len(time) and np.isfinite(translation[beyond]).all():
            found: Array = (translation[at] - translation[beyond]) / (time[at] - time[beyond])
            return found
        return np.zeros(3)

    # A hand that left fast does not overshoot: its speed counts for half a second at most.
    reach = min(length, 0.5)
    start, end = translation[before], translation[after]
    first, second = speed(before, -1) * reach, speed(after, +1) * reach
    found: Array = (
        (2 * x**3 - 3 * x**2 + 1) * start
        + (x**3 - 2 * x**2 + x) * first
        + (-2 * x**3 + 3 * x**2) * end
        + (x**3 - x**2) * second
    )
    return found
