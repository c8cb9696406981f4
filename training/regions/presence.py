# SPDX-License-Identifier: GPL-3.0-or-later
"""Calibrate what MediaPipe's presence and the judge say together: the constants of engine/see/judge.py.

    python -m training.regions.presence --shards DIR ...

Each given shard (folders of training/footage/dataset.py that the judge did not learn from) is shown to both: its hands,
as right or as left ones, and what holds none. Prints the constants and what each of the three would do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.crops import HAND_INPUT
from blender_handmocap.engine.see.judge import Judge, signs
from blender_handmocap.engine.see.landmarks import HandNetwork, SeenHand
from training.mediapipe.confidence import logistic, probabilities

from .crops import of_shard

Array = NDArray[np.float64]

_WHOLE: Final = np.array([HAND_INPUT / 2, HAND_INPUT / 2, HAND_INPUT, HAND_INPUT, 0.0])
_EVERY_HAND: Final = 4
"""Of the hands so many-th is enough; those of none are all taken."""


def look(folders: Sequence[Path]) -> tuple[list[SeenHand], NDArray[np.bool_]]:
    """What the networks say of each crop, and whether it shows a hand."""
    runtime = Runtime.choose("cpu", 1)
    network, random = HandNetwork(runtime, judge=Judge(runtime)), np.random.default_rng(0)
    seen, shows = [], []
    for folder in folders:
        for number, row in enumerate(of_shard(folder, random)):
            if not row.hand or number % _EVERY_HAND == 0:
                seen += network.look(np.ascontiguousarray(row.image), [_WHOLE])
                shows.append(row.hand)
    return seen, np.array(shows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, nargs="+", required=True)
    options = parser.parse_args(arguments)
    seen, shows = look(options.shards)
    values = np.array([signs(hand.presence, hand.judged) for hand in seen if hand.judged is not None])
    coefficients = logistic(values, shows)
    sys.stdout.write(f"{shows.sum()} hands, {(~shows).sum()} of none; constants {np.round(coefficients, 3).tolist()}\n")
    together = probabilities(coefficients, values)
    told = {
        "presence": np.array([hand.presence for hand in seen]),
        "judge": np.array([hand.judged.hand for hand in seen if hand.judged is not None]),
        "together": together,
    }
    for name, chance in told.items():
        for least in (0.35, 0.5, 0.8):
            found, wrong = 100 * (chance[shows] >= least).mean(), 100 * (chance[~shows] >= least).mean()
            sys.stdout.write(f"{name:9s} from {least}: {found:.1f} % of hands, {wrong:.1f} % of none\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
