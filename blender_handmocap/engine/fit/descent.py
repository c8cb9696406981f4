# SPDX-License-Identifier: GPL-3.0-or-later
"""Levenberg-Marquardt over a window, frame by frame: trouble in one place does not hold up the rest.

Every frame has a damping of its own. Where a step made a frame and its neighbours worse, they
alone stay behind and go on more carefully. Frames come to rest at different times: after the steps
over the whole window only those that still move are solved further, between neighbours that stay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from .kinematics import FIRST_ANGLE, ROTATION, HandState
from .spatial import Array

if TYPE_CHECKING:
    from .window import Linearised, Window

_DAMPING: Final = 1e-3
_LEAST: Final = 1e-7
_MOST: Final = 1e6
_LOWER: Final = 0.2
_RAISE: Final = 8.0
_STILL: Final = np.radians(0.02)
"""a frame in which a step turns nothing by more than this has come to rest"""
_NEAR: Final = 2
"""frames to both sides that a step is judged with"""
_MARGIN: Final = 6
"""frames around a moving one that move with it"""
_BORDER: Final = 2
"""frames beyond that stay, and hold the others"""
_ROUNDS: Final = 1
"""times that those still moving are solved further"""
_RISE: Final = 1e-6
"""share of a frame's cost by which it rises before it counts as worse"""


def descend(
    window: Window,
    start: HandState,
    *,
    steps: int,
    frames: NDArray[np.bool_] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> HandState:
    """The state after `steps` over all frames, or over `frames` (F,), and as many again for those that still move."""
    state, moving = start, frames
    if moving is None:
        state, moving = _descend(window, start, steps, cancelled)
    index = window.frame_index
    for _ in range(_ROUNDS):
        active = _wide(moving, _MARGIN)
        if not active.any() or (cancelled is not None and cancelled()):
            break
        hands = np.flatnonzero(_wide(active, _BORDER)[index])
        part = window.part(hands, ~active[index[hands]])
        found, still_moving = _descend(part, state.take(hands), steps, cancelled)
        state = state.put(hands, found)
        moving = np.zeros_like(active)
        moving[np.unique(index[hands])] = still_moving
    return state


def _descend(
    window: Window, state: HandState, steps: int, cancelled: Callable[[], bool] | None
) -> tuple[HandState, NDArray[np.bool_]]:
    """The state after at most `steps`, and which frames (F,) still move; the cost never rises."""
    frame = window.frame_index
    count = int(frame.max(initial=-1)) + 1
    damping = np.full(count, _DAMPING)
    moving = np.ones(count, bool)
    now = window.linearise(state)
    for _ in range(steps):
        if cancelled is not None and cancelled():
            break
        step = window.step(now, damping[frame])
        state, now, worse, turned = _taken(window, state, now, step)
        damping = np.where(worse, np.minimum(damping * _RAISE, _MOST), np.maximum(damping * _LOWER, _LEAST))
        moving = worse | (turned > _STILL)
        if not moving.any():
            break
    return state, moving


def _taken(
    window: Window, state: HandState, now: Linearised, step: Array
) -> tuple[HandState, Linearised, NDArray[np.bool_], Array]:
    """The state after a step where it helps; frames (F,) it made worse, and by how much it turned each (F,) radians."""
    frame = window.frame_index
    count = int(frame.max(initial=-1)) + 1
    turn = np.maximum(np.abs(step[ROTATION]).max(0), np.abs(step[FIRST_ANGLE:-3]).max(0))
    turned = np.zeros(count)
    np.maximum.at(turned, frame, turn)
    moved = state.moved(step)
    after = window.linearise(moved)
    before, behind = (_around(_by_frame(value.local, frame, count)) for value in (now, after))
    worse = behind > before * (1.0 + _RISE)
    if after.cost <= now.cost:
        return moved, after, worse, turned
    # Where it helped it is kept: the frames in trouble, and what joins them to the others, stay.
    stay = _wide(worse, _NEAR)[frame]
    mixed = state.where(stay, moved)
    value = window.linearise(mixed)
    if value.cost <= now.cost:
        return mixed, value, worse, turned
    return state, now, np.ones(count, bool), turned


def _by_frame(values: Array, frame: NDArray[np.intp], count: int) -> Array:
    """Sums (F,) of values (B,) over the hands of a frame."""
    out = np.zeros(count)
    np.add.at(out, frame, values)
    return out


def _around(values: Array) -> Array:
    """Sums (F,) over each frame and its neighbours."""
    return np.convolve(values, np.ones(2 * _NEAR + 1))[_NEAR : _NEAR + len(values)]


def _wide(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """The frames (F,) of a mask and those up to `reach` away."""
    return np.asarray(np.convolve(mask, np.ones(2 * reach + 1))[reach : reach + len(mask)] > 0.5)
