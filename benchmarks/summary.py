# SPDX-License-Identifier: GPL-3.0-or-later
"""A table of hands -> the figures of one method: plain numbers under fixed keys, None where nothing can be measured.

Keys end in their unit (`_mm`, `_deg`, `_mm3`, `_ms`) or are shares from 0 to 1. An error counts missed hands at
the caps of measures/caps.py; the same key with `_found` behind it averages the found hands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .figures import Figures
from .measures import angles, bootstrap, caps, confidence, pair, points
from .measures.detection import error2d
from .pair_figures import contact_figures
from .table import HandRow, Table
from .time_figures import time_figures

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

_NAN_POINTS: Final = np.full((21, 3), np.nan)
_NAN_ROTATION: Final = np.full((16, 4), np.nan)

JOINT_POINTS: Final = np.array([5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3])
"""The keypoint at each of the joints 1..15."""


def figures(table: Table, *, judges_2d: bool = True) -> Figures:
    """Everything that can be measured of one method on one set."""
    result = Figures()
    result.values["n"] = len(table.hands)
    result.values["frames"] = len(table.frames)
    _detection(result, table, judges_2d=judges_2d)
    if table.hands:
        _points(result, table)
        _rotations(result, table)
    if table.pairs:
        _pairs(result, table)
        contact_figures(result, table)
    time_figures(result, table)
    _confidence(result, table)
    return result


def point_figures(table: Table) -> Figures:
    """Only what is measured on the points of single hands."""
    result = Figures()
    if table.hands:
        _points(result, table)
    return result


def _stack(rows: Sequence[HandRow], of: Callable[[HandRow], Array | None], empty: Array) -> Array:
    values = [of(row) for row in rows]
    return np.stack([empty if value is None else value for value in values])


def _detection(result: Figures, table: Table, *, judges_2d: bool) -> None:
    unit = table.unit(table.hands)
    found = table.found
    if len(found):
        result.mean("found", found.astype(float), unit)
        result.mean("wrong_side", np.array([float(row.wrong_side) for row in table.hands]), unit)
        errors = np.array([row.error2d for row in table.hands])
        if judges_2d:
            result.mean("error2d", np.minimum(errors, caps.CAPS["error2d"]), unit)
            result.set("error2d_found", errors[found].mean() if found.any() else None)
        duplicates = sum(frame.detection.duplicates for frame in table.frames)
        result.set("duplicates", duplicates / len(found))
    complete = [frame for frame in table.frames if table.clips[frame.clip].complete]
    if complete:
        false = np.array([float(frame.detection.false_hands) for frame in complete])
        result.mean("false_hands", false, table.unit(complete))
        crowded = np.array([float(frame.detection.crowded) for frame in complete])
        result.mean("crowded", crowded, table.unit(complete))
    reported = [len(hands) for told in table.seen for hands in told.hands.values()]
    if reported:
        counts = np.array(reported)
        result.set("hands_per_frame", counts.mean())
        result.set("both_hands", (counts >= 2).mean())
    if table.pairs:
        both = np.array([float(row.found) for row in table.pairs])
        result.mean("both_found", both, table.unit(table.pairs))


def _points(result: Figures, table: Table) -> None:
    rows, unit, found = table.hands, table.unit(table.hands), table.found
    truth = _stack(rows, lambda row: row.truth.points3d, _NAN_POINTS)
    shown = _stack(rows, lambda row: None if row.seen is None else row.seen.points3d, _NAN_POINTS)
    measurable = np.isfinite(truth).all(-1).sum(-1) >= 4
    aligned = points.pa_errors_mm(shown, truth)
    rooted = points.root_errors_mm(shown, truth)
    for key, errors in (("pa_mpjpe_mm", points.mean_of(aligned)), ("root_mpjpe_mm", points.mean_of(rooted))):
        _charged(result, key, errors, ~found, measurable, unit)
    # Every point of a missed hand lies outside every threshold.
    lost = np.where((~found & measurable)[:, None] & np.isfinite(truth).all(-1), np.inf, rooted)
    for threshold in points.THRESHOLDS_MM:
        result.set(f"pck_{threshold:.0f}mm", _share_below(lost, threshold))
    result.set("pck_auc_20_50mm", _area(lost))
    visible = np.stack([row.truth.visible for row in rows])
    touching = np.stack([row.truth.touching for row in rows])
    for name, mask in (("visible", visible), ("hidden", ~visible), ("touching", touching)):
        subset = points.mean_of(aligned, mask)
        _charged(result, f"pa_mpjpe_{name}_mm", subset, ~found, measurable & mask.any(-1), unit, cap="pa_mpjpe_mm")
    _charged(result, "points_rotation_deg", angles.points_rotation_deg(shown, truth), ~found, measurable, unit)
    difference = angles.bent_pip_differences_deg(shown, truth)
    result.set("pip_bias_deg", _mean(difference))
    bent = (angles.pip_bend_deg(truth) >= angles.BENT_FROM_DEG).any(-1) & measurable
    _charged(result, "pip_error_deg", points.mean_of(np.abs(difference)), ~found, bent, unit)
    _place(result, table, shown, truth, measurable)


def _place(result: Figures, table: Table, shown: Array, truth: Array, measurable: Bools) -> None:
    placed = np.array([row.seen is None or row.seen.placed for row in table.hands])
    known = measurable & (truth[:, :, 2].min(1, initial=np.inf, where=np.isfinite(truth[:, :, 2])) > 0)
    unit = table.unit(table.hands)
    _charged(result, "place_mm", points.place_mm(shown, truth), ~table.found, known & placed, unit)
    palms = [(row.seen.palm_mm if row.seen else np.nan, table.clips[row.clip].palm_mm or np.nan) for row in table.hands]
    assumed, true = np.array(palms).T
    given = pair.at_palm_length(shown, assumed, true)
    key = "place_palm_given_mm"
    _charged(result, key, points.place_mm(given, truth), ~table.found, known & placed, unit, cap="place_mm")


def _rotations(result: Figures, table: Table) -> None:
    rows, unit, found = table.hands, table.unit(table.hands), table.found
    known = np.array([row.truth.rotation is not None for row in rows])
    if not known.any():
        for key in ("angle_rmse_deg", "root_rotation_deg"):
            result.set(key, None)
        return
    truth = _stack(rows, lambda row: row.truth.rotation, _NAN_ROTATION)
    shown = _stack(rows, lambda row: None if row.seen is None else row.seen.rotation, _NAN_ROTATION)
    told = np.isfinite(shown).all((1, 2))
    errors = angles.joint_angle_errors_deg(shown, truth)
    charged = np.where(
        (told & found)[:, None], np.minimum(errors, caps.CAPS["angle_rmse_deg"]), caps.CAPS["angle_rmse_deg"]
    )
    charged[~known] = np.nan
    result.set("angle_rmse_deg", angles.angle_rmse_deg(charged))
    result.set("angle_rmse_deg_found", angles.angle_rmse_deg(errors[known & found & told]))
    squares = points.mean_of(charged**2)
    low, high = bootstrap.interval(squares, unit)
    if np.isfinite(low):
        result.intervals["angle_rmse_deg"] = (float(np.sqrt(low)), float(np.sqrt(high)))
    result.samples["angle_rmse_deg"] = (squares, unit)
    visible = np.stack([row.truth.visible[JOINT_POINTS] for row in rows])
    touching = np.stack([row.truth.touching[JOINT_POINTS] for row in rows])
    for name, mask in (("visible", visible), ("hidden", ~visible), ("touching", touching)):
        result.set(f"angle_rmse_{name}_deg", angles.angle_rmse_deg(charged, mask & known[:, None]))
    root = angles.root_rotation_deg(shown, truth)
    _charged(result, "root_rotation_deg", root, ~found, known, unit)


def _pairs(result: Figures, table: Table) -> None:
    rows, unit = table.pairs, table.unit(table.pairs)
    truth = np.stack([np.stack([hand.points3d for hand in row.truth]) for row in rows])
    shown = np.stack([np.stack([_NAN_POINTS if hand is None else hand.points3d for hand in row.seen]) for row in rows])
    missed = np.array([not row.found for row in rows])
    measurable = np.isfinite(truth[:, :, 0]).all((1, 2)) & (truth[:, :, 0, 2] > 0).all(1)
    joint = pair.joint_errors_mm(shown, truth)
    joint[missed] = np.nan
    _charged(result, "joint_mpjpe_mm", points.mean_of(joint), missed, measurable, unit)
    worst = np.where(missed & measurable, np.inf, points.worst_of(joint))
    for threshold in points.THRESHOLDS_MM:
        result.set(f"pcf_{threshold:.0f}mm", _share_below(worst, threshold))
    result.set("pcf_auc_20_50mm", _area(worst))
    wrists, true_wrists = shown[:, :, 0], truth[:, :, 0]
    _relative(result, "", wrists, true_wrists, missed, measurable, unit)
    _charged(
        result, "mrrpe_one_depth_mm", pair.mrrpe_mm(pair.at_one_depth(wrists), true_wrists), missed, measurable, unit,
        cap="mrrpe_mm",
    )  # fmt: skip
    assumed = np.array([np.nan if hand is None else hand.palm_mm for row in rows for hand in row.seen[:1]])
    true_palm = np.array([table.clips[row.clip].palm_mm or np.nan for row in rows])
    given = pair.at_palm_length(wrists, assumed, true_palm)
    _relative(result, "_palm_given", given, true_wrists, missed, measurable, unit)
    flat = pair.mrrpe_mm(pair.at_one_depth(given), true_wrists)
    _charged(result, "mrrpe_one_depth_palm_given_mm", flat, missed, measurable, unit, cap="mrrpe_mm")


def _relative(
    result: Figures, suffix: str, wrists: Array, truth: Array, missed: Bools, measurable: Bools, unit: Ints
) -> None:
    measures = {"mrrpe": pair.mrrpe_mm, "mrrpe_plane": pair.mrrpe_plane_mm, "mrrpe_depth": pair.mrrpe_depth_mm}
    for name, measure in measures.items():
        errors = measure(wrists, truth)
        _charged(result, f"{name}{suffix}_mm", errors, missed, measurable, unit, cap=f"{name}_mm")


def _confidence(result: Figures, table: Table) -> None:
    said: list[float] = []
    right: list[bool] = []
    for frame in table.frames:
        for hand in frame.seen:
            said.append(hand.confidence)
            own = [true for true in frame.truth.hands if true.side == hand.side]
            right.append(any(error2d(hand.points2d, true.points2d) < confidence.RIGHT_BELOW for true in own))
    if table.hands and said:
        result.reliability = confidence.reliability(np.array(said), np.array(right))
        result.set("confidence_gap", result.reliability.gap)


def _charged(
    result: Figures, key: str, errors: Array, missed: Bools, measurable: Bools, unit: Ints, *, cap: str = ""
) -> None:
    """The mean of an error with misses at their cap, and of the found alone."""
    charged = caps.with_misses(cap or key, errors, missed, measurable)
    result.mean(key, charged, unit)
    result.set(f"{key}_found", _mean(errors[measurable & ~missed]))


def _share_below(errors: Array, threshold: float) -> float:
    counted = errors[~np.isnan(errors)]
    return float((counted < threshold).mean()) if counted.size else float("nan")


def _area(errors: Array) -> float:
    counted = errors[~np.isnan(errors)]
    return points.auc_20_50mm(np.minimum(counted, 1e9))


def _mean(values: Array) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else None
