# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress: what a long piece of work tells while it runs, and how it learns that it should stop."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, TextIO

Stage = Literal["seeing", "solving", "writing"]


@dataclass(frozen=True)
class Progress:
    """Frames (solving: hands) done of one stage; `total` is None where nobody knows (a webcam, a broken header)."""

    stage: Stage
    done: int
    total: int | None


OnProgress = Callable[[Progress], None]
Cancelled = Callable[[], bool]

Style = Literal["auto", "bar", "lines", "json", "none"]

_BAR_SECONDS: Final = 0.1
_LINE_SECONDS: Final = 5.0
_WORDS: Final[dict[Stage, str]] = {"seeing": "Seeing", "solving": "Solving", "writing": "Writing"}


@dataclass
class Pace:
    """Frames a second and time left of the stage that runs."""

    stage: Stage | None = None
    began: float = 0.0
    first: int = 0

    def rate(self, progress: Progress, *, now: float) -> tuple[float, float | None]:
        """(frames a second, seconds left or None) at time `now`."""
        if progress.stage != self.stage:
            self.stage, self.began, self.first = progress.stage, now, progress.done
        passed = now - self.began
        rate = (progress.done - self.first) / passed if passed > 0 else 0.0
        left = None if progress.total is None or rate <= 0 else (progress.total - progress.done) / rate
        return rate, left


@dataclass
class Reporter:
    """Tells progress on a stream: a bar on a terminal, plain lines elsewhere, JSON lines for programs."""

    style: Style = "auto"
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    _pace: Pace = field(default_factory=Pace)
    _last: float = -1e9
    _open: bool = False

    def __post_init__(self) -> None:
        if self.style == "auto":
            self.style = "bar" if self.stream.isatty() else "lines"

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        changed = progress.stage != self._pace.stage
        rate, left = self._pace.rate(progress, now=now)
        finished = progress.total is not None and progress.done >= progress.total
        pause = _LINE_SECONDS if self.style == "lines" else _BAR_SECONDS
        if self.style == "none" or (now - self._last < pause and not finished and not changed):
            return
        self._last = now
        if self.style == "json":
            record = {"type": "progress", "stage": progress.stage, "done": progress.done, "total": progress.total}
            self.stream.write(json.dumps({**record, "rate": round(rate, 2), "left": left}) + "\n")
        elif self.style == "lines":
            self.stream.write(f"{describe(progress, rate=rate, left=left)}\n")
        else:
            self._draw_bar(progress, describe(progress, rate=rate, left=left), changed=changed, finished=finished)
        self.stream.flush()

    def _draw_bar(self, progress: Progress, text: str, *, changed: bool, finished: bool) -> None:
        if changed and self._open:
            self.stream.write("\n")
        columns = shutil.get_terminal_size().columns
        width = max(0, min(30, columns - len(text) - 4))
        share = progress.done / progress.total if progress.total else 0.0
        bar = "#" * round(width * min(share, 1.0))
        self.stream.write(f"\r[{bar:<{width}}] {text}\x1b[K" + ("\n" if finished else ""))
        self._open = not finished

    def close(self) -> None:
        """End a half-drawn bar, so that what follows starts on its own line."""
        if self._open:
            self.stream.write("\n")
            self._open = False


def describe(progress: Progress, *, rate: float, left: float | None) -> str:
    """`Seeing 120/600 frames, 45.1/s, 11 s left`; solving counts hands."""
    of = f"/{progress.total}" if progress.total is not None else ""
    rest = f", {left:.0f} s left" if left is not None and left >= 1 else ""
    pace = f", {rate:.1f}/s" if rate > 0 else ""
    things = "hands" if progress.stage == "solving" else "frames"
    return f"{_WORDS[progress.stage]} {progress.done}{of} {things}{pace}{rest}"
