# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading pictures and movies: the same bytes for every method."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from ..hands import Picture

log = logging.getLogger(__name__)

MOVIES = frozenset({".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".gif"})


def movie_rate(path: Path) -> Fraction:
    """Frames a second as the file says; 30 where it says nothing usable."""
    capture = cv2.VideoCapture(str(path))
    rate = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return Fraction(rate).limit_denominator(1001) if np.isfinite(rate) and 1 <= rate <= 1000 else Fraction(30)


def movie_pictures(path: Path, last: int | None = None) -> Callable[[], Iterator[tuple[int, Picture]]]:
    """A reader of (index, RGB picture) of a movie up to frame `last`; a broken movie ends where it breaks."""

    def read() -> Iterator[tuple[int, Picture]]:
        capture = cv2.VideoCapture(str(path))
        try:
            index = 0
            while last is None or index <= last:
                got, picture = capture.read()
                if not got:
                    break
                yield index, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
                index += 1
        finally:
            capture.release()
        if last is not None and index <= last:
            log.warning("%s ends at frame %d although frame %d is labelled.", path.name, index - 1, last)

    return read


def still_picture(path: Path) -> Picture | None:
    """One RGB picture; None if the file is none. Transparent parts become white."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.size == 0:
        return None
    if picture.dtype != np.uint8:
        picture = (picture / (np.iinfo(picture.dtype).max / 255.0)).astype(np.uint8)
    if picture.ndim == 2:
        return np.ascontiguousarray(np.repeat(picture[..., None], 3, axis=2))
    if picture.shape[2] == 4:
        share = picture[..., 3:] / 255.0
        picture = (picture[..., :3] * share + 255.0 * (1.0 - share)).astype(np.uint8)
    return np.ascontiguousarray(picture[..., ::-1])


def still_pictures(path: Path) -> Callable[[], Iterator[tuple[int, Picture]]]:
    """A reader of a still as a movie of one frame."""

    def read() -> Iterator[tuple[int, Picture]]:
        picture = still_picture(path)
        if picture is not None:
            yield 0, picture

    return read
