# SPDX-License-Identifier: GPL-3.0-or-later
"""The performer's proportions, measured from the lengths of the bones seen over a clip.

The mean hand and one size number are the default: betas fitted to single views take up the
detector's own bias and make poses worse. Asked to, `calibrate` compares the ratios of observed
bones to the palm with those of the model (Zhou et al., Monocular Real-time Hand Shape and Motion
Capture, eq. 8) under a prior as wide as the ratios are uncertain, and keeps what it finds only
if frames it has not used then reproject better.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..hand.free import free_hand
from ..hand.hands import Hands, free_hands
from ..hand.names import KEYPOINT_COUNT, KEYPOINT_PARENTS, PALM_KEYPOINTS, SIDES
from ..see.definitions import MODEL, rest_offsets
from ..take import State, Take
from . import hypotheses, observations
from .energy import Energy
from .kinematics import Chain
from .settings import FitSettings
from .spatial import Array
from .terms.robust import geman_mcclure

_CHILD: Final = np.arange(1, KEYPOINT_COUNT)
_PARENT: Final = np.array(KEYPOINT_PARENTS[1:])
_PALM: Final = np.isin(_CHILD, PALM_KEYPOINTS)
_LEAST_FRAMES: Final = 60
"""frames (both hands together) below which no shape is estimated"""
_MOST_FRAMES: Final = 240
"""evenly chosen frames of each half that are fitted to judge by"""
_BIAS: Final = 0.06
"""share of a bone's length by which a detector is wrong however long it looks"""
_COMMON_BIAS: Final = 0.04
"""the same for all finger bones together against the palm"""
_BETA_SIGMA: Final = 0.7
"""spread of performers' betas that the prior expects"""
_LEAST_GAIN: Final = 0.01
"""share of the held-out error that a shape must save to be kept"""
_STEP: Final = 1e-3


@dataclass(frozen=True)
class Calibration:
    """What was tried and how it ended; goes into the take's meta as `shape`."""

    kept: bool
    reason: str
    betas: Array
    """(10,) the betas the take should be solved with"""
    frames: int
    held_out_before: float
    """mean robust reprojection error of held-out frames, in sigmas, with the take's betas"""
    held_out_after: float
    measured: tuple[float, ...] = ()
    """(20,) bone lengths as they were seen, in palm bones, from each keypoint but the wrist to its parent"""
    fitted: tuple[float, ...] = ()
    """(20,) the same of the hand that was tried, kept or not"""

    def as_meta(self) -> dict[str, object]:
        """JSON-ready."""
        return {
            "kept": self.kept,
            "reason": self.reason,
            "betas": [round(float(b), 6) for b in self.betas],
            "frames": self.frames,
            "held_out_before": None if np.isnan(self.held_out_before) else round(self.held_out_before, 4),
            "held_out_after": None if np.isnan(self.held_out_after) else round(self.held_out_after, 4),
            "measured": [round(length, 4) for length in self.measured],
            "fitted": [round(length, 4) for length in self.fitted],
        }


def calibrate(take: Take, settings: FitSettings | None = None, hands: Hands | None = None) -> Calibration:
    """Estimate betas from every second stretch of the seen frames, judge them on the others."""
    weights = FitSettings() if settings is None else settings
    model = free_hands() if hands is None else hands
    lengths = np.concatenate([_lengths(take, side_index) for side_index in range(len(SIDES))])
    if len(lengths) < _LEAST_FRAMES:
        reason = f"Only {len(lengths)} frames show a whole hand; {_LEAST_FRAMES} are needed to measure one."
        return Calibration(False, reason, take.betas, len(lengths), float("nan"), float("nan"))
    betas = _betas_of(take, lengths, model)
    before = held_out_error(take, take.betas, weights, model)
    after = held_out_error(take, betas, weights, model)
    kept = after < (1.0 - _LEAST_GAIN) * before
    reason = (
        "Frames that were not measured agree better with the measured hand."
        if kept
        else "Frames that were not measured do not agree better; the mean hand stays."
    )
    return Calibration(
        kept,
        reason,
        betas if kept else take.betas,
        len(lengths),
        before,
        after,
        measured=tuple(np.median(lengths, axis=0).tolist()),
        fitted=tuple(_model_lengths(model, take, betas).tolist()),
    )


