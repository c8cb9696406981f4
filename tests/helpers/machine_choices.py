# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for preferences, which only an installed extension has."""

from __future__ import annotations

from pathlib import Path


class MachineChoices:
    """Preferences as a package without an extension's own has none."""

    device, threads = "cpu", 1

    def __init__(self, cache: Path = Path()) -> None:
        self.cache_path = cache
