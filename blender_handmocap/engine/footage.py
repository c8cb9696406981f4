# SPDX-License-Identifier: GPL-3.0-or-later
"""Footage: movies, folders and patterns of pictures, single stills and webcams as one stream of frames.

Frames hold the displayed picture (rotation flags honoured), RGB, flipped where it was a mirror
image. Decoding runs on its own thread, a few frames ahead; memory does not grow with the clip.
"""

from __future__ import annotations

import math
import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

# OpenCV reads this when it opens its first movie: damage is told in our words, not FFmpeg's.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np

from .errors import BadInputError
from .footage_metadata import Metadata, read_metadata, standard_range_table
from .footage_pictures import PICTURE_ENDINGS, pictures_in, pictures_like, read_picture
from .footage_stream import Frame, Image, Position, is_reversed, parse_position, read_ahead, read_latest

Kind = Literal["movie", "pictures", "still", "camera"]

PICTURE_RATE: Final = Fraction(30)
"""Frames a second of pictures in a folder, which say nothing about it."""
TYPICAL_RATE: Final = Fraction(30)

_AHEAD_FRAMES: Final = 8
_AHEAD_BYTES: Final = 64 * 2**20
_CAMERA_FAILURES: Final = 30
"""Reads in a row that may fail before a camera counts as stopped."""
_MISSING_SHARE: Final = 0.02
"""Share of the announced frames that may be missing before a movie counts as damaged."""
_ROUNDING: Final = 0.01
"""Frames by which a place in seconds may miss a frame it means."""
_REVERSED: Final = "The end {end} comes before the start {start}; exchange them."
_FASTEST: Final = 1000.0
_OPENCV_MAJOR: Final = int(cv2.__version__.partition(".")[0])
_CAMERA_NAME: Final = re.compile(r"(?:camera:)?(\d{1,2})(?:@(\d{2,5})x(\d{2,5}))?(?:/(\d{1,3}))?")
"""a number, and what is wished of the camera: 0, camera:0, 0@1280x720, 0@1280x720/60, 0/60"""