def _halves(frames: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Frames to measure and frames to judge by: neighbours are alike, so they change every second or so."""
    block = (np.arange(len(frames)) // 30) % 2
    return frames[block == 0], frames[block == 1]


def _whole(take: Take, side_index: int) -> NDArray[np.intp]:
    """Frames in which all of a hand was seen."""
    track = take.track(SIDES[side_index])
    seen = np.isfinite(track.seen3d).all((1, 2)) & np.isfinite(track.seen2d).all((1, 2))
    return np.flatnonzero(seen & (track.state != State.ABSENT))


def _lengths(take: Take, side_index: int) -> Array:
    """(n, 20) observed bone lengths in palm bones, of the frames to measure."""
    frames, _ = _halves(_whole(take, side_index))
    points = take.track(SIDES[side_index]).seen3d[frames]
    return np.linalg.norm(points[:, _CHILD] - points[:, _PARENT], axis=-1)


def _model_lengths(hands: Hands, take: Take, betas: Array) -> Array:
    """(20,) bone lengths of the hand as the detector would see them, straight, in palm bones."""
    model = hands.right
    rest = model.rest(betas, take.size)
    definition = str(take.meta.get("definition", MODEL))
    larger = rest.palm_length / free_hand("right").palm_length
    shift = rest_offsets(definition, hands.hinges, "right") * larger
    still = np.zeros((1, 16, 4))
    still[..., 0] = 1.0
    points = model.pose(still, np.zeros((1, 3)), rest).keypoints[0] + shift
    lengths = np.linalg.norm(points[_CHILD] - points[_PARENT], axis=-1)
    return np.asarray(lengths / np.linalg.norm(points[[5, 9, 13, 17]] - points[0], axis=-1).mean())


def _betas_of(take: Take, lengths: Array, model: Hands) -> Array:
    """Betas that bring the model's ratios nearest to the observed ones (Gauss-Newton on their logarithms).

    Ratios are taken after the clip's median, which a few bad frames cannot move. A detector's
    lengths shrink where it sees bones foreshortened, all fingers alike: part of what all finger
    bones have in common is therefore put down to the detector.
    """
    observed = np.log(np.maximum(np.median(lengths, axis=0), 1e-3))
    spread = np.log(np.maximum(lengths, 1e-3)).std(0) / np.sqrt(max(len(lengths) / 15.0, 1.0))
    weight = 1.0 / np.hypot(spread, _BIAS)
    common = (~_PALM).astype(np.float64)
    betas = np.zeros(len(take.betas))
    for _ in range(4):
        now = np.log(_model_lengths(model, take, betas))
        slopes = np.stack(
            [(np.log(_model_lengths(model, take, betas + _STEP * unit)) - now) / _STEP for unit in np.eye(len(betas))],
            axis=1,
        )
        rows = np.concatenate([slopes, common[:, None]], axis=1) * weight[:, None]
        prior = np.diag([1.0 / _BETA_SIGMA**2] * len(betas) + [1.0 / _COMMON_BIAS**2])
        pull = rows.T @ ((observed - now) * weight)
        pull[:-1] -= betas / _BETA_SIGMA**2
        betas = betas + np.linalg.solve(rows.T @ rows + prior, pull)[:-1]
    return betas


def held_out_error(take: Take, betas: Array, settings: FitSettings, hands: Hands | None = None) -> float:
    """Mean robust reprojection error, in sigmas, of the frames to judge by, fitted one by one."""
    model = free_hands() if hands is None else hands
    rest = model.right.rest(betas, take.size)
    shift = observations.definition_shift(str(take.meta.get("definition", MODEL)), rest)
    energy = Energy(Chain(rest, model.hinges, shift), settings)
    errors = []
    for side_index, side in enumerate(SIDES):
        _, frames = _halves(_whole(take, side_index))
        if not len(frames):
            continue
        frames = frames[np.linspace(0, len(frames) - 1, min(len(frames), _MOST_FRAMES)).round().astype(int)]
        seen = observations.of_track(take, side, frames, energy.chain, settings)
        state = hypotheses.independent(energy, seen).state
        points = energy.chain.pose(state).points + state.translation[:, None]
        away = (points[:2] / np.maximum(points[2], 1e-3) - seen.rays) / seen.ray_sigma
        value, _ = geman_mcclure((away * away).sum(0), seen.ray_weight, settings.pixel_robust)
        errors.append(np.sqrt(value.mean(0)))
    return float(np.mean(np.concatenate(errors))) if errors else float("nan")


def with_shape(take: Take, found: Calibration) -> Take:
    """The take with the shape that was kept, and the report in its meta."""
    return replace(take, betas=np.asarray(found.betas), meta={**take.meta, "shape": found.as_meta()})
