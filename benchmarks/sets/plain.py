# SPDX-License-Identifier: GPL-3.0-or-later
"""Movies and pictures without truth: hands are counted, and their steadiness is measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from blender_handmocap.engine.errors import BadInputError

from ..hands import Clip, TestSet
from . import pictures


def load(*paths: Path, name: str = "", complete: bool = False, note: str = "") -> TestSet:
    """A set of movies and pictures; `complete` when it is known that there are no hands in them."""
    clips, skipped = [], []
    for path in paths:
        if not pictures.is_readable(path):
            skipped.append(f"{path.name} is skipped because it cannot be read as a movie or a picture.")
            continue
        rate = pictures.rate_of(path)
        clips.append(
            Clip(
                name=path.stem,
                row="all",
                source=path,
                ordered=rate > 1,
                rate=rate,
                K=None,
                dist=np.zeros(5),
                frames=(),
                complete=complete,
                pictures=pictures.reader(path),
            )
        )
    if not clips:
        raise BadInputError(f"Nothing readable in {', '.join(str(path) for path in paths)}; name a movie or a picture.")
    return TestSet(name=name or paths[0].stem, clips=tuple(clips), skipped=tuple(skipped), note=note)
