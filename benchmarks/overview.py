# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables on top of docs/benchmarks.md: one a measure, a line a set, so that a reader sees all sets at once.

The figures behind them are kept in docs/benchmarks/figures.json, a set and mode at a time, as the sets are run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .measures.steadiness import FREQUENCIES_HZ

WORLD, BEST, AVERAGE, IK = "mediapipe", "mediapipe_best", "mediapipe_average", "mediapipe_ik"
FIT: Final = "mediapipe_fit"
OURS, FLOOR = "ours", "floor"

_HEADS: Final = {
    WORLD: "MediaPipe world",
    BEST: "MediaPipe screen + depth",
    AVERAGE: "MediaPipe mean",
    IK: "screen + depth + our IK",
    FIT: "MediaPipe + our fitter",
    OURS: "HandMocap",
    FLOOR: "floor",
}


@dataclass(frozen=True)
class Overview:
    """One table."""

    title: str
    columns: tuple[tuple[str, str, str], ...]
    """(method, key, head of the column; empty for the method's own)"""
    share: bool = False
    digits: int = 1
    mode: str = ""
    """only runs of this mode; empty: all"""


_POINTS: Final = (WORLD, BEST, AVERAGE, IK, FIT, OURS, FLOOR)
OVERVIEWS: Final = (
    Overview("Hands found, %", ((WORLD, "found", "MediaPipe"), (OURS, "found", "")), share=True),
    Overview(
        "Hands on the wrong side and surplus ones (of the true hands), false ones (a frame), frames with too many, %",
        (
            (WORLD, "wrong_side", "MediaPipe wrong side"),
            (OURS, "wrong_side", "HandMocap wrong side"),
            (WORLD, "duplicates", "MediaPipe surplus"),
            (OURS, "duplicates", "HandMocap surplus"),
            (WORLD, "false_hands", "MediaPipe false"),
            (OURS, "false_hands", "HandMocap false"),
            (WORLD, "crowded", "MediaPipe too many"),
            (OURS, "crowded", "HandMocap too many"),
        ),
        share=True,
    ),
    Overview("Pose (PA), mm", tuple((method, "pa_mpjpe_mm", "") for method in _POINTS)),
    Overview("Pose and rotation (wrist on wrist), mm", tuple((method, "root_mpjpe_mm", "") for method in _POINTS)),
    Overview(
        "Joint rotations, RMSE in degrees",
        tuple((method, "angle_rmse_deg", "") for method in (WORLD, IK, FIT, OURS, FLOOR)),
    ),
    Overview(
        "Hands relative to each other (wrist to wrist, palm length given), mm",
        (
            (IK, "mrrpe_palm_given_mm", "MediaPipe + our IK"),
            (FIT, "mrrpe_palm_given_mm", ""),
            (OURS, "mrrpe_palm_given_mm", ""),
            (OURS, "mrrpe_plane_palm_given_mm", "of it in the picture"),
            (OURS, "mrrpe_depth_palm_given_mm", "in depth"),
            (OURS, "mrrpe_one_depth_palm_given_mm", "both at one depth"),
        ),
    ),
    Overview(
        "Trembling of still hands, mm a frame^2, beside delay, ms",
        (
            (WORLD, "jitter_mm", "MediaPipe"),
            (OURS, "jitter_mm", ""),
            (OURS, "jitter_truth_mm", "the truth itself"),
            (WORLD, "lag_ms", "MediaPipe's delay"),
            (OURS, "lag_ms", "HandMocap's delay"),
        ),
        digits=2,
    ),
    Overview(
        "Swing of waving hands that is kept, % at 3, 6 and 8 Hz",
        tuple(
            (method, f"amplitude_kept_{hertz:.0f}hz", f"{head} {hertz:.0f} Hz")
            for method, head in ((WORLD, "MediaPipe"), (OURS, "HandMocap"))
            for hertz in FREQUENCIES_HZ
        ),
        share=True,
    ),
    Overview(
        "Contact between hands: parts said to touch that do, parts that touch and are said to, %",
        (
            (IK, "contact_precision", "MediaPipe + our IK precision"),
            (IK, "contact_recall", "recall"),
            (OURS, "contact_precision", "HandMocap precision"),
            (OURS, "contact_recall", "recall"),
            (FLOOR, "contact_precision", "floor precision"),
            (FLOOR, "contact_recall", "recall"),
        ),
        share=True,
    ),
    Overview(
        "Truly touching skin apart, and penetration, mm",
        (
            (IK, "touching_distance_median_mm", "MediaPipe + our IK apart"),
            (OURS, "touching_distance_median_mm", "HandMocap apart"),
            (FLOOR, "touching_distance_median_mm", "floor apart"),
            (IK, "penetration_depth_mm", "MediaPipe + our IK deep"),
            (OURS, "penetration_depth_mm", "HandMocap deep"),
            (FLOOR, "penetration_depth_mm", "floor deep"),
        ),
    ),
    Overview(
        "Mean time a frame, live, both in turn on one picture after the other, ms",
        ((WORLD, "ms_per_frame_mean", "MediaPipe"), (OURS, "ms_per_frame_mean", "")),
        mode="live",
    ),
)


