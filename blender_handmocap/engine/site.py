# SPDX-License-Identifier: GPL-3.0-or-later
"""The first thing the engine's own process does, before numpy is imported.

Blender starts the engine with its own Python and names the folders its extensions' wheels
were unpacked to. They go to the end of `sys.path`, so that everything Blender brings wins:
its numpy above all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from typing import Final

SITE_PACKAGES: Final = "HANDMOCAP_SITE_PACKAGES"
"""Environment variable: folders, separated as in PATH."""

ONE_THREAD: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""The engine multiplies many small matrices: a second BLAS thread costs more than it brings."""


def prepare(environment: MutableMapping[str, str] | None = None) -> None:
    """Append the named folders to `sys.path`; one BLAS thread unless the user asked for another number."""
    environment = os.environ if environment is None else environment
    for folder in environment.get(SITE_PACKAGES, "").split(os.pathsep):
        if folder and folder not in sys.path:
            sys.path.append(folder)
    for name in ONE_THREAD:
        environment.setdefault(name, "1")
