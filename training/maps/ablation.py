# SPDX-License-Identifier: GPL-3.0-or-later
"""What real and drawn pictures are worth to the maps: the same short run on both, on drawn and on real ones alone.

    python -m training.maps.ablation --shards DIR --out RUNS/ablation [--samples 3000]

After figures 7 and 8 of RGB2Hands. Every run starts from nothing and sees as many crops; each is judged as it ends,
on the held-out rows of drawn and of real pictures. A stopped command goes on after its last whole row.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch

from training.runs import Rows

from .export import load
from .learn import Config, opened, train, validate

DRAWN: Final = ("train-",)
REAL: Final = ("composites-",)
RUNS: Final[dict[str, tuple[str, ...]]] = {
    "both": (*DRAWN, *REAL),
    "without real pictures": DRAWN,
    "without drawn pictures": REAL,
}
_JUDGED: Final = {"drawn": DRAWN, "real": REAL}
_TOLD: Final = ("overlap", "wrong_side", "code_median", "within", "pixels", "pixels_hidden")

HEAD: Final = (
    "| trained on | judged on | regions (IoU of hands) | wrong hand | surface code | depth within | points seen "
    "| hidden |\n|---|---|---|---|---|---|---|---|"
)


def line(name: str, judged: str, errors: Mapping[str, float]) -> str:
    """A row of the table."""
    overlap, wrong, code, within, seen, hidden = (errors[key] for key in _TOLD)
    told = (f"{overlap:.2f}", f"{100 * wrong:.0f} %", f"{code:.3f}", f"{within:.2f}", f"{seen:.1f}", f"{hidden:.1f}")
    return f"| {' | '.join((name, judged, *told))} |"


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """All finished rows."""
    lines = [line(name, judged, row[judged]) for name, row in rows.items() for judged in _JUDGED]
    return "\n".join([HEAD, *lines])


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=12)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    done = Rows(options.out)
    for name, kinds in RUNS.items():
        if name in done.rows:
            continue
        run = options.out / name.replace(" ", "_")
        config = Config(batch=options.batch, samples=options.samples)
        train(run, config, options.shards, options.samples, kinds=kinds)
        heads = load(run, "checkpoint.pt").heads
        errors = {}
        for judged, own in _JUDGED.items():
            data = opened(options.shards, own)
            errors[judged] = validate(heads, data, data.base.validation)
        done.add(name, errors)
    sys.stdout.write(table(done.rows) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
