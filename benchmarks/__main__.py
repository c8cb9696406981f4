# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m benchmarks: accuracy and speed beside MediaPipe Hands. Figures on stdout, everything else on stderr."""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from blender_handmocap.engine.errors import HandMocapError
from blender_handmocap.engine.settings import Eyes, Mode, Settings

from . import report
from .kept import Kept
from .run import METHODS, Outcome, measure
from .sets import cache, named

log = logging.getLogger("benchmarks")

SKIPPED = 2
"""Exit code when entries had to be skipped or a set could not be used; the figures of the rest are printed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 when nothing was skipped."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    data = options.data or os.environ.get("HANDMOCAP_DATA")
    folder = Path(data) if data else None
    names = options.set or [name for name, one in named.NAMED.items() if one.available(folder)]
    methods = options.methods.split(",") if options.methods else METHODS
    kept = Kept(cache.folder() / "kept") if options.keep else None
    printed: list[dict[str, Any]] = []
    code = 0
    for name in names:
        try:
            test_set = named.load(name, folder)
            for sentence in test_set.skipped:
                log.warning("%s", sentence)
            outcome = measure(test_set, mode=options.mode, methods=methods, eyes=options.eyes, kept=kept)
        except HandMocapError as error:
            log.error("%s", error)
            code = SKIPPED
            continue
        if outcome.skipped:
            log.warning("%d skipped in %s.", len(outcome.skipped), test_set.name)
            code = SKIPPED
        printed.append(plain(outcome.as_json()))
        _tell(outcome, printed[-1], as_json=options.json)
        if options.document and name in named.NAMED:
            report.write(outcome, printed[-1])
    if options.json and printed:
        sys.stdout.write(json.dumps(printed[0] if len(names) == 1 else printed, indent=1, allow_nan=False) + "\n")
    return code


def _tell(outcome: Outcome, figures: dict[str, Any], *, as_json: bool) -> None:
    if not as_json:
        sys.stdout.write(report.text(outcome, figures) + "\n")


def plain(value: Any) -> Any:
    """JSON's null for whatever is not finite."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _parser() -> argparse.ArgumentParser:
    sets = "\n".join(f"  {name:<14}{one.about}" for name, one in named.NAMED.items())
    parser = argparse.ArgumentParser(
        prog="build.py benchmark",
        description="Accuracy and speed, side by side with MediaPipe Hands, on the same frames.",
        epilog=f"sets:\n{sets}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--set",
        action="append",
        metavar="NAME|INDEX.JSON|CLIP",
        help="what to run over, may be given again; default: every named set whose footage is there",
    )
    parser.add_argument("--mode", choices=get_args(Mode), default="best", help="how footage is captured; default: best")
    parser.add_argument("--eyes", choices=get_args(Eyes), default=Settings.eyes, help="whose eyes our engine has")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--data", metavar="DIR", help="folder of real footage (or HANDMOCAP_DATA)")
    parser.add_argument("--methods", metavar="A,B", help=f"only these of {', '.join(METHODS)}")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="ask MediaPipe and fit the floor once for the same pictures and keep it; their times are then not told",
    )
    parser.add_argument(
        "--document", action="store_true", help="write the table and pictures into docs/benchmarks.md (named sets only)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
