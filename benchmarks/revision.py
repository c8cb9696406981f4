# SPDX-License-Identifier: GPL-3.0-or-later
"""Which state of the tree figures belong to."""

from __future__ import annotations

import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


def of_the_tree() -> str | None:
    """The commit, with a `+` behind it when the extension or the benchmark differs from it; None outside a checkout."""
    commit = _git("rev-parse", "--short=10", "HEAD")
    if not commit:
        return None
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", "blender_handmocap", "benchmarks")
    return commit + ("+" if changed else "")


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
