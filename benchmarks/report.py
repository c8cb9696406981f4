# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures as tables and pictures: in the terminal, and in docs/benchmarks.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from . import overview, pictures
from .keys import MEASURES
from .run import METHODS, Outcome
from .sets.named import NAMED

_ROOT: Final = Path(__file__).resolve().parents[1]
DOCUMENT: Final = _ROOT / "docs" / "benchmarks.md"
PICTURES: Final = _ROOT / "docs" / "benchmarks"
FIGURES: Final = PICTURES / "figures.json"
END_OF_SETS: Final = "<!-- end of sets -->"

METHOD_NAMES: Final[dict[str, str]] = {
    "ours": "HandMocap",
    "mediapipe": "MediaPipe, world points",
    "mediapipe_best": "MediaPipe, screen x y + world depth",
    "mediapipe_average": "MediaPipe, mean of world and screen",
    "mediapipe_ik": "the second through our IK, on our hand",
    "mediapipe_fit": "MediaPipe through our fitter",
    "floor": "floor: our hand fitted to the truth",
}


@dataclass(frozen=True)
class Column:
    """One measure of a table."""

    key: str
    title: str
    digits: int = 1
    share: bool = False
    """shown in per cent"""


COLUMNS: Final = (
    Column("found", "found %", share=True),
    Column("both_found", "both %", share=True),
    Column("wrong_side", "wrong side %", share=True),
    Column("duplicates", "duplicates %", share=True),
    Column("false_hands", "false hands a frame", 3),
    Column("crowded", "frames with too many hands %", share=True),
    Column("hands_per_frame", "hands a frame", 2),
    Column("error2d", "2D % of box", share=True),
    Column("pa_mpjpe_mm", "PA mm"),
    Column("pa_mpjpe_mm_found", "PA mm (found)"),
    Column("pa_mpjpe_visible_mm", "PA visible mm"),
    Column("pa_mpjpe_hidden_mm", "PA hidden mm"),
    Column("pa_mpjpe_touching_mm", "PA touching mm"),
    Column("root_mpjpe_mm", "root mm"),
    Column("pck_auc_20_50mm", "PCK AUC 20-50 mm %", share=True),
    Column("points_rotation_deg", "rotation of points deg"),
    Column("pip_error_deg", "bent fingers deg"),
    Column("pip_bias_deg", "their bias deg"),
    Column("angle_rmse_deg", "joint angles RMSE deg"),
    Column("angle_rmse_visible_deg", "visible deg"),
    Column("angle_rmse_hidden_deg", "hidden deg"),
    Column("angle_rmse_touching_deg", "touching deg"),
    Column("root_rotation_deg", "root rotation deg"),
    Column("joint_mpjpe_mm", "both hands jointly mm"),
    Column("pcf_50mm", "PCF 50 mm %", share=True),
    Column("pcf_auc_20_50mm", "PCF AUC 20-50 mm %", share=True),
    Column("mrrpe_mm", "relative root mm"),
    Column("mrrpe_palm_given_mm", "relative root, palm given mm"),
    Column("mrrpe_plane_palm_given_mm", "in the image plane mm"),
    Column("mrrpe_depth_palm_given_mm", "in depth mm"),
    Column("mrrpe_one_depth_palm_given_mm", "both at one depth mm"),
    Column("place_mm", "place mm"),
    Column("place_palm_given_mm", "place, palm given mm"),
    Column("contact_precision", "contact precision %", share=True),
    Column("contact_recall", "contact recall %", share=True),
    Column("touching_distance_median_mm", "touching skin apart mm"),
    Column("penetration_depth_mm", "penetration mm"),
    Column("penetration_volume_mm3", "penetration mm^3", 0),
    Column("nearer_right", "nearer hand right %", share=True),
    Column("touch_precision", "touch precision %", share=True),
    Column("touch_recall", "touch recall %", share=True),
    Column("parts_recall", "touching parts shown %", share=True),
    Column("hidden_precision", "hidden points precision %", share=True),
    Column("hidden_recall", "recall %", share=True),
    Column("side_right", "side right %", share=True),
    Column("jitter_mm", "jitter mm", 2),
    Column("acceleration_error_mm", "acceleration error mm", 2),
    Column("amplitude_kept_3hz", "3 Hz kept %", share=True),
    Column("amplitude_kept_6hz", "6 Hz kept %", share=True),
    Column("amplitude_kept_8hz", "8 Hz kept %", share=True),
    Column("lag_ms", "lag ms", 0),
    Column("bone_length_variation", "bone variation %", share=True),
    Column("confidence_gap", "confidence gap", 3),
    Column("ms_per_frame", "ms a frame, median"),
    Column("ms_per_frame_mean", "mean"),
    Column("ms_palms", "of it palms"),
    Column("ms_landmarks", "of it landmarks"),
    Column("ms_see", "of it all seeing"),
    Column("ms_fit", "of it fitting"),
    Column("ms_polish", "of it polish"),
    Column("peak_memory_mb", "peak MB", 0),
)


