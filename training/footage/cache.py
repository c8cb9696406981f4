# SPDX-License-Identifier: GPL-3.0-or-later
"""Where costly made things are kept between runs: one folder of the user's, safe to delete."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def folder() -> Path:
    """HANDMOCAP_CACHE, or the user's cache folder."""
    chosen = os.environ.get("HANDMOCAP_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    return Path(base) / "handmocap" / "footage"


def array(name: str, make: Callable[[], NDArray[np.generic]]) -> NDArray[np.generic]:
    """The array kept as `name`.npy, made and kept first if need be; memory-mapped, changes stay private."""
    path = folder() / f"{name}.npy"
    try:
        return np.asarray(np.load(path, mmap_mode="c"))
    except (OSError, ValueError):
        made = np.ascontiguousarray(make())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=path.parent, suffix=".npy")
        with os.fdopen(handle, "wb") as file:
            np.save(file, made)
        Path(unfinished).replace(path)
    except OSError:
        # A full or read-only disk costs time, not the picture.
        return made
    return np.asarray(np.load(path, mmap_mode="c"))
