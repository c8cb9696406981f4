# SPDX-License-Identifier: GPL-3.0-or-later
"""One set, every method, the same frames: what each saw, and the figures."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.errors import HandMocapError
from blender_handmocap.engine.settings import Eyes, Mode, Settings

from . import revision
from .figures import Figures
from .hands import Clip, Seen, TestSet
from .kept import Kept
from .label_figures import label_figures
from .measures import bootstrap
from .methods import definition_map, engine, floor, mediapipe_hands, mediapipe_rows
from .summary import figures, point_figures
from .table import HandRow, Table, tabled

log = logging.getLogger(__name__)

Array = NDArray[np.float64]

MEDIAPIPE_READINGS: Final[dict[str, mediapipe_hands.Reading]] = {
    "mediapipe": "world",
    "mediapipe_best": "best",
    "mediapipe_average": "average",
    "mediapipe_ik": "best",
}
"""Method key -> which of MediaPipe's readings it is."""
_ON_OUR_HAND: Final = ("mediapipe_ik",)
"""Those whose points are our mean hand's, posed by the rotations of the analytic IK."""

COMPARED: Final[dict[str, bool]] = {
    "found": False,
    "wrong_side": True,
    "false_hands": True,
    "crowded": True,
    "error2d": True,
    "pa_mpjpe_mm": True,
    "root_mpjpe_mm": True,
    "points_rotation_deg": True,
    "pip_error_deg": True,
    "angle_rmse_deg": True,
    "root_rotation_deg": True,
    "joint_mpjpe_mm": True,
    "mrrpe_mm": True,
    "mrrpe_palm_given_mm": True,
    "place_palm_given_mm": True,
    "touching_distance_mm": True,
    "penetration_depth_mm": True,
    "both_found": False,
    "side_right": False,
    "nearer_right": False,
}
"""Measures a verdict is given on -> whether less is better."""

_NOT_OF_THE_FLOOR: Final = (
    "found", "wrong_side", "error2d", "error2d_found", "duplicates", "false_hands", "crowded", "hands_per_frame",
    "both_hands", "both_found", "place_mm", "place_mm_found", "place_palm_given_mm", "place_palm_given_mm_found",
    "confidence_gap", "ms_per_frame", "ms_per_frame_mean", "peak_memory_mb",
)  # fmt: skip

_MAP_CLIPS: Final = 8
"""From this many clips on the definition map is fitted on every other clip, else on the first half of each."""


@dataclass
class Outcome:
    """Everything of one run over one set."""

    test_set: TestSet
    mode: Mode
    tables: dict[str, Table]
    figures: dict[str, Figures]
    rows: dict[str, dict[str, Figures]]
    """row of the table -> method -> figures; empty where the set has only one row"""
    mapped: dict[str, dict[str, Any]]
    """method -> with and without its definition map, on frames the map was not fitted on"""
    skipped: list[str]
    notes: list[str]
    revision: str | None
    """of the tree when the run began: the processes under test hold what they read then"""

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        ours = self.figures.get("ours")
        result: dict[str, Any] = {
            "set": self.test_set.name,
            "mode": self.mode,
            "revision": self.revision,
            "n": max((int(f.values["n"] or 0) for f in self.figures.values()), default=0)
            or 2 * sum(len(frames) for frames in self.test_set.labels),
            "frames": sum(len(frames) for frames in self.test_set.labels)
            or max((int(f.values["frames"] or 0) for f in self.figures.values()), default=0),
            "clips": len(self.test_set.counted),
            "skipped": self.skipped,
            "notes": self.notes,
        }
        for method in METHODS:
            told = self.figures.get(method)
            result[method] = None if told is None else {**told.as_json(), "definition_map": self.mapped.get(method)}
        result["verdicts"] = {
            method: verdicts(ours, self.figures[method])
            for method in (*MEDIAPIPE_READINGS, "mediapipe_fit")
            if ours is not None and method in self.figures
        }
        speed, peer = (f.values.get("ms_per_frame_mean") if f else None for f in (ours, self.figures.get("mediapipe")))
        result["time_ratio_to_mediapipe"] = speed / peer if speed and peer else None
        result["rows"] = {
            row: {method: told.as_json() for method, told in by_method.items()} for row, by_method in self.rows.items()
        }
        return result


METHODS: Final = ("ours", *MEDIAPIPE_READINGS, "mediapipe_fit", "floor")
"""`mediapipe_fit` is our engine with MediaPipe's eyes alone, a hand at a time: no network of ours looks at a picture.
Where our eyes are no others, and live, it is left out."""