def text(outcome: Outcome, figures: dict[str, Any]) -> str:
    """Everything about one set, for a terminal or a page."""
    lines = [
        f"{figures['n']} hands in {figures['frames']} frames of {figures['clips']} clips, mode {outcome.mode}, "
        f"revision {figures['revision'] or 'unknown'}."
    ]
    lines += [f"{note}" for note in figures["notes"]]
    lines += ["", *table({m: figures[m] for m in METHODS if figures.get(m)}), ""]
    mapped = {m: figures[m]["definition_map"] for m in METHODS if figures.get(m) and figures[m]["definition_map"]}
    if mapped:
        lines += [*_map_table(mapped), ""]
    for row, by_method in figures["rows"].items():
        lines += [f"**{row}**", "", *table(by_method), ""]
    for method, verdicts in figures["verdicts"].items():
        told = ", ".join(f"{key} {verdict}" for key, verdict in verdicts.items())
        if told:
            lines += [f"HandMocap against {METHOD_NAMES[method]}: {told}.", ""]
    ratio = figures.get("time_ratio_to_mediapipe")
    if ratio and outcome.mode == "live":
        lines += [f"A frame takes HandMocap {ratio:.2f} times as long as MediaPipe, picture by picture in turn.", ""]
    if figures["skipped"]:
        lines += [f"{len(figures['skipped'])} entries were skipped.", ""]
    return "\n".join(lines)


def table(by_method: dict[str, dict[str, Any]]) -> list[str]:
    """A Markdown table: a line a measure, a column a method; what nobody can be measured by is left out."""
    methods = list(by_method)
    lines = [f"| | {' | '.join(METHOD_NAMES[m] for m in methods)} |", "|---" * (len(methods) + 1) + "|"]
    for column in COLUMNS:
        cells = [_cell(by_method[m], column) for m in methods]
        if any(cell != "–" for cell in cells):
            lines.append(f"| {column.title} | {' | '.join(cells)} |")
    return lines


def _cell(figures: dict[str, Any], column: Column) -> str:
    value = figures.get(column.key)
    if value is None:
        return "–"
    factor = 100.0 if column.share else 1.0
    cell = f"{value * factor:.{column.digits}f}"
    between = figures.get("intervals", {}).get(column.key)
    if between and between[0] != between[1]:
        cell += f" ({between[0] * factor:.{column.digits}f}–{between[1] * factor:.{column.digits}f})"
    return cell


def _map_table(mapped: dict[str, dict[str, Any]]) -> list[str]:
    """With and without one definition map a method."""
    n = max(one["n"] for one in mapped.values())
    lines = [
        f"With one definition map a method, fitted on the other half of the frames ({n} found hands judged):",
        "",
        "| | PA mm without | with | root mm without | with | bent fingers deg without | with |",
        "|---|---|---|---|---|---|---|",
    ]
    for method, one in mapped.items():
        pairs = [(one["without"][key], one["with"][key]) for key in ("pa_mpjpe_mm", "root_mpjpe_mm", "pip_error_deg")]
        cells = " | ".join("–" if value is None else f"{value:.1f}" for pair in pairs for value in pair)
        lines.append(f"| {METHOD_NAMES[method]} | {cells} |")
    return lines


def write(outcome: Outcome, figures: dict[str, Any]) -> None:
    """Replace this set's section of docs/benchmarks.md, and its pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    made = pictures.draw(outcome, PICTURES)
    links = [f"![{title}](benchmarks/{path.name})" for title, path in made]
    name = f"{outcome.test_set.name}_{outcome.mode}"
    title = f"### {outcome.test_set.name}, {outcome.mode}"
    section = "\n".join([title, "", text(outcome, figures), *_spaced(links)])
    told = overview.kept(overview.read(FIGURES), figures)
    overview.write(told, FIGURES)
    document = replaced(DOCUMENT.read_text(encoding="utf-8"), name, section)
    document = replaced(document, "overview", overview.tables(told, tuple(NAMED)))
    DOCUMENT.write_text(replaced(document, "keys", keys_table()), encoding="utf-8")


def keys_table() -> str:
    """Every key of the JSON."""
    lines = ["| key | what it says |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{key}` | {about} |" for key, about in MEASURES.items())])


def _spaced(lines: Sequence[str]) -> Iterable[str]:
    for line in lines:
        yield from (line, "")


def replaced(document: str, name: str, section: str) -> str:
    """The document with the part between the marks of `name` replaced; new ones go before END_OF_SETS, or last."""
    start, stop = f"<!-- {name} -->", f"<!-- end of {name} -->"
    block = f"{start}\n{section.rstrip()}\n\n{stop}"
    pattern = re.compile(re.escape(start) + ".*?" + re.escape(stop), re.DOTALL)
    if pattern.search(document):
        return pattern.sub(lambda _match: block, document)
    if END_OF_SETS in document:
        return document.replace(END_OF_SETS, f"{block}\n\n{END_OF_SETS}")
    return f"{document.rstrip()}\n\n{block}\n"
