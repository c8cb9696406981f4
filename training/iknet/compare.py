# SPDX-License-Identifier: GPL-3.0-or-later
"""Does IKNet earn a place? Mean joint errors of IK alone, fits from it, and the same from IKNet, as a table.

python -m training.iknet.compare --run DIR [--seen JUDGE.npz]

Held-out poses of the mean hand; noise as `batches.noise` makes it. `points` fits know the 3D points
alone, `both` the picture, too (pixel noise 1.5 % of the hand), as a capture does. With `--seen` the
hands are those that DetNet really saw (`training.iknet.seen`), each in its own shape.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit import solver, start
from blender_handmocap.engine.fit.energy import Energy
from blender_handmocap.engine.fit.kinematics import PALM_POINTS, POINT_ORDER, Chain, HandState
from blender_handmocap.engine.fit.observations import Seen, definition_shift
from blender_handmocap.engine.fit.poses import hand_poses
from blender_handmocap.engine.fit.settings import FitSettings
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.see.iknet import align, composed

from .batches import Observed, rest_of
from .export import load
from .held_out import NOISES, Array, HeldOut, tip_errors
from .network import IKNet

log = logging.getLogger(__name__)

_PLACE: Final = np.array([0.03, -0.02, 0.5])
_PIXEL_SHARE: Final = 0.015
_STEPS: Final = (0, 2, 10)
_FORM_SIGMA: Final = float(np.sqrt(2.0))
"""root mean square of the noise along the three axes, in sigmas across the view"""


class Learned:
    """A trained network in the place of the engine's own."""

    def __init__(self, network: IKNet) -> None:
        self._network = network

    @torch.no_grad()
    def __call__(self, points: Array, error: Array, rest: Array) -> Array:
        given = align(points, error, rest)
        return composed(self._network(torch.from_numpy(given.features)).numpy(), given.palm)


_CASES: Final = (*((mm, False) for mm in NOISES), (2, True))
"""millimetres of noise, and whether one finger is wrong besides"""


def seen_of(held_out: HeldOut, millimetres: float, *, spoilt: bool, picture: bool) -> Seen:
    """What the fitter would be given: POINT_ORDER, batch last."""
    noisy, error = held_out.seen(millimetres, spoilt=spoilt)
    count = len(noisy)
    centred = noisy[:, POINT_ORDER]
    centred = centred - centred[:, :PALM_POINTS].mean(1, keepdims=True)
    place = held_out.points + _PLACE
    random = np.random.default_rng(7)
    rays = place[..., :2] / place[..., 2:]
    size = np.ptp(rays, axis=1).max(-1)[:, None]
    rays = rays + random.normal(size=rays.shape) * (_PIXEL_SHARE * size[..., None])
    sigma = np.maximum(_FORM_SIGMA * millimetres / 1000.0, 0.0005)
    return Seen(
        rays=rays[:, POINT_ORDER].transpose(2, 1, 0).copy(),
        ray_sigma=np.repeat((_PIXEL_SHARE * size).T, 21, 0),
        ray_weight=np.full((21, count), float(picture)),
        points=centred.transpose(2, 1, 0).copy(),
        point_sigma=np.full((21, count), sigma) if millimetres else np.full((21, count), error.min()),
        point_weight=np.ones((21, count)),
    )


def errors(state: HandState, chain: Chain, held_out: HeldOut) -> tuple[float, float]:
    """Mean degrees of the finger joints, and of the root."""
    found, _ = hand_poses(state, False, chain)
    off = np.degrees(rotations.angle_between(found, held_out.rotation))
    return float(off[:, 1:].mean()), float(off[:, 0].mean())


