# SPDX-License-Identifier: GPL-3.0-or-later
"""`build.py demo`."""

from __future__ import annotations


def demo() -> int:
    return 0
