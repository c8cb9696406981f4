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
_ON_TIME: Final = 1e-4
"""Frames by which a time stamp may miss the frame that it belongs to, as sums of fractions do."""
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


def key_frames(take: Take, timing: Timing, start: float, rate: float, clip_rate: float | None = None) -> Array:
    """Scene frames (T,) of the take's frames; the first falls on `start`.

    `rate` is the scene's, `clip_rate` that at which Blender counts the clip's frames (`played_rate`).
    """
    played = take.rate if clip_rate is None else clip_rate
    if timing is Timing.TRUE_TIME and not (is_even(take) and same_rate(rate, take.rate)):
        return start + (take.time - take.time[0]) * rate
    if is_even(take):
        return start + (take.frame - take.frame[0]).astype(np.float64)
    return start + (take.time - take.time[0]) * played


def played_rate(take: Take, clip: bpy.types.MovieClip | None) -> float:
    """Frames a second as Blender counts them in the take's clip.

    It turns a clip whose rate varies into one of a constant rate of its own choosing, in which each picture stands
    from its time stamp on.
    """
    return take.rate if clip is None or is_even(take) or clip.fps <= 0.0 else float(clip.fps)


def first_clip_frame(take: Take, clip_rate: float) -> int:
    """The take's first frame as Blender counts the clip's, from 0."""
    return int(take.frame[0]) if is_even(take) else round(float(take.time[0]) * clip_rate)


def shown_clip_frames(
    take: Take, timing: Timing, start: int, end: int, *, rate: float, clip_rate: float
) -> NDArray[np.int32]:
    """Clip frames, counted from 0 at the take's first, to show at scene frames start..end (inclusive)."""
    scene_frames = np.arange(start, end + 1, dtype=np.float64)
    if not is_even(take):
        moments = take.time[0] + (scene_frames - start) / (rate if timing is Timing.TRUE_TIME else clip_rate)
        later = np.clip(np.searchsorted(take.time, moments), 1, len(take) - 1)
        is_before = moments - take.time[later - 1] < take.time[later] - moments
        # The first of Blender's evenly counted frames in which the picture nearest in time is to be seen.
        counted = np.ceil(take.time[later - is_before] * clip_rate - _ON_TIME)
        return (counted - first_clip_frame(take, clip_rate)).astype(np.int32)
    if timing is not Timing.TRUE_TIME or same_rate(rate, clip_rate):
        return (scene_frames - start).astype(np.int32)
    # The picture nearest in time lies closest to the hands; a player would show the last one whose time has come.
    return np.round((scene_frames - start) / rate * clip_rate).astype(np.int32)


def _clip_positions(take: Take) -> Array:
    return (take.time - take.time[0]) * take.rate