VISIBLE_ANGLES: Final = "angle_rmse_visible_deg"
_OF_A_ROW: Final = ("n", "found", "pa_mpjpe_mm", "pa_mpjpe_mm_found", "root_mpjpe_mm", VISIBLE_ANGLES)
_OF_ROWS: Final = (WORLD, BEST, FIT, OURS, FLOOR)
_GOALS: Final = (("PA", "pa_mpjpe_mm"), ("root", "root_mpjpe_mm"))
"""errors of which half of the way from MediaPipe through our fitter to the floor is asked"""


def kept(told: dict[str, Any], figures: dict[str, Any]) -> dict[str, Any]:
    """What is kept so far, with the figures of one more run in it."""
    own: dict[str, Any] = {"revision": figures["revision"], "n": figures["n"], "frames": figures["frames"]}
    for overview in OVERVIEWS:
        for method, key, _ in overview.columns:
            if figures.get(method) is not None:
                own.setdefault(method, {})[key] = figures[method][key]
    for method in (FIT, OURS):
        if figures.get(method) is not None:
            own[method][VISIBLE_ANGLES] = figures[method][VISIBLE_ANGLES]
    rows = {
        row: {
            method: {key: by_method[method][key] for key in _OF_A_ROW} for method in _OF_ROWS if by_method.get(method)
        }
        for row, by_method in figures.get("rows", {}).items()
    }
    return {**told, f"{figures['set']}, {figures['mode']}": {**own, **({"rows": rows} if rows else {})}}


