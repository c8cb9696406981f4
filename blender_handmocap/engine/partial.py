# SPDX-License-Identifier: GPL-3.0-or-later
"""Unfinished work on disk: a folder `<take>.partial/` of numbered chunks, so that a stopped capture can go on.

    request.json     what is being captured; a folder for another request is refused
    chunk_00012.npz  records of a span of frames, and under `state.*` what the seer needs to go on after it

A chunk is written under another name and renamed, so a killed process leaves whole chunks only. What is on the disk
is not held in memory as well, so that this does not grow with the clip.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .errors import BadInputError
from .files import write_arrays

AnyArray = NDArray[Any]
Arrays = dict[str, AnyArray]

_STATE: Final = "state."
_NUMBER: Final = "frame"
"""the record that holds the source's numbers of the frames"""
_DAMAGE: Final = (OSError, ValueError, EOFError, zipfile.BadZipFile)
"""what reading half a chunk raises"""


class PartialWork:
    """Chunks of one request, in order; each a span of frames, whose numbers are in the record `frame`."""

    def __init__(self, folder: Path, request: Mapping[str, Any], *, resume: bool, whole: int = 0) -> None:
        """Open the folder for `request` (plain JSON); without `resume` what it held is thrown away.

        A last chunk of fewer than `whole` frames was cut short, and is seen again: chunks end where nothing looks back.
        """
        self.folder = folder
        self._request = json.dumps(request, sort_keys=True, indent=1)
        self.lengths: list[int] = []
        """frames in each chunk"""
        self.last: int | None = None
        """number of the newest frame in the source"""
        self.state: Arrays = {}
        try:
            if resume and folder.is_dir():
                self._load(whole)
            else:
                shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            self._file("request.json").write_text(self._request, encoding="utf-8")
        except OSError as error:
            raise BadInputError(
                f"Unfinished frames cannot be kept in {folder} ({error.strerror or error}); "
                "choose an output in a folder you may write to, on a disk with space."
            ) from error

    def _file(self, name: str) -> Path:
        return self.folder / name

    def _load(self, whole: int) -> None:
        request = self._file("request.json")
        if request.exists() and request.read_text(encoding="utf-8") != self._request:
            raise BadInputError(
                f"The unfinished capture in {self.folder} is of other footage or other settings, so it cannot be "
                "resumed; start again without --resume, or use the settings it was begun with."
            )
        while (path := self._path(len(self.lengths))).exists():
            try:
                records, state = _read(path)
            except _DAMAGE:
                # A disk may lose what a kill does not: what follows a damaged chunk is seen again.
                break
            if len(records[_NUMBER]) < whole:
                break
            self._count(records, state)
        for stale in self.folder.glob("chunk_*.npz"):
            if stale >= self._path(len(self.lengths)):
                stale.unlink()

    def _count(self, records: Arrays, state: Mapping[str, AnyArray]) -> None:
        numbers = records[_NUMBER]
        self.lengths.append(len(numbers))
        self.last = int(numbers[-1]) if len(numbers) else self.last
        self.state = dict(state)

    def _path(self, number: int) -> Path:
        return self._file(f"chunk_{number:05d}.npz")

    def append(self, records: Arrays, state: Mapping[str, AnyArray]) -> None:
        """Keep the records of the next span of frames and the state after it."""
        path = self._path(len(self.lengths))
        try:
            write_arrays(path, {**records, **{_STATE + key: value for key, value in state.items()}})
        except OSError as error:
            raise BadInputError(
                f"The disk refused the finished frames ({error.strerror or error}); free some space and run the same "
                "command with --resume: what was finished before is kept."
            ) from error
        self._count(records, state)

    def __len__(self) -> int:
        """Frames that are kept."""
        return sum(self.lengths)

    def records(self) -> Arrays:
        """All chunks as one, from the disk; empty when there is none."""
        parts: dict[str, list[AnyArray]] = {}
        for number in range(len(self.lengths)):
            path = self._path(number)
            try:
                records, _ = _read(path)
            except _DAMAGE as error:
                raise BadInputError(
                    f"Finished frames can no longer be read from {path} ({error}); run the same command with --resume: "
                    "what lies before them is kept."
                ) from error
            for key, values in records.items():
                parts.setdefault(key, []).append(values)
        # One record after the other, so that not all of them are there twice.
        return {key: np.concatenate(parts.pop(key)) for key in tuple(parts)}

    def discard(self) -> None:
        """The work is whole elsewhere: remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _read(path: Path) -> tuple[Arrays, Arrays]:
    """Records and state of a chunk."""
    with np.load(path, allow_pickle=False) as file:
        data = {key: file[key] for key in file.files}
    state = {key.removeprefix(_STATE): value for key, value in data.items() if key.startswith(_STATE)}
    return {key: value for key, value in data.items() if not key.startswith(_STATE)}, state
