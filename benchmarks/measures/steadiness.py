# SPDX-License-Identifier: GPL-3.0-or-later
"""Time: jitter where the hand is still, and beside it what smoothing costs where it moves.

A filter that kills jitter by killing motion loses on `amplitude_kept` and `lag_ms`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.names import KEYPOINT_PARENTS

Array = NDArray[np.float64]

FREQUENCIES_HZ: Final = (3.0, 6.0, 8.0)
STILL_BELOW_MM: Final = 2.0
"""A hand is still where its points, averaged over STILL_FRAMES frames, move less than this a frame."""
STILL_FRAMES: Final = 3
MOVES_FROM_MM: Final = 5.0
"""A frequency is measured only where the true points themselves swing by at least this amplitude on average."""


def second_difference(track: Array) -> Array:
    """(T, ..., 3) next minus twice this plus last frame of a track, mm a frame^2; NaN at both ends."""
    result = np.full(track.shape, np.nan)
    if len(track) >= 3:
        result[1:-1] = track[2:] - 2 * track[1:-1] + track[:-2]
    return result


def jitter_mm(points: Array, still: NDArray[np.bool_]) -> Array:
    """(M,) mm a frame^2: length of the second difference, mean over the 21 points, of a track (T, 21, 3).

    Only in frames that are `still` (T,) and seen with both their neighbours; the second difference removes any slow
    drift, so it is what an eye sees as trembling.
    """
    length = np.linalg.norm(second_difference(points), axis=-1)
    return length[still & np.isfinite(length).all(-1)].mean(-1)


def acceleration_error_mm(predicted: Array, truth: Array) -> Array:
    """(M,) mm a frame^2: difference of the second differences of prediction and truth (T, 21, 3), mean over the points.

    Over all frames where both are known with their neighbours, moving or not.
    """
    length = np.linalg.norm(second_difference(predicted) - second_difference(truth), axis=-1)
    return length[np.isfinite(length).all(-1)].mean(-1)


def still_frames(truth: Array) -> NDArray[np.bool_]:
    """(T,) frames at which the true points (T, 21, 3) mm stand still.

    The mean of the STILL_FRAMES frames after a frame and that of those before it lie less than STILL_BELOW_MM a frame
    apart, averaged over the points; averaging keeps a truth that trembles itself from hiding its still spans. Frames
    without truth on both sides are not still.
    """
    still = np.zeros(len(truth), bool)
    for frame in range(STILL_FRAMES, len(truth) - STILL_FRAMES):
        before, after = truth[frame - STILL_FRAMES : frame], truth[frame + 1 : frame + 1 + STILL_FRAMES]
        moved = np.linalg.norm(after.mean(0) - before.mean(0), axis=-1) / (STILL_FRAMES + 1)
        still[frame] = bool(np.isfinite(moved).all() and moved.mean() < STILL_BELOW_MM)
    return still


def _swing(track: Array, time: Array, frequency: float) -> Array:
    """Complex amplitude (D,) of each column of (T, D) at `frequency`, beside a constant and a linear trend."""
    phase = 2 * np.pi * frequency * time
    basis = np.stack([np.cos(phase), np.sin(phase), np.ones_like(time), time - time.mean()], axis=-1)
    weight = np.linalg.lstsq(basis, track, rcond=None)[0]
    return weight[0] - 1j * weight[1]


def amplitude_kept(predicted: Array, truth: Array, time: Array, frequency: float) -> float:
    """Share of the true swing at `frequency` Hz that the prediction shows, in phase or not; 1 = all of it.

    Tracks are (T, D) in mm over `time` (T,) seconds. The swing of each column is its least-squares sine at
    the frequency beside a constant and a trend; the answer is |<truth, predicted>| / <truth, truth> over the columns.
    NaN when the true points' own swing (root mean square of the amplitudes of points, D / 3 of them) is below
    MOVES_FROM_MM.
    """
    true = _swing(truth, time, frequency)
    power = float((np.abs(true) ** 2).sum())
    if not power / (truth.shape[1] / 3) >= MOVES_FROM_MM**2:
        return float("nan")
    return float(np.abs((np.conj(true) * _swing(predicted, time, frequency)).sum()) / power)


def lag_ms(predicted: Array, truth: Array, time: Array, *, longest: float = 0.3) -> float:
    """Milliseconds by which tracks (T, D) trail the truth: the delay at which they correlate best.

    The truth is shifted by -longest..longest seconds in steps of a millisecond (linear interpolation) and compared over
    the frames every shift covers; columns are centred. Positive: the prediction is late. NaN when the truth does not
    move or nothing remains.
    """
    inner = (time >= time[0] + longest) & (time <= time[-1] - longest)
    if inner.sum() < 8:
        return float("nan")
    shown = predicted[inner] - predicted[inner].mean(0)
    if (truth[inner].std(0) ** 2).sum() / (truth.shape[1] / 3) < MOVES_FROM_MM**2:
        return float("nan")
    delays = np.arange(-round(longest * 1000), round(longest * 1000) + 1) / 1000.0
    scores = []
    for delay in delays:
        moved = np.stack([np.interp(time[inner] - delay, time, column) for column in truth.T], axis=-1)
        moved = moved - moved.mean(0)
        scores.append((moved * shown).sum() / max(float(np.linalg.norm(moved)), 1e-12))
    return float(delays[int(np.argmax(scores))] * 1000.0)


def bone_length_variation(points: Array) -> float:
    """Standard deviation over mean of each of the 20 bones through a track (T, 21, 3), averaged over the bones.

    Unit: a share (0.02 = 2 %). A model with constant bones has 0. NaN with fewer than two frames.
    """
    finite = points[np.isfinite(points).all((-1, -2))]
    if len(finite) < 2:
        return float("nan")
    child = np.arange(1, points.shape[1])
    length = np.linalg.norm(finite[:, child] - finite[:, np.array(KEYPOINT_PARENTS)[child]], axis=-1)
    return float((length.std(0) / length.mean(0)).mean())
