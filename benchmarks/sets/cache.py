# SPDX-License-Identifier: GPL-3.0-or-later
"""Where drawn sets are kept: HANDMOCAP_BENCHMARK_CACHE, else out/benchmarks in the working tree."""

from __future__ import annotations

import os
from pathlib import Path


def folder() -> Path:
    """The folder; safe to delete, everything in it can be made again."""
    chosen = os.environ.get("HANDMOCAP_BENCHMARK_CACHE")
    return Path(chosen) if chosen else Path(__file__).resolve().parents[2] / "out" / "benchmarks"
