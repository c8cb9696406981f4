# SPDX-License-Identifier: GPL-3.0-or-later
"""Holes between arrays go back to the system."""

from __future__ import annotations

import platform
import weakref
from pathlib import Path

import numpy as np
import pytest

from blender_handmocap.engine.memory import give_back

MEGABYTE = 2**20


def used() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / MEGABYTE


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps holes")
def test_holes_between_arrays_go_back() -> None:
    give_back()
    arrays = [np.ones(8000) for _ in range(3000)]
    kept = arrays[::100]
    full = used()
    del arrays
    before = used()
    give_back()
    assert full - used() > 100.0 and before - used() > 50.0
    assert all((array == 1.0).all() for array in kept)


def test_what_holds_on_to_itself_goes_back() -> None:
    class Circle:
        def __init__(self) -> None:
            self.around = self

    circle = Circle()
    there = weakref.ref(circle)
    del circle
    give_back()
    assert there() is None
