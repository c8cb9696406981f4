# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes data/two_hands.npz, the committed set of two-hand patterns, and measures it for its card.

`python -m training.footage.make_two_hands` continues where it was stopped: every finished batch is
kept in the work folder. `--card` prints the figures of docs/footage.md from the finished set.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.names import CONTACT_PARTS

from . import mesh_gap, split, two_hands
from .contact import Pairs
from .families import FAMILIES
from .two_hands import Patterns

Array = NDArray[np.float64]

log = logging.getLogger(__name__)

_BATCH: Final = 500
_CHECKED: Final = 600
"""Patterns of the set whose penetration is measured by winding number, a quarter of a second each"""
_TOUCHED: Final = 3000
"""... and those whose gap is measured"""
_NEIGHBOURS_OF: Final = 1500
_SEED: Final = 20240611


def joined(parts: list[Patterns]) -> Patterns:
    """Several sets as one."""
    return Patterns(
        pairs=Pairs.joined([part.pairs for part in parts]),
        family=np.concatenate([part.family for part in parts]),
        names=parts[0].names,
        test=np.concatenate([part.test for part in parts]),
        gap=np.concatenate([part.gap for part in parts]),
        thing=np.concatenate([part.thing for part in parts]),
    )


def generate(work: Path, share: float, families: Sequence[str] = tuple(FAMILIES)) -> None:
    """Some families, batch by batch; `share` of the wanted number for a quick look."""
    work.mkdir(parents=True, exist_ok=True)
    for name in families:
        kept, batch = 0, 0
        while kept < int(FAMILIES[name].wanted * share):
            path = _batch_file(work, name, batch)
            if not path.exists():
                test = split.is_test("family", name) or (batch % 10) / 10 < two_hands.TEST_SHARE
                random = np.random.default_rng([_SEED, list(FAMILIES).index(name), batch])
                part, _ = two_hands.made(name, random, _BATCH, test=test)
                two_hands.save(part, path)
            kept, batch = kept + len(two_hands.read(path)), batch + 1
        log.info("%-15s %5d kept of %5d drafted", name, kept, batch * _BATCH)


def finished(work: Path) -> Patterns:
    """What the batches in the work folder hold, family by family, complete or not."""
    every: list[Patterns] = []
    for name in FAMILIES:
        batch = 0
        while (path := _batch_file(work, name, batch)).exists():
            every.append(two_hands.read(path))
            batch += 1
    return joined(every)


def _batch_file(work: Path, family: str, batch: int) -> Path:
    return work / f"{free_hand('right').sha256[:12]}-{family}-{batch:03d}.npz"


def joint_clouds(patterns: Patterns) -> Array:
    """(N, 42, 3) keypoints of both hands in canonical right axes, metres."""
    right, left = free_hand("right"), free_hand("left")
    pairs = patterns.pairs
    identity = np.tile([1.0, 0.0, 0.0, 0.0], (len(pairs), 1))
    clouds = []
    for number, (model, turn, shift) in enumerate(
        ((right, identity, np.zeros((len(pairs), 3))), (left, pairs.turn, pairs.shift))
    ):
        rotation = rotations_from_angles(pairs.angles[:, number], free_hinges(model.side), turn)
        clouds.append(model.pose(rotation, shift, model.rest()).keypoints)
    return np.concatenate(clouds, axis=1)


def nearest_neighbours(clouds: Array, count: int, random: np.random.Generator) -> Array:
    """Mean point distance (metres) from each of `count` random patterns to the most alike other one."""
    flat = clouds.astype(np.float32)
    chosen = random.choice(len(flat), min(count, len(flat)), replace=False)
    out = np.empty(len(chosen))
    for k, index in enumerate(chosen):
        distance = np.linalg.norm(flat - flat[index], axis=-1).mean(1)
        distance[index] = np.inf
        out[k] = distance.min()
    return out


def card(patterns: Patterns) -> str:
    """The figures of the set as Markdown."""
    random = np.random.default_rng(0)
    columns = ("family", "split", "patterns", "touching", "depth p50 / p95 / max, mm", "nearest other p5 / p50, mm")
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    clouds = joint_clouds(patterns)
    touching_all: list[NDArray[np.bool_]] = []
    depth_all: list[Array] = []
    for number, (name, family) in enumerate(FAMILIES.items()):
        mine = np.flatnonzero(patterns.family == number)
        looked = random.choice(mine, min(len(mine), _TOUCHED // len(FAMILIES)), replace=False)
        touching = mesh_gap.measure(patterns.pairs[looked]).gap <= two_hands.TOUCH
        depth = mesh_gap.true_depth(patterns.pairs[looked[: _CHECKED // len(FAMILIES)]])
        near = nearest_neighbours(clouds[mine], _NEIGHBOURS_OF // len(FAMILIES), random)
        depth_all.append(depth)
        if family.touching:
            touching_all.append(touching)
        side = "test" if patterns.test[mine].all() else f"{patterns.test[mine].mean():.0%} test"
        d, n = np.quantile(depth, [0.5, 0.95, 1.0]) * 1e3, np.quantile(near, [0.05, 0.5]) * 1e3
        cells = (name, side, f"{len(mine)}", f"{touching.mean():.0%}", _joined(d, 2), _joined(n, 1))
        lines.append("| " + " | ".join(cells) + " |")
    depth = np.concatenate(depth_all)
    touching = np.concatenate(touching_all)
    lines += [
        "",
        f"{len(patterns)} patterns, {int((~patterns.test).sum())} for training. Mesh penetration by winding number "
        f"on {len(depth)} random ones: 95th percentile {np.quantile(depth, 0.95) * 1e3:.2f} mm, "
        f"deepest {depth.max() * 1e3:.2f} mm. Of the families that are about touching, {touching.mean():.1%} have "
        f"meshes at most {two_hands.TOUCH * 1e3:.0f} mm apart.",
        "",
        "Contacts between parts, share of all patterns (rows: left hand, columns: right hand):",
        "",
        "| | " + " | ".join(CONTACT_PARTS) + " |",
        "|---" * (len(CONTACT_PARTS) + 1) + "|",
    ]
    share = (patterns.gap <= two_hands.TOUCH).mean(0)
    lines += [
        f"| {part} | " + " | ".join(f"{value:.1%}" for value in row) + " |"
        for part, row in zip(CONTACT_PARTS, share, strict=True)
    ]
    return "\n".join(lines)


def _joined(values: Array, digits: int) -> str:
    return " / ".join(f"{value:.{digits}f}" for value in values)


def main() -> None:
    """Command line: make the patterns, or print their card."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--work", type=Path, default=Path("training/runs/two_hands"), help="folder of finished batches")
    parser.add_argument("--share", type=float, default=1.0, help="share of the full number of patterns")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES), help="make these, in order")
    parser.add_argument("--join", action="store_true", help="make no more, write what is finished")
    parser.add_argument("--out", type=Path, default=two_hands.PATTERN_FILE)
    parser.add_argument("--card", action="store_true", help="measure the finished set and print its card")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if arguments.card:
        log.info("%s", card(two_hands.read(arguments.out)))
        return
    if not arguments.join:
        generate(arguments.work, arguments.share, arguments.families)
    patterns = finished(arguments.work)
    two_hands.save(patterns, arguments.out)
    log.info("%d patterns, %.1f MB", len(patterns), arguments.out.stat().st_size / 1e6)


if __name__ == "__main__":
    main()
