# SPDX-License-Identifier: GPL-3.0-or-later
"""What each part of IKNet's training is worth: short runs of equal compute, each with one thing changed.

    python -m training.iknet.ablation --runs DIR [--samples N] [--seen TRAIN.npz --judge JUDGE.npz]

Rows that are done are kept in RUNS/rows.jsonl; a stopped table goes on with the same command. With `--seen` a row
trains on what DetNet saw as well (`training.iknet.seen`), and `--judge` tells every row's errors on such hands.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit.hinges import pack
from blender_handmocap.engine.hand.free import free_hinges
from blender_handmocap.engine.see.iknet import Aligned, align, composed
from training.footage import poses
from training.runs import Rows

from .batches import Observed, rest_of
from .held_out import NOISES, HeldOut, tip_errors
from .losses import Weights
from .network import IKNet
from .train import Config, Run, pool_of, validate

_POOL: Final = 60_000
_TIPS_AT: Final = 4
"""millimetres of noise at which fingertips are judged"""


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    title: str
    without: tuple[str, ...] = ()
    """losses that are switched off"""
    recorded: bool = True
    """poses of every source; else only such as the limits allow"""
    seen: bool = False
    """with what DetNet saw"""


CASES: Final = {
    "all": Case("everything"),
    "no-cos": Case("without cos", ("cos",)),
    "no-l2": Case("without l2", ("l2",)),
    "no-xyz": Case("without xyz", ("xyz",)),
    "no-norm": Case("without norm", ("norm",)),
    "no-mocap": Case("without recorded poses", recorded=False),
    "seen": Case("and what DetNet saw", seen=True),
}


def on_seen(network: IKNet, hands: Observed) -> dict[str, float]:
    """Mean errors of the finger joints (degrees) and fingertips (mm) on hands as a detector saw them."""
    joints, rest = rest_of(hands.betas, hands.definition)
    found = answered(network, align(hands.points, hands.error, rest))
    off = np.degrees(rotations.angle_between(found, hands.rotation))
    return {
        "seen": float(off[:, 1:].mean()),
        "seen tips": float(tip_errors(found, hands.rotation, joints, rest).mean()),
    }


def tips(network: IKNet, held_out: HeldOut) -> float:
    """Mean error of the fingertips in millimetres on held-out poses."""
    found = answered(network, held_out.aligned(_TIPS_AT))
    return float(tip_errors(found, held_out.rotation, held_out.joints, held_out.rest).mean())


@torch.no_grad()
def answered(network: IKNet, given: Aligned) -> NDArray[np.float64]:
    """(N, 16, 4) rotations."""
    network.eval()
    answer = network(torch.from_numpy(given.features)).numpy()
    network.train()
    return composed(answer, given.palm)


def trained(folder: Path, case: Case, config: Config, seen: Observed | None, judge: Observed | None) -> dict[str, Any]:
    """Train one case and judge its end."""
    folder.mkdir(parents=True, exist_ok=True)
    if not case.recorded and not (folder / "pool.npy").exists():
        angles = poses.random_within_limits(np.random.default_rng([config.seed, 1]), _POOL)
        np.save(folder / "pool.npy", pack(angles, free_hinges("right")).astype(np.float32))
    config = replace(config, weights=replace(Weights(), **dict.fromkeys(case.without, 0.0)))
    run = Run(folder, config, [seen] if case.seen and seen is not None else [])
    run.train(config.samples)
    found: dict[str, Any] = {**validate(run.network, run.held_out), "tips": tips(run.network, run.held_out)}
    return found | ({} if judge is None else on_seen(run.network, judge))


_COLUMNS: Final = {
    **{f"{mm}": f"{mm} mm" for mm in NOISES},
    "tips": f"fingertips at {_TIPS_AT} mm, mm",
    "seen": "as DetNet saw them",
    "seen tips": "fingertips, mm",
}


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Markdown: mean errors of the finger joints in degrees, of fingertips in millimetres."""
    columns = {key: head for key, head in _COLUMNS.items() if any(key in row for row in rows.values())}
    lines = [f"| trained | {' | '.join(columns.values())} |", "|---" * (len(columns) + 1) + "|"]
    for name, case in CASES.items():
        if name in rows:
            cells = [f"{rows[name][key]:.2f}" if key in rows[name] else "–" for key in columns]
            lines.append(f"| {case.title} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=40_000)
    parser.add_argument("--seen", type=Path)
    parser.add_argument("--judge", type=Path)
    parser.add_argument("--only", nargs="*", choices=list(CASES), default=list(CASES))
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    kept = Rows(options.runs)
    config = Config(samples=options.samples)
    seen, judge = (None if path is None else Observed.read(path) for path in (options.seen, options.judge))
    shared = None
    for name in options.only:
        if name in kept.rows or (CASES[name].seen and seen is None):
            continue
        folder = options.runs / name
        if CASES[name].recorded and shared is None:
            shared = pool_of(options.runs, config.seed)
        if CASES[name].recorded and not (folder / "pool.npy").exists():
            folder.mkdir(parents=True, exist_ok=True)
            np.save(folder / "pool.npy", shared)
        kept.add(name, trained(folder, CASES[name], config, seen, judge))
    sys.stdout.write(table(kept.rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
