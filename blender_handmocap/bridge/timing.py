# SPDX-License-Identifier: GPL-3.0-or-later
"""From the times of a clip to the frames of a scene.

Blender's real rate is `fps / fps_base`, and it plays a clip one clip frame a scene frame whatever the rates are.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..engine.take import Take

Array = NDArray[np.float64]

_SAME_RATE: Final = 1e-3
"""Frames a second: 29.97 and 30 differ, 30000/1001 and 29.97003 do not."""
_JITTER: Final = 0.3
"""Time stamps this many frames off the even grid are still a constant rate."""


class Timing(Enum):
    """How a take's frames become scene frames."""

    MATCH_SCENE = "MATCH_SCENE"
    """the scene takes the clip's rate, so a scene frame is a clip frame and both keep true time"""
    ONE_A_FRAME = "ONE_A_FRAME"
    """one key a clip frame on successive scene frames; at another rate the motion runs faster or slower"""
    TRUE_TIME = "TRUE_TIME"
    """keys at their true times in the scene's rate, between frames where need be"""


def scene_rate(scene: bpy.types.Scene) -> float:
    """Frames a second."""
    return float(scene.render.fps) / float(scene.render.fps_base)


def set_scene_rate(scene: bpy.types.Scene, rate: float) -> None:
    """Set frames a second exactly: 29.97 becomes 30 / 1.001."""
    scene.render.fps = max(1, round(rate))
    scene.render.fps_base = scene.render.fps / rate


def same_rate(first: float, second: float) -> bool:
    """Whether two rates are one and the same for a clip of any length that matters."""
    return abs(first - second) < _SAME_RATE


def is_even(take: Take) -> bool:
    """Whether the take's time stamps follow its nominal rate (a phone's clip may not)."""
    return bool(np.abs(_clip_positions(take) - (take.frame - take.frame[0])).max(initial=0.0) < _JITTER)


def key_frames(take: Take, timing: Timing, start: float, rate: float) -> Array:
    """Scene frames (T,) of the take's frames; the first falls on `start`. `rate` is the scene's."""
    if timing is Timing.TRUE_TIME and not (is_even(take) and same_rate(rate, take.rate)):
        return start + (take.time - take.time[0]) * rate
    if is_even(take):
        return start + (take.frame - take.frame[0]).astype(np.float64)
    # Blender shows a variable-rate clip at its average rate: each picture from its time stamp on.
    return start + _clip_positions(take)


def shown_clip_frames(take: Take, timing: Timing, start: int, end: int, rate: float) -> NDArray[np.int32]:
    """Clip frames, counted from 0 at the take's first, to show at scene frames start..end (inclusive)."""
    scene_frames = np.arange(start, end + 1, dtype=np.float64)
    if timing is not Timing.TRUE_TIME or same_rate(rate, take.rate):
        return (scene_frames - start).astype(np.int32)
    positions = (scene_frames - start) / rate * take.rate
    # The picture nearest in time lies closest to the hands; a player would show the last one whose time has come.
    return np.round(positions).astype(np.int32)


def _clip_positions(take: Take) -> Array:
    return (take.time - take.time[0]) * take.rate
