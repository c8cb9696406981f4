# SPDX-License-Identifier: GPL-3.0-or-later
"""The most memory this process has held."""

from __future__ import annotations

import sys


def peak_mb() -> float | None:
    """Peak resident memory in MB; None where the system does not say (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0 * 1024.0) if sys.platform == "darwin" else peak / 1024.0
