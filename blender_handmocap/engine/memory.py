# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory between the parts of long work."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress


def give_back() -> None:
    """Let the system have what is free.

    Networks that nobody needs any more hold on to each other until they are looked for, and glibc keeps the holes
    between what is left. Worth some milliseconds where networks or a clip's records have just been let go of.
    """
    gc.collect()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