def measure(
    test_set: TestSet,
    *,
    mode: Mode,
    methods: Sequence[str] = METHODS,
    eyes: Eyes = Settings.eyes,
    kept: Kept | None = None,
) -> Outcome:
    """Run the methods over a set and measure them; `eyes` are our engine's.

    From `kept` come answers of MediaPipe and of the floor to the same pictures, and new ones go there; live, where
    times are compared, MediaPipe is always asked.
    """
    began = revision.of_the_tree()
    seen: dict[str, dict[int, Seen]] = {}
    notes = [test_set.note] if test_set.note else []
    with ExitStack() as stack:
        peer = _started(stack, notes) if any(m in MEDIAPIPE_READINGS for m in methods) else None
        fitting = "mediapipe_fit" in methods and mode != "live" and eyes != "mediapipe"
        child = stack.enter_context(engine.running(eyes)) if "ours" in methods or fitting else None
        ours = child if "ours" in methods else None
        for number, clip in enumerate(test_set.clips):
            log.info("%s: clip %d of %d, %s", test_set.name, number + 1, len(test_set.clips), clip.name)
            camera = _camera(clip)
            try:
                raw, own = _watched(clip, camera, mode, peer, ours, kept)
            except mediapipe_hands.MediaPipeMissingError as error:
                log.warning("%s", error)
                notes.append(str(error))
                peer = None
                seen = {method: told for method, told in seen.items() if method not in MEDIAPIPE_READINGS}
                raw, own = _watched(clip, camera, mode, None, ours, kept)
            if raw is not None:
                for method, kind in MEDIAPIPE_READINGS.items():
                    if method in methods:
                        told = mediapipe_rows.seen(raw, kind, camera, on_our_hand=method in _ON_OUR_HAND)
                        seen.setdefault(method, {})[number] = told
            if own is not None:
                seen.setdefault("ours", {})[number] = own
            if child is not None and fitting:
                fitted = child.see(clip, camera, mode=mode, eyes="mediapipe", pair_eyes=False)
                # Both kinds of eyes share a process, so this one's memory cannot be told.
                fitted.peak_mb = None
                seen.setdefault("mediapipe_fit", {})[number] = fitted
            if "floor" in methods and clip.frames:
                seen.setdefault("floor", {})[number] = floor.see(clip) if kept is None else kept.floor(clip, floor.see)
        if peer is not None:
            # A MediaPipe that was not asked everything does not show how much memory it needs.
            peak = peer.close() if kept is None or mode == "live" else None
            for method in MEDIAPIPE_READINGS:
                for one in seen.get(method, {}).values():
                    one.peak_mb = peak
    if "floor" in seen and len(seen["floor"]) < len(test_set.clips):
        del seen["floor"]
    counted = test_set.counted
    tables = {
        method: tabled(counted, {number: one for number, one in told.items() if number < len(counted)})
        for method, told in seen.items()
    }
    skipped = [*test_set.skipped, *_broken_off(test_set, seen)]
    return Outcome(
        test_set=test_set,
        mode=mode,
        tables=tables,
        figures={method: _figures(method, table, test_set) for method, table in tables.items()},
        rows=_rows(test_set, seen),
        mapped={method: mapped for method, table in tables.items() if (mapped := _mapped(table)) is not None},
        skipped=skipped,
        notes=notes,
        revision=began,
    )


def _watched(
    clip: Clip,
    camera: Camera,
    mode: Mode,
    peer: mediapipe_hands.MediaPipe | None,
    ours: engine.Engine | None,
    kept: Kept | None,
) -> tuple[mediapipe_hands.RawClip | None, Seen | None]:
    """One clip through MediaPipe and through our engine."""
    if mode == "live" and clip.ordered:
        return _side_by_side(clip, camera, peer, ours)
    static = mode == "stills" or not clip.ordered
    raw = None
    if peer is not None:
        raw = _asked(clip, peer, static, kept)
    return raw, None if ours is None else ours.see(clip, camera, mode=mode)


def _asked(clip: Clip, peer: mediapipe_hands.MediaPipe, static: bool, kept: Kept | None) -> mediapipe_hands.RawClip:
    """MediaPipe's answers; where they are kept from run to run they have no times, be they old or new."""
    if kept is None:
        return mediapipe_hands.see_clip(peer, clip, static=static)
    told = kept.mediapipe(clip, static=static, ask=lambda: mediapipe_hands.see_clip(peer, clip, static=static))
    told.ms.clear()
    return told


def _side_by_side(
    clip: Clip, camera: Camera, peer: mediapipe_hands.MediaPipe | None, ours: engine.Engine | None
) -> tuple[mediapipe_hands.RawClip | None, Seen | None]:
    """Picture by picture, each method in turn, so that both meet the same load of the machine."""
    raw = None if peer is None else mediapipe_hands.RawClip({}, {})
    own = None if ours is None else Seen({})
    if peer is not None:
        peer.open(static=False)
    if ours is not None:
        ours.open(camera)
    for index, picture in clip.pictures():
        if peer is not None and raw is not None:
            raw.hands[index], raw.ms[index] = peer.see(picture)
        if ours is not None and own is not None:
            own.hands[index], own.ms[index] = ours.step(picture, index / float(clip.rate), camera)
    if ours is not None and own is not None:
        own.stages_ms, own.peak_mb = ours.stages()
    return raw, own