class Footage(ABC):
    """Something that can be watched; made by `open_footage`."""

    kind: Kind

    def __init__(
        self, source: str, first: Image, *, rate: Fraction, frame_count: int | None, metadata: Metadata
    ) -> None:
        self.source = source
        self.height, self.width = first.shape[:2]
        self.rate = rate
        self.frame_count = frame_count
        """as announced; None when it is not known"""
        self.film_focal = metadata.film_focal
        self.mirrored = False
        self.warnings: list[str] = []
        """sentences about damage met so far"""

    def frames(self, start: str = "", end: str = "") -> Iterator[Frame]:
        """Frames from `start` to `end`, both inclusive, decoded ahead on a thread."""
        first, last = parse_position(start), parse_position(end)
        if is_reversed(first, last):
            raise BadInputError(_REVERSED.format(start=start, end=end))
        # Each frame weighs the same, so a few large ones or more small ones may wait.
        size = self.width * self.height * 3
        ahead = max(1, min(_AHEAD_FRAMES, _AHEAD_BYTES // size))
        return read_ahead(self._between(first, last, start, end), ahead)

    def expected_frames(self, start: str = "", end: str = "") -> int | None:
        """How many frames `frames` will give, as far as the file's own count can tell."""
        if self.frame_count is None:
            return None
        first, last = (parse_position(text).in_frames(float(self.rate)) for text in (start, end))
        begin = 0 if first is None else math.ceil(first - _ROUNDING)
        stop = self.frame_count if last is None else min(math.floor(last + _ROUNDING) + 1, self.frame_count)
        return max(stop - begin, 0)

    def lens_of(self, index: int) -> tuple[int, int, float | None]:
        """Width, height and 35 mm equivalent focal length (None: not told) of a frame's picture; stills may differ."""
        return self.width, self.height, self.film_focal

    @abstractmethod
    def _decoded(self, first: Position) -> Iterator[Frame]:
        """Every frame that is not before `first`; earlier ones are skipped as cheaply as possible."""

    def _between(self, first: Position, last: Position, start: str, end: str) -> Iterator[Frame]:
        seen_any = False
        for frame in self._decoded(first):
            if first.is_after(frame.index, frame.time):
                continue
            if last.is_before(frame.index, frame.time):
                begin, stop = (place.in_frames(float(self.rate)) for place in (first, last))
                if not seen_any and begin is not None and stop is not None and begin > stop:
                    raise BadInputError(_REVERSED.format(start=start, end=end))
                break
            seen_any = True
            image = cv2.flip(frame.image, 1) if self.mirrored else frame.image
            yield replace(frame, image=np.asarray(image))
        if not seen_any:
            raise BadInputError(
                f"{self.source} ends before {start}; choose an earlier start."
                if start
                else f"No picture of {self.source} could be read; check that it plays elsewhere."
            )


class Movie(Footage):
    """A movie file in any container and codec that OpenCV's FFmpeg reads."""

    kind = "movie"

    def __init__(self, path: Path) -> None:
        self._path = path
        metadata = read_metadata(path)
        # From version 5 on OpenCV's FFmpeg maps high dynamic range itself.
        self._table = standard_range_table(metadata.transfer) if _OPENCV_MAJOR < 5 else None
        with self._open() as capture:
            rate = _plain_rate(capture.get(cv2.CAP_PROP_FPS))
            announced = capture.get(cv2.CAP_PROP_FRAME_COUNT)
            found, first = capture.read()
        if not found:
            raise BadInputError(
                f"{path} could not be read as a movie (it is damaged, empty or of an unknown kind); "
                "check that it plays elsewhere, or convert it to MP4."
            )
        count = int(announced) if 0 < announced < 2**31 else None
        super().__init__(str(path), np.asarray(first), rate=rate, frame_count=count, metadata=metadata)

    @contextmanager
    def _open(self) -> Iterator[cv2.VideoCapture]:
        with _quietly():
            capture = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG)
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        try:
            yield capture
        finally:
            capture.release()

    def _decoded(self, first: Position) -> Iterator[Frame]:
        step = 1.0 / float(self.rate)
        with self._open() as capture:
            index, started, last = 0, 0.0, -step
            while capture.grab():
                stamp = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
                if index == 0:
                    started = stamp
                # Some files carry no time stamps, or broken ones: then the nominal rate counts on.
                time_now = stamp - started if stamp - started > last else last + step
                if not first.is_after(index, time_now):
                    found, image = capture.retrieve()
                    if found:
                        yield Frame(index, time_now, self._displayed(np.asarray(image)))
                last = time_now
                index += 1
        self._note_damage(index)

    def _displayed(self, image: Image) -> Image:
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        return np.asarray(rgb if self._table is None else cv2.LUT(rgb, self._table), np.uint8)

    def _note_damage(self, decoded: int) -> None:
        if self.frame_count is None:
            return
        missing = self.frame_count - decoded
        if missing > max(2.0, _MISSING_SHARE * self.frame_count):
            self.warnings.append(
                f"{self.source} is damaged: only {decoded} of its {self.frame_count} frames could be read."
            )


class Pictures(Footage):
    """Pictures in the order of their names, or a single one."""

    def __init__(self, source: str, paths: list[Path], *, rate: Fraction, any_size: bool) -> None:
        self._paths = paths
        self._any_size = any_size
        self._lenses: dict[int, tuple[int, int, float | None]] = {}
        self.kind: Kind = "still" if len(paths) == 1 else "pictures"
        for path in paths:
            first = read_picture(path)
            if first is not None:
                break
        else:
            what = "The picture" if len(paths) == 1 else "Every picture in"
            raise BadInputError(f"{what} {source} is damaged or of an unknown kind; save it as PNG or JPEG.")
        super().__init__(source, first, rate=rate, frame_count=len(paths), metadata=read_metadata(path))

    def _decoded(self, first: Position) -> Iterator[Frame]:
        unreadable: list[str] = []
        for index, path in enumerate(self._paths):
            time_now = float(index / self.rate)
            if first.is_after(index, time_now):
                continue
            image = read_picture(path)
            if image is None:
                unreadable.append(f"{path.name} cannot be read")
            elif not self._any_size and image.shape[:2] != (self.height, self.width):
                unreadable.append(f"{path.name} has another size")
            else:
                yield Frame(index, time_now, image, self._noted(index, image) if self._any_size else None)
        if unreadable:
            count = f"{len(unreadable)} of {len(self._paths)} pictures of {self.source}"
            self.warnings.append(f"{count} {'was' if len(unreadable) == 1 else 'were'} left out ({unreadable[0]}).")

    def _noted(self, index: int, image: Image) -> float | None:
        """The focal length in a still's own file."""
        film_focal = read_metadata(self._paths[index]).film_focal
        self._lenses[index] = image.shape[1], image.shape[0], film_focal
        return film_focal

    def lens_of(self, index: int) -> tuple[int, int, float | None]:
        """As `Footage.lens_of`; a still that an earlier run has seen is opened again."""
        if self._any_size and index not in self._lenses and (image := read_picture(self._paths[index])) is not None:
            self._noted(index, image)
        return self._lenses.get(index, super().lens_of(index))


class Webcam(Footage):
    """A camera of this machine; the newest picture counts, late ones are dropped."""

    kind = "camera"

    def __init__(self, number: int, *, size: tuple[int, int] | None = None, rate: int | None = None) -> None:
        """Open camera `number`; a camera that has not the size or the rate wished for sends the nearest it has."""
        self._number = number
        self._capture = _open_camera(number)
        if size is not None:
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        if rate is not None:
            self._capture.set(cv2.CAP_PROP_FPS, rate)
        found, first = self._capture.read()
        if not found:
            self._capture.release()
            raise BadInputError(
                f"Camera {number} does not open; check that it is connected, that no other program uses it, "
                "and that this one may."
            )
        sent = _plain_rate(self._capture.get(cv2.CAP_PROP_FPS))
        super().__init__(f"camera:{number}", np.asarray(first), rate=sent, frame_count=None, metadata=Metadata())

    def frames(self, start: str = "", end: str = "") -> Iterator[Frame]:
        """Frames until `end` or until the camera stops; times are this machine's clock."""
        first, last = parse_position(start), parse_position(end)
        return read_latest(self._between(first, last, start, end))

    def _decoded(self, first: Position) -> Iterator[Frame]:
        started = time.monotonic()
        index = failures = 0
        try:
            while failures < _CAMERA_FAILURES:
                found, image = self._capture.read()
                if not found:
                    failures += 1
                    time.sleep(0.01)
                    continue
                failures = 0
                yield Frame(index, time.monotonic() - started, np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)))
                index += 1
            self.warnings.append(f"Camera {self._number} stopped sending pictures.")
        finally:
            self._capture.release()


