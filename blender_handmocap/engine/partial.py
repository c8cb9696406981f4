# SPDX-License-Identifier: GPL-3.0-or-later
"""Unfinished work on disk: a folder `<take>.partial/` of numbered chunks, so that a stopped capture can go on.

    request.json     what is being captured; a folder for another request is refused
    chunk_00012.npz  records of a span of frames, and under `state.*` what the seer needs to go on after it

A chunk is written under another name and renamed, so a killed process leaves whole chunks only.
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


class PartialWork:
    """Chunks of one request, in order."""

    def __init__(self, folder: Path, request: Mapping[str, Any], *, resume: bool) -> None:
        """Open the folder for `request` (plain JSON); without `resume` what it held is thrown away."""
        self.folder = folder
        self._request = json.dumps(request, sort_keys=True, indent=1)
        self.chunks: list[Arrays] = []
        self.state: Arrays = {}
        try:
            if resume and folder.is_dir():
                self._load()
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

    def _load(self) -> None:
        request = self._file("request.json")
        if request.exists() and request.read_text(encoding="utf-8") != self._request:
            raise BadInputError(
                f"The unfinished capture in {self.folder} is of other footage or other settings, so it cannot be "
                "resumed; start again without --resume, or use the settings it was begun with."
            )
        number = 0
        while (path := self._path(number)).exists():
            try:
                with np.load(path, allow_pickle=False) as file:
                    data = {key: file[key] for key in file.files}
            except (OSError, ValueError, zipfile.BadZipFile):
                # A disk may lose what a kill does not: what follows a damaged chunk is seen again.
                break
            self.state = {key.removeprefix(_STATE): value for key, value in data.items() if key.startswith(_STATE)}
            self.chunks.append({key: value for key, value in data.items() if not key.startswith(_STATE)})
            number += 1
        for stale in self.folder.glob("chunk_*.npz"):
            if stale >= self._path(number):
                stale.unlink()

    def _path(self, number: int) -> Path:
        return self._file(f"chunk_{number:05d}.npz")

    def append(self, records: Arrays, state: Mapping[str, AnyArray]) -> None:
        """Keep the records of the next span of frames and the state after it."""
        path = self._path(len(self.chunks))
        try:
            write_arrays(path, {**records, **{_STATE + key: value for key, value in state.items()}})
        except OSError as error:
            raise BadInputError(
                f"The disk refused the finished frames ({error.strerror or error}); free some space and run the same "
                "command with --resume: what was finished before is kept."
            ) from error
        self.chunks.append(records)
        self.state = dict(state)

    def records(self) -> Arrays:
        """All chunks as one; empty when there is none."""
        if not self.chunks:
            return {}
        return {key: np.concatenate([chunk[key] for chunk in self.chunks]) for key in self.chunks[0]}

    def release(self) -> None:
        """Nothing more is appended: let go of what is in memory; the disk keeps it."""
        self.chunks = []

    def discard(self) -> None:
        """The work is whole elsewhere: remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