def _started(stack: ExitStack, notes: list[str]) -> mediapipe_hands.MediaPipe | None:
    try:
        return stack.enter_context(mediapipe_hands.running())
    except HandMocapError as error:
        log.warning("%s", error)
        notes.append(str(error))
        return None


def _camera(clip: Clip) -> Camera:
    """The clip's own camera, or the engine's guess for its picture; the same for every method."""
    first = next(clip.pictures(), None)
    height, width = (480, 640) if first is None else first[1].shape[:2]
    if clip.K is None:
        return Camera.estimated(width, height)
    return Camera(K=clip.K, dist=clip.dist, width=width, height=height)


def _broken_off(test_set: TestSet, seen: dict[str, dict[int, Seen]]) -> list[str]:
    """Labelled frames that no method was shown."""
    sentences = []
    for number, clip in enumerate(test_set.clips):
        shown = [told[number] for told in seen.values() if number in told]
        lost = [frame.index for frame in clip.frames if shown and all(frame.index not in told.hands for told in shown)]
        if lost:
            sentences.append(
                f"{len(lost)} labelled frames of {clip.source.name}, from {lost[0]} on, are skipped: it ends before."
            )
    return sentences


def _rows(test_set: TestSet, seen: dict[str, dict[int, Seen]]) -> dict[str, dict[str, Figures]]:
    names = list(dict.fromkeys(clip.row for clip in test_set.clips))
    if len(names) < 2:
        return {}
    result: dict[str, dict[str, Figures]] = {}
    for name in names:
        chosen = [number for number, clip in enumerate(test_set.clips) if clip.row == name]
        clips = [test_set.clips[number] for number in chosen]
        result[name] = {
            method: _figures(method, tabled(clips, {i: told[number] for i, number in enumerate(chosen)}), test_set)
            for method, told in seen.items()
        }
    return result


def _figures(method: str, table: Table, test_set: TestSet) -> Figures:
    told = figures(table, judges_2d=test_set.judges_2d)
    if test_set.labels:
        label_figures(told, table, test_set.labels)
    if method == "floor":
        # It was shown where the hands are, so it has found nothing by itself.
        for key in _NOT_OF_THE_FLOOR:
            told.forget(key)
    return told


def verdicts(ours: Figures, theirs: Figures) -> dict[str, bootstrap.Verdict]:
    """better, worse or tie for each measure both methods have; a difference inside its bootstrap interval is a tie."""
    result: dict[str, bootstrap.Verdict] = {}
    for key, less_is_better in COMPARED.items():
        if key in ours.samples and key in theirs.samples:
            (mine, unit), (other, _) = ours.samples[key], theirs.samples[key]
            if len(mine) == len(other):
                result[key] = bootstrap.compare(mine, other, unit, less_is_better=less_is_better)
    return result


def _mapped(table: Table) -> dict[str, Any] | None:
    """Point errors with and without one definition map, fitted on one half and measured on the other."""
    rows = [row for row in table.hands if row.seen is not None and np.isfinite(row.truth.points3d).all()]
    first_half = _first_half(rows, table)
    if first_half.all() or not first_half.any():
        return None
    shown = np.stack([row.seen.points3d for row in rows if row.seen is not None])
    truth = np.stack([row.truth.points3d for row in rows])
    matrix = definition_map.fitted(shown[first_half], truth[first_half])
    if matrix is None:
        return None
    judged = [row for row, first in zip(rows, first_half, strict=True) if not first]
    moved = [_with_points(row, matrix) for row in judged]
    missed = [row for row in table.hands if row.seen is None]
    keys = ("pa_mpjpe_mm", "root_mpjpe_mm", "points_rotation_deg", "pip_error_deg", "pip_bias_deg")
    result: dict[str, Any] = {"n": len(judged), "fitted_on": int(first_half.sum()), "missed": len(missed)}
    for label, hands in (("without", judged), ("with", moved)):
        told = point_figures(replace(table, hands=tuple(hands)))
        result[label] = {key: told.values.get(key) for key in keys}
    return result


def _with_points(row: HandRow, matrix: Array) -> HandRow:
    assert row.seen is not None
    return replace(row, seen=replace(row.seen, points3d=matrix @ row.seen.points3d))


def _first_half(rows: Sequence[HandRow], table: Table) -> NDArray[np.bool_]:
    names = sorted({table.clips[row.clip].name for row in rows})
    if len(names) >= _MAP_CLIPS:
        return np.array([names.index(table.clips[row.clip].name) % 2 == 0 for row in rows], bool)
    middle = {
        number: float(np.median([frame.index for frame in clip.frames])) if clip.frames else 0.0
        for number, clip in enumerate(table.clips)
    }
    return np.array([row.frame < middle[row.clip] for row in rows], bool)