def open_footage(
    source: str | Path, *, mirrored: bool = False, picture_rate: Fraction = PICTURE_RATE, any_size: bool = False
) -> Footage:
    """Open whatever the user named: a movie, a picture, a folder, a pattern, `camera:0`, `camera:0@1280x720/30`.

    `mirrored` flips the pictures back; `any_size` lets the pictures of a folder differ in size (stills).
    """
    footage = _opened(str(source), picture_rate, any_size)
    footage.mirrored = mirrored
    return footage


def _opened(source: str, picture_rate: Fraction, any_size: bool) -> Footage:
    path = Path(source)
    if (camera := _CAMERA_NAME.fullmatch(source.strip())) and not path.exists():
        number, width, height, rate = camera.groups()
        size = (int(width), int(height)) if width else None
        return Webcam(int(number), size=size, rate=int(rate) if rate else None)
    if path.is_dir():
        return Pictures(source, pictures_in(path), rate=picture_rate, any_size=any_size)
    if not path.exists():
        matching = pictures_like(path)
        if not matching:
            raise BadInputError(f"There is no file, folder or picture pattern {source}; check the path.")
        return Pictures(source, matching, rate=picture_rate, any_size=any_size)
    if path.stat().st_size == 0:
        raise BadInputError(f"{source} is an empty file; record or copy it again.")
    if path.suffix.lower() in PICTURE_ENDINGS:
        return Pictures(source, [path], rate=picture_rate, any_size=any_size)
    return Movie(path)


def _plain_rate(rate: float) -> Fraction:
    """The rational a measured rate stands for: 29.97 is 30000/1001."""
    if not 0.1 < rate <= _FASTEST:
        return TYPICAL_RATE
    whole = round(rate)
    for candidate in (Fraction(whole), Fraction(max(round(rate * 1.001), 1) * 1000, 1001)):
        if abs(float(candidate) - rate) < 1e-3:
            return candidate
    return Fraction(rate).limit_denominator(1001)


def _open_camera(number: int) -> cv2.VideoCapture:
    with _quietly():
        return cv2.VideoCapture(number)


@contextmanager
def _quietly() -> Iterator[None]:
    """What does not open is told in our words, not OpenCV's."""
    # The functions moved in OpenCV 5.
    messages: Any = getattr(cv2.utils, "logging", cv2)
    level = messages.getLogLevel()
    messages.setLogLevel(0)
    try:
        yield
    finally:
        messages.setLogLevel(level)
