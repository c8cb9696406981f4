# SPDX-License-Identifier: GPL-3.0-or-later
"""Train what finds hands, judge it on what was held out, and export it.

python -m training.regions.train finder --shards DIR --run DIR --out blender_handmocap/models/regions.onnx
python -m training.regions.train judge --crops DIR --out blender_handmocap/models/judge.onnx
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from . import finder, judge


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: which of the two, then its own options."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    commands = {"finder": finder.main, "judge": judge.main}
    if not given or given[0] not in commands:
        sys.stderr.write(f"Say which network to train: {' or '.join(commands)}.\n")
        return 2
    return commands[given[0]](given[1:])


if __name__ == "__main__":
    raise SystemExit(main())
