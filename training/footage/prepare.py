# SPDX-License-Identifier: GPL-3.0-or-later
"""Make everything the renderer keeps in the user's cache, so that no first picture waits.

python -m training.footage.prepare [--processes 2]      about 10 minutes on one core, 600 MB, once
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import sys
from collections.abc import Sequence

from . import cache, pictures, rooms, scenery, skin

_log = logging.getLogger(__name__)


def _make(task: tuple[str, int]) -> str:
    kind, number = task
    if kind == "skin":
        skin.texture(number)
    else:
        scenery.source(f"{kind}:{number}")
    return f"{kind} {number}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    found = pictures.fetch()
    _log.info("%d of %d photographs.", found, len(pictures.photographs()))
    tasks = [(kind, seed) for kind in sorted(rooms.PAINTERS) for seed in range(scenery.PAINTED_COUNT)]
    tasks += [("skin", seed) for seed in range(skin.SKIN_COUNT)]
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for done, name in enumerate(pool.imap_unordered(_make, tasks), start=1):
            if done % 20 == 0 or done == len(tasks):
                _log.info("%d of %d: %s", done, len(tasks), name)
    _log.info("Everything is in %s.", cache.folder())
    return 0


if __name__ == "__main__":
    sys.exit(main())
