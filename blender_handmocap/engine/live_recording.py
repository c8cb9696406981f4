# SPDX-License-Identifier: GPL-3.0-or-later
"""A live recording that is on the disk while it grows: `<out>.partial/` holds small takes, one after the other.

When it ends they become the take at `<out>`. When the engine or the machine dies instead, `recover` makes that take of
what is there: all but the last second.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Final

import numpy as np

from .errors import BadInputError, HandMocapError
from .hand.names import SIDES, Side
from .take import HandTrack, Take, load_take, save_take

log = logging.getLogger("handmocap.live")

PIECE_SECONDS: Final = 1.0
"""of frames in one piece on the disk"""
_STILL: Final = 5.0 * PIECE_SECONDS
"""a recording whose newest piece is older than this has ended"""
_PIECE: Final = "recorded_{:05d}.take.npz"


class LiveRecording:
    """Frames of a recording, written as they come on a thread of its own."""

    def __init__(self, out: Path, empty: Take) -> None:
        """Record into the take at `out`; `empty` is that take without frames."""
        if is_left(out):
            raise BadInputError(
                f"A recording into {out.name} was cut off and its frames are still there; recover them, "
                "or record under another name."
            )
        self._out, self._empty = out, empty
        self._frames: list[tuple[int, float, Mapping[Side, HandTrack]]] = []
        self._written: list[Future[None]] = []
        # A second of frames takes longer to pack than a camera waits.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="handmocap-recording")
        folder = pieces_folder(out)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInputError(
                f"A recording cannot be kept in {folder.parent} ({error.strerror or error}); "
                "choose an output in a folder you may write to, on a disk with space."
            ) from error

    def append(self, index: int, at: float, tracks: Mapping[Side, HandTrack]) -> None:
        """Add a frame of the source: its number, its seconds, and its hands as tracks of one frame.

        A disk that refused what was added before is told of here, not when the recording ends.
        """
        self._check([written for written in self._written if written.done()])
        self._frames.append((index, at, tracks))
        if at - self._frames[0][1] >= PIECE_SECONDS:
            self._write()

    def finish(self, *, warnings: Iterable[str] = ()) -> None:
        """Make one take of all pieces; `warnings` are sentences about the source."""
        if self._frames:
            self._write()
        self._writer.shutdown(wait=True)
        self._check(self._written)
        take = _joined(pieces_folder(self._out))
        try:
            save_take(take.with_tracks(meta={**take.meta, "warnings": list(warnings)}), self._out)
        except BadInputError as error:
            raise self._kept(error) from error
        shutil.rmtree(pieces_folder(self._out), ignore_errors=True)

    def _check(self, written: Iterable[Future[None]]) -> None:
        """Tell of a piece that could not be written; the ones before it can be recovered."""
        for one in written:
            try:
                one.result()
            except BadInputError as error:
                raise self._kept(error) from error

    def _kept(self, error: BadInputError) -> BadInputError:
        if not is_left(self._out):
            return error
        reason = error.__cause__.strerror if isinstance(error.__cause__, OSError) else error
        return BadInputError(
            f"The disk refused the recording ({reason}); free some space and recover what came before as {self._out} "
            "(live --recover --out)."
        )

    def _write(self) -> None:
        frames, self._frames = self._frames, []
        tracks = {side: _concatenated([one[2][side] for one in frames]) for side in SIDES}
        piece = self._empty.with_tracks(
            frame=np.array([one[0] for one in frames], np.int32),
            time=np.array([one[1] for one in frames], np.float64),
            **tracks,
        )
        path = pieces_folder(self._out) / _PIECE.format(len(self._written))
        self._written.append(self._writer.submit(save_take, piece, path))


def pieces_folder(out: Path) -> Path:
    """Where a recording into the take at `out` lies while it grows."""
    return out.with_name(f"{out.name}.partial")


def is_left(out: Path) -> bool:
    """Whether frames of a recording into `out` lie on the disk that never became a take."""
    return (pieces_folder(out) / _PIECE.format(0)).is_file()


def left_in(folder: Path) -> list[Path]:
    """The takes in a folder whose recordings were cut off, oldest name first."""
    found = sorted(folder.glob("*.partial"))
    return [out for one in found if is_left(out := one.with_name(one.name.removesuffix(".partial")))]


def is_growing(out: Path) -> bool:
    """Whether somebody seems to be recording into `out` right now, perhaps another program."""
    newest = max(path.stat().st_mtime for path in pieces_folder(out).iterdir())
    return time.time() - newest < _STILL


def recover(out: Path) -> Take:
    """Make the take at `out` of the frames that a recording left on the disk."""
    if not is_left(out):
        raise BadInputError(f"No frames of a recording are left for {out.name}; record again.")
    if out.exists():
        raise BadInputError(f"{out.name} is already there; move it away, then recover the recording.")
    take = _joined(pieces_folder(out))
    save_take(take, out)
    shutil.rmtree(pieces_folder(out), ignore_errors=True)
    return take


def _joined(folder: Path) -> Take:
    pieces: list[Take] = []
    while (path := folder / _PIECE.format(len(pieces))).is_file():
        try:
            pieces.append(load_take(path))
        except HandMocapError:
            # A disk may lose what a kill does not: what follows a damaged piece would be torn off in time.
            log.warning("%s cannot be read; the recording ends before it", path, exc_info=True)
            break
    if not pieces:
        raise BadInputError(f"Nothing in {folder} can be read any more; record again.")
    return pieces[0].with_tracks(
        frame=np.concatenate([piece.frame for piece in pieces]),
        time=np.concatenate([piece.time for piece in pieces]),
        **{side: _concatenated([piece.track(side) for piece in pieces]) for side in SIDES},
    )


def _concatenated(tracks: list[HandTrack]) -> HandTrack:
    names = [field.name for field in fields(HandTrack)]
    return HandTrack(**{name: np.concatenate([getattr(track, name) for track in tracks]) for name in names})
