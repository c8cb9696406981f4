# SPDX-License-Identifier: GPL-3.0-or-later
"""Real touching hands, labelled by eye: labels/signs_touching.json says what the fields mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import numpy as np

from blender_handmocap.engine.hand.names import CONTACT_PARTS, KEYPOINT_NAMES, SIDES

from ..hands import Clip, Label, TestSet
from . import pictures

LABELS: Final = Path(__file__).resolve().parents[1] / "labels" / "signs_touching.json"
_NOTE: Final = (
    "71 frames of four signed words with both hands touching or near, labelled once by eye. In all of them where one "
    "hand is in front it is the left one, so the order says little about a method that always answers so."
)


def load(folder: Path, path: Path = LABELS) -> TestSet:
    """The labelled frames of the movies in `folder`."""
    told = json.loads(path.read_text(encoding="utf-8"))
    by_movie: dict[str, dict[int, Label]] = {}
    for entry in told["frames"]:
        by_movie.setdefault(entry["video"], {})[entry["frame"]] = _label(entry)
    clips, labels, skipped = [], [], []
    for name, frames in by_movie.items():
        movie = folder / name
        if not movie.is_file() or not pictures.is_readable(movie):
            skipped.append(f"{len(frames)} labelled frames of {name} are skipped because it cannot be read.")
            continue
        clips.append(
            Clip(
                name=movie.stem,
                row="all",
                source=movie,
                ordered=True,
                rate=pictures.rate_of(movie),
                K=None,
                dist=np.zeros(5),
                frames=(),
                complete=False,
                pictures=pictures.reader(movie, max(frames)),
            )
        )
        labels.append(frames)
    return TestSet(name="signs_touching", clips=tuple(clips), skipped=tuple(skipped), note=_NOTE, labels=tuple(labels))


def _label(entry: dict) -> Label:
    parts = None
    if entry["parts"] is not None:
        parts = np.zeros((len(CONTACT_PARTS), len(CONTACT_PARTS)), bool)
        for left, right in entry["parts"]:
            parts[CONTACT_PARTS.index(left), CONTACT_PARTS.index(right)] = True
    return Label(
        boxes={side: np.array(entry[side]["box"], np.float64) for side in SIDES},
        wrists={side: np.array(entry[side]["wrist"], np.float64) for side in SIDES},
        nearer=entry["nearer"],
        touch=entry["touch"],
        parts=parts,
        hidden={side: tuple(KEYPOINT_NAMES.index(name) for name in entry["hidden"][side]) for side in SIDES},
    )
