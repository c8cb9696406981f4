# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading pictures and movies: the engine's own decoder, so that every method gets the same bytes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

from blender_handmocap.engine.errors import HandMocapError
from blender_handmocap.engine.footage import open_footage

from ..hands import Picture

log = logging.getLogger(__name__)


def rate_of(path: Path) -> Fraction:
    """Frames a second of a movie; of a still 1."""
    footage = open_footage(path)
    return Fraction(1) if footage.kind == "still" else footage.rate


def is_readable(path: Path) -> bool:
    """Whether at least one frame can be had."""
    try:
        return next(iter(open_footage(path).frames()), None) is not None
    except HandMocapError:
        return False


def reader(path: Path, last: int | None = None) -> Callable[[], Iterator[tuple[int, Picture]]]:
    """A reader of (index, RGB picture) up to frame `last`; a damaged movie ends where it is damaged, with a warning."""

    def read() -> Iterator[tuple[int, Picture]]:
        index = -1
        try:
            footage = open_footage(path)
            for frame in footage.frames():
                index = frame.index
                yield index, frame.image
                if last is not None and index >= last:
                    return
            for warning in footage.warnings:
                log.warning("%s", warning)
        except HandMocapError as error:
            log.warning("%s", error)
        if last is not None and index < last:
            log.warning("%s ends after frame %d although frame %d is labelled.", path.name, index, last)

    return read
