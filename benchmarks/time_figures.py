# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures that need frames in order: jitter, amplitude, lag, bones; and how long a frame took."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.names import KEYPOINT_COUNT, SIDES, Side

from .figures import Figures
from .hands import Clip, Seen
from .measures import steadiness
from .table import Table

Array = NDArray[np.float64]

LONGEST_GAP: Final = 3
"""Tracks are bridged over this many missing frames for amplitude and lag; over more they are cut."""


def time_figures(result: Figures, table: Table) -> None:
    """Everything about time."""
    variation: list[float] = []
    trembling: list[Array] = []
    placed_trembling: list[Array] = []
    true_trembling: list[Array] = []
    accelerations: list[Array] = []
    kept: dict[float, list[float]] = {frequency: [] for frequency in steadiness.FREQUENCIES_HZ}
    lags: list[float] = []
    for clip, seen in zip(table.clips, table.seen, strict=True):
        if not clip.ordered:
            continue
        for side in SIDES:
            shown = _track(seen, side, clip.palm_mm)
            if shown is None:
                continue
            first, points = shown
            variation.append(steadiness.bone_length_variation(points))
            truth = _true_track(clip, side, first, len(points))
            if truth is None:
                continue
            still = steadiness.still_frames(truth)
            trembling.append(steadiness.jitter_mm(_centred(points), still))
            placed_trembling.append(steadiness.jitter_mm(points, still))
            true_trembling.append(steadiness.jitter_mm(_centred(truth), still))
            accelerations.append(steadiness.acceleration_error_mm(_centred(points), _centred(truth)))
            _motion(points, truth, float(clip.rate), kept, lags)
    result.set("bone_length_variation", _mean(variation))
    result.set("jitter_mm", _mean(np.concatenate(trembling)) if trembling else None)
    result.set("jitter_placed_mm", _mean(np.concatenate(placed_trembling)) if placed_trembling else None)
    result.set("jitter_truth_mm", _mean(np.concatenate(true_trembling)) if true_trembling else None)
    result.set("acceleration_error_mm", _mean(np.concatenate(accelerations)) if accelerations else None)
    for frequency, shares in kept.items():
        result.set(f"amplitude_kept_{frequency:.0f}hz", _mean(shares))
    result.set("lag_ms", _mean(lags))
    times = np.array([ms for seen in table.seen for ms in seen.ms.values()])
    result.set("ms_per_frame", float(np.median(times)) if len(times) else None)
    # Where no hand is in sight, a tracker searches now and then: most pictures cost nothing, and the median says so.
    result.set("ms_per_frame_mean", float(times.mean()) if len(times) else None)
    peaks = [seen.peak_mb for seen in table.seen if seen.peak_mb is not None]
    result.set("peak_memory_mb", max(peaks) if peaks else None)
    stages = sorted({stage for seen in table.seen for stage in seen.stages_ms})
    for stage in stages:
        result.set(f"ms_{stage}", _mean([seen.stages_ms[stage] for seen in table.seen if stage in seen.stages_ms]))


def _motion(points: Array, truth: Array, rate: float, kept: dict[float, list[float]], lags: list[float]) -> None:
    """Amplitude and lag over the spans where the method saw the hand and the truth is known."""
    known = np.isfinite(truth).all((1, 2))
    filled = _bridged(points)
    usable = known & np.isfinite(filled).all((1, 2))
    for start, stop in _spans(usable):
        if (stop - start) / rate < 1.0:
            continue
        time = np.arange(stop - start) / rate
        shown, true = filled[start:stop].reshape(stop - start, -1), truth[start:stop].reshape(stop - start, -1)
        for frequency in kept:
            if frequency < rate / 2:
                share = steadiness.amplitude_kept(shown, true, time, frequency)
                if np.isfinite(share):
                    kept[frequency].append(share)
        lag = steadiness.lag_ms(shown, true, time)
        if np.isfinite(lag):
            lags.append(lag)


def _track(seen: Seen, side: Side, palm_mm: float | None) -> tuple[int, Array] | None:
    """First frame and points (T, 21, 3) mm of the most confident hand of a side; NaN in frames without.

    Brought to the true palm length where there is one: a method that believes in smaller hands must not seem steadier.
    """
    if not seen.hands:
        return None
    first, last = min(seen.hands), max(seen.hands)
    points = np.full((last - first + 1, KEYPOINT_COUNT, 3), np.nan)
    for index, hands in seen.hands.items():
        own = [hand for hand in hands if hand.side == side]
        if own:
            hand = max(own, key=lambda one: one.confidence)
            points[index - first] = hand.points3d * (1.0 if palm_mm is None else palm_mm / hand.palm_mm)
    return (first, points) if np.isfinite(points).any() else None


def _centred(points: Array) -> Array:
    """Points relative to their mean: what trembles is the hand itself, not where it is placed."""
    return points - points.mean(1, keepdims=True)


def _true_track(clip: Clip, side: Side, first: int, count: int) -> Array | None:
    points = np.full((count, KEYPOINT_COUNT, 3), np.nan)
    for frame in clip.frames:
        for hand in frame.hands:
            if hand.side == side and 0 <= frame.index - first < count:
                points[frame.index - first] = hand.points3d
    return points if np.isfinite(points).any() else None


def _bridged(points: Array) -> Array:
    """Gaps of at most LONGEST_GAP frames filled linearly."""
    result = points.copy()
    for start, stop in _spans(~np.isfinite(points).all((1, 2))):
        if start > 0 and stop < len(points) and stop - start <= LONGEST_GAP:
            share = (np.arange(start, stop) - (start - 1)) / (stop - start + 1)
            result[start:stop] = points[start - 1] + share[:, None, None] * (points[stop] - points[start - 1])
    return result


def _spans(inside: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(start, stop) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _mean(values: list[float] | Array) -> float | None:
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    return float(finite.mean()) if len(finite) else None
