# SPDX-License-Identifier: GPL-3.0-or-later
"""Files written in one step: what is there is the old one or the whole new one, never a part. Why one is none."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def write_arrays(target: Path, arrays: Mapping[str, NDArray[Any]], *, compressed: bool = False) -> None:
    """Write an .npz; raises OSError when the disk refuses."""
    # By way of memory: an archive that cannot be finished on disk complains once more when it is let go.
    buffer = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    save(buffer, **dict(arrays))
    write_whole(target, buffer.getbuffer())


def write_whole(target: Path, data: bytes | memoryview) -> None:
    """Write a file; raises OSError when the disk refuses, and leaves nothing behind."""
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def why_no_arrays(error: Exception) -> str:
    """Why a file could not be read as an .npz, for people: numpy speaks of pickles to whoever gives it a text."""
    told = str(error)
    if isinstance(error, EOFError | zipfile.BadZipFile) or "pickle" in told:
        return "it is no .npz file, or only a part of one"
    return told