def table(network: IKNet, count: int) -> list[str]:
    """Lines of a Markdown table."""
    held_out = HeldOut.make(None, count, varied=False)
    model = free_hand("right")
    chain = Chain(model.rest(), free_hinges("right"))
    learned = Learned(network)
    starts: dict[str, Callable[[Seen, FitSettings], HandState]] = {
        "analytic IK": lambda seen, settings: start.closed_form(chain, seen, settings),
        "IKNet": lambda seen, settings: start.learned(chain, seen, settings, learned),
    }
    lines = ["| start | fit | " + " | ".join(f"{mm} mm" for mm in NOISES) + " | 2 mm, a finger wrong |"]
    lines.append("|---|---|" + "---|" * len(_CASES))
    for name, begin in starts.items():
        for steps in _STEPS:
            for picture in (False, True) if steps else (False,):
                settings = FitSettings() if picture else FitSettings(nuisance_sigma=np.radians(0.1))
                energy = Energy(chain, settings)
                cells = []
                for millimetres, spoilt in _CASES:
                    seen = seen_of(held_out, millimetres, spoilt=spoilt, picture=picture)
                    state = begin(seen, settings)
                    if steps:
                        state = solver.minimise(energy, state, seen, steps=steps, tolerance=1e-4).state
                    cells.append("{:.1f} ({:.1f})".format(*errors(state, chain, held_out)))
                fit = f"{steps} steps, {'both' if picture else 'points'}" if steps else "none"
                lines.append(f"| {name} | {fit} | " + " | ".join(cells) + " |")
    cells = []
    for millimetres, spoilt in _CASES:
        noisy, error = held_out.seen(millimetres, spoilt=spoilt)
        off = np.degrees(rotations.angle_between(learned(noisy, error, held_out.rest), held_out.rotation))
        cells.append(f"{off[:, 1:].mean():.1f} ({off[:, 0].mean():.1f})")
    lines.append("| IKNet, as it answers | none | " + " | ".join(cells) + " |")
    return lines


def _in_space(points: Array, error: Array, chain: Chain) -> Seen:
    """One hand's points (21, 3) of any unit, as the fit wants them; the picture says nothing."""
    centred = points[POINT_ORDER] - points[POINT_ORDER][:PALM_POINTS].mean(0)
    unit = chain.palm_spread / float(np.linalg.norm(centred[:PALM_POINTS]))
    return Seen(
        rays=np.zeros((2, 21, 1)),
        ray_sigma=np.ones((21, 1)),
        ray_weight=np.zeros((21, 1)),
        points=(unit * centred).T[..., None].copy(),
        point_sigma=unit * error[POINT_ORDER][:, None],
        point_weight=np.ones((21, 1)),
    )


def seen_table(network: IKNet, hands: Observed) -> list[str]:
    """Lines of a Markdown table over hands as a detector saw them, each in its own shape."""
    model, hinges = free_hand("right"), free_hinges("right")
    joints, rest = rest_of(hands.betas, hands.definition)
    learned = Learned(network)
    settings = FitSettings(nuisance_sigma=np.radians(0.1))
    found: dict[str, list[Array]] = {"analytic IK": [], "analytic IK, 10 steps on the points": []}
    for points, error, betas in zip(hands.points, hands.error, hands.betas, strict=True):
        own = model.rest(betas)
        chain = Chain(own, hinges, definition_shift(hands.definition, own))
        seen = _in_space(points, error, chain)
        state = start.closed_form(chain, seen, settings)
        done = solver.minimise(Energy(chain, settings), state, seen, steps=10, tolerance=1e-4).state
        for name, one in zip(found, (state, done), strict=True):
            found[name].append(hand_poses(one, False, chain)[0][0])
    answers = {name: np.stack(every) for name, every in found.items()}
    answers["IKNet"] = learned(hands.points, hands.error, rest)
    heads = ("fingers, degrees", "root, degrees", "fingertips, mm")
    lines = [f"| {len(hands.points)} hands as DetNet saw them | {' | '.join(heads)} |", "|---|---|---|---|"]
    for name, answer in answers.items():
        off = np.degrees(rotations.angle_between(answer, hands.rotation))
        apart = tip_errors(answer, hands.rotation, joints, rest)
        lines.append(f"| {name} | {off[:, 1:].mean():.1f} | {off[:, 0].mean():.1f} | {apart.mean():.1f} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--hands", type=int, default=600)
    parser.add_argument("--seen", type=Path, help="hands that DetNet saw, in the place of generated noise")
    parser.add_argument("--name", default="best.pt", help="which of the run's files")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    network = load(options.run, options.name)
    lines = table(network, options.hands) if options.seen is None else seen_table(network, Observed.read(options.seen))
    log.info("\n".join(lines))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
