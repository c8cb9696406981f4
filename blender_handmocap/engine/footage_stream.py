# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames, places in a clip, and streams of frames decoded on a thread of their own."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .errors import BadInputError

Image = NDArray[np.uint8]

_POSITION: Final = re.compile(r"(\d+)|(\d+(?:\.\d*)?|\.\d+)s")


@dataclass(frozen=True)
class Frame:
    """One picture of the footage."""

    index: int
    """source frame number, from 0"""
    time: float
    """seconds since the first frame, by the file's own time stamps"""
    image: Image
    """(H, W, 3) RGB"""
    film_focal: float | None = None
    """35 mm equivalent focal length of this picture, millimetres, where pictures may differ in it"""


@dataclass(frozen=True)
class Position:
    """A place in a clip, given by the user: a frame number or seconds."""

    frame: int | None = None
    seconds: float | None = None

    def in_frames(self, rate: float) -> float | None:
        """The same place counted in frames of an even rate; None when this is no place."""
        return self.frame if self.seconds is None else self.seconds * rate

    def is_after(self, index: int, time: float) -> bool:
        """Whether the frame at index, time comes before this place."""
        if self.frame is not None:
            return index < self.frame
        # A frame counts as at a time when it is the one shown then, half a millisecond of rounding allowed.
        return self.seconds is not None and time < self.seconds - 5e-4

    def is_before(self, index: int, time: float) -> bool:
        """Whether the frame at index, time comes after this place."""
        if self.frame is not None:
            return index > self.frame
        return self.seconds is not None and time > self.seconds + 5e-4


def parse_position(text: str) -> Position:
    """`"120"` is a frame, `"1.5s"` are seconds, `""` is no place."""
    if not text.strip():
        return Position()
    found = _POSITION.fullmatch(text.strip())
    if not found:
        raise BadInputError(
            f"'{text}' is not a place in a clip; write a frame number such as 120 or seconds such as 1.5s."
        )
    return Position(frame=int(found[1])) if found[1] else Position(seconds=float(found[2]))


def is_reversed(first: Position, last: Position) -> bool:
    """Whether the last place is known to come before the first."""
    if first.frame is not None and last.frame is not None:
        return last.frame < first.frame
    return first.seconds is not None and last.seconds is not None and last.seconds < first.seconds


class _Ended:
    """Closes a queue of frames, with the error that ended it if there was one."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def read_ahead(frames: Iterator[Frame], ahead: int) -> Iterator[Frame]:
    """The same frames, made on a thread that is at most `ahead` of them further."""
    waiting: queue.Queue[Frame | _Ended] = queue.Queue(maxsize=ahead)
    stopped = threading.Event()

    def put(item: Frame | _Ended) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    return _consume(frames, waiting, stopped, put)


def read_latest(frames: Iterator[Frame]) -> Iterator[Frame]:
    """The newest frame each time one is asked for; those in between are dropped."""
    waiting: queue.Queue[Frame | _Ended] = queue.Queue()
    stopped = threading.Event()

    def put(item: Frame | _Ended) -> bool:
        while not waiting.empty():
            try:
                waiting.get_nowait()
            except queue.Empty:
                break
        waiting.put(item)
        return not stopped.is_set()

    return _consume(frames, waiting, stopped, put)


def _consume(
    frames: Iterator[Frame],
    waiting: queue.Queue[Frame | _Ended],
    stopped: threading.Event,
    put: Callable[[Frame | _Ended], bool],
) -> Iterator[Frame]:
    def produce() -> None:
        ended = _Ended()
        try:
            for frame in frames:
                if not put(frame):
                    break
        except BaseException as error:
            ended = _Ended(error)
        finally:
            # A generator is closed by the thread that runs it.
            close = getattr(frames, "close", None)
            if close is not None:
                close()
        put(ended)

    thread = threading.Thread(target=produce, name="handmocap-decode", daemon=True)
    thread.start()
    try:
        while True:
            item = waiting.get()
            if isinstance(item, _Ended):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stopped.set()
        thread.join(timeout=5.0)
