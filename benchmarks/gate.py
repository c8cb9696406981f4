# SPDX-License-Identifier: GPL-3.0-or-later
"""Are the frozen sets hard enough? Where MediaPipe is already good there is nothing to win.

    python -m benchmarks.gate [--set NAME]

prints the PA of every reading of MediaPipe over the hands it found and over all of them, row by row beside it, and
fails where a set as a whole is too easy. It is asked once, before the sums of a set are recorded, and never afterwards
to change a set.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from blender_handmocap.engine.errors import HandMocapError

from .figures import Figures
from .run import MEDIAPIPE_READINGS, measure
from .sets import frozen

ONE_HAND_MM: Final = 18.0
TOUCHING_MM: Final = 20.0
_READINGS: Final = ("mediapipe", "mediapipe_best", "mediapipe_average")
JUDGED: Final = "mediapipe_best"
"""Screen x and y with world depth, a missed hand at its cap: what a user of MediaPipe gets from the set."""


def least_pa_mm(name: str) -> float:
    """What the judged reading may not fall below on a set."""
    return TOUCHING_MM if name == "two_touching" else ONE_HAND_MM


def rows(by_row: Mapping[str, Mapping[str, Figures]], least: float) -> str:
    """A line a row: a set may pass as a whole with a row that is easy."""
    lines = []
    for row, by_method in by_row.items():
        error = by_method[JUDGED].values["pa_mpjpe_mm"]
        told = "nothing measured" if error is None else f"{error:.1f} mm" + ("" if error >= least else ", an easy row")
        lines.append(f"  {row}: {told}\n")
    return "".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 when every set is hard enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", choices=sorted(frozen.ABOUT))
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    code = 0
    for name in options.set or frozen.ABOUT:
        try:
            outcome = measure(frozen.drawn(name), mode="best", methods=_READINGS)
        except HandMocapError as error:
            sys.stderr.write(f"{error}\n")
            return 2
        told = {method: outcome.figures[method].values for method in MEDIAPIPE_READINGS if method in outcome.figures}
        if JUDGED not in told:
            sys.stderr.write("\n".join(outcome.notes) + "\n")
            return 2
        enough = (told[JUDGED]["pa_mpjpe_mm"] or 0.0) >= least_pa_mm(name)
        code = code if enough else 1
        figures = ", ".join(
            f"{method} {one['pa_mpjpe_mm']:.1f} mm ({one['pa_mpjpe_mm_found'] or float('nan'):.1f} found)"
            for method, one in told.items()
        )
        sys.stdout.write(
            f"{name}: {'hard enough' if enough else 'TOO EASY'}; found {told[JUDGED]['found']:.0%}; {figures}\n"
        )
        sys.stdout.write(rows(outcome.rows, least_pa_mm(name)))
    return code


if __name__ == "__main__":
    sys.exit(main())