def tables(told: dict[str, Any], order: tuple[str, ...]) -> str:
    """Markdown; a missing figure is a dash."""
    names = sorted(told, key=lambda name: (_place(name.split(", ")[0], order), name))
    blocks = []
    for overview in OVERVIEWS:
        lines = [(name, [_value(told[name], method, key) for method, key, _ in overview.columns]) for name in names]
        lines = [
            (name, values)
            for name, values in lines
            if any(value is not None for value in values) and name.endswith(overview.mode)
        ]
        if not lines:
            continue
        heads = [head or _HEADS[method] for method, _, head in overview.columns]
        block = [f"**{overview.title}**", "", f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
        block += [f"| {name} | {' | '.join(_cell(value, overview) for value in values)} |" for name, values in lines]
        blocks.append("\n".join(block))
    blocks += _goals_table({name: told[name] for name in names})
    blocks += _rows_table({name: told[name]["rows"] for name in names if "rows" in told[name]})
    runs = ", ".join(f"{name} {told[name]['revision'] or 'unknown'}" for name in names)
    return "\n\n".join([*blocks, f"Made from: {runs}. A `+` stands for changes not yet committed."])


def _goals_table(told: dict[str, dict[str, Any]]) -> list[str]:
    """How far every set and row is from MediaPipe through our fitter to the floor; nothing where neither was run."""
    lines = []
    for name, own in told.items():
        rows = {f"{name}, {row}": by_method for row, by_method in own.get("rows", {}).items()}
        for title, by_method in {name: own, **rows}.items():
            cells = _goal_cells(by_method)
            if cells is not None:
                lines.append(f"| {title} | {' | '.join(cells)} |")
    if not lines:
        return []
    heads = [
        head for name, _ in _GOALS for head in (f"{name} MediaPipe + our fitter, mm", "HandMocap", "floor", "way, %")
    ]
    heads += ["visible joints MediaPipe + our fitter, RMSE in degrees", "HandMocap", "share, %"]
    title = "**From MediaPipe through our fitter to the floor** (asked: half of the way; visible joints' angles halved)"
    return ["\n".join([title, "", f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|", *lines])]


def _goal_cells(by_method: dict[str, Any]) -> list[str] | None:
    """One line of that table; None where there is nothing to compare with."""
    cells = []
    for _, key in _GOALS:
        fitted, ours, floor = (_value(by_method, method, key) for method in (FIT, OURS, FLOOR))
        if fitted is None or ours is None or floor is None:
            return None
        way = str(round(100.0 * (fitted - ours) / (fitted - floor))) if fitted > floor else "–"
        cells += [f"{value:.1f}" for value in (fitted, ours, floor)] + [way]
    before, after = (_value(by_method, method, VISIBLE_ANGLES) for method in (FIT, OURS))
    if before is None or after is None:
        return [*cells, "–", "–", "–"]
    return [*cells, f"{before:.1f}", f"{after:.1f}", f"{100.0 * after / before:.0f}" if before else "–"]


def _rows_table(rows: dict[str, dict[str, dict[str, dict[str, float | None]]]]) -> list[str]:
    """One table of every row of the sets that have several; nothing if none has."""
    if not rows:
        return []
    columns = (
        (WORLD, "found", "found MediaPipe, %", True), (OURS, "found", "HandMocap", True),
        (BEST, "pa_mpjpe_mm", "PA MediaPipe screen + depth, mm", False), (OURS, "pa_mpjpe_mm", "HandMocap", False),
        (FLOOR, "pa_mpjpe_mm", "floor", False), (BEST, "pa_mpjpe_mm_found", "found alone MediaPipe", False),
        (OURS, "pa_mpjpe_mm_found", "HandMocap", False), (OURS, "root_mpjpe_mm", "root HandMocap, mm", False),
    )  # fmt: skip
    lines = ["**Row by row**", "", f"| | hands | {' | '.join(head for *_, head, _ in columns)} |"]
    lines.append("|---" * (len(columns) + 2) + "|")
    for name, by_row in rows.items():
        for row, by_method in by_row.items():
            hands = max((int(one["n"] or 0) for one in by_method.values()), default=0)
            cells = [
                "–" if (value := by_method.get(method, {}).get(key)) is None else f"{value * (100 if share else 1):.1f}"
                for method, key, _, share in columns
            ]
            lines.append(f"| {name}, {row} | {hands} | {' | '.join(cells)} |")
    return ["\n".join(lines)]


def _place(name: str, order: tuple[str, ...]) -> int:
    return order.index(name) if name in order else len(order)


def _value(own: dict[str, Any], method: str, key: str) -> float | None:
    value: float | None = own.get(method, {}).get(key)
    return value


def _cell(value: float | None, overview: Overview) -> str:
    return "–" if value is None else f"{value * (100.0 if overview.share else 1.0):.{overview.digits}f}"


def read(path: Path) -> dict[str, Any]:
    """What is kept; nothing if there is no file yet."""
    if not path.exists():
        return {}
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return told


def write(told: dict[str, Any], path: Path) -> None:
    """Keep it, a line a figure, so that a change is seen in a diff."""
    path.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n", encoding="utf-8")
