# SPDX-License-Identifier: GPL-3.0-or-later
"""Curves that are right where it matters and calm everywhere else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..fit.banded import BlockSystem

Array = NDArray[np.float64]

_FIRMNESS = 300.0
"""How much a wanted value weighs against the acceleration of one frame that it asks for."""


_ORDERS = 10.0
"""natural logarithm of how much firmer a goal is than where it begins to count"""


def eased_curve(wanted: Array, weight: Array, time: Array, ease: float) -> Array:
    """The curve (T, C) of least acceleration that meets `wanted` (T, C) where `weight` (T,) is 1 and leaves no trace
    about `ease` seconds away from there; weights between 0 and 1 ask for less."""
    count = len(time)
    if not weight.any():
        return np.zeros_like(wanted)
    if count < 3:
        return wanted * weight[:, None]
    step = float(np.median(np.diff(time)))
    calm = (step / ease) ** 4
    pull = _FIRMNESS * firmness(weight)
    diagonal = pull + calm
    near, far = np.zeros(count - 1), np.zeros(count - 2)
    # Second differences of neighbouring frames, each spelled (1, -2, 1).
    for offset, value in ((0, 1.0), (1, 4.0), (2, 1.0)):
        diagonal[offset : count - 2 + offset] += value
    near[:-1] -= 2.0
    near[1:] -= 2.0
    far += 1.0
    system = BlockSystem(diagonal[:, None, None].copy(), (pull[:, None] * wanted)[:, None, :].copy())
    for i in range(count - 1):
        system.couple(i, i + 1, near[i : i + 1, None])
    for i in range(count - 2):
        system.couple(i, i + 2, far[i : i + 1, None])
    return system.solve()[:, 0]


def firmness(weight: Array) -> Array:
    """Weights 0..1 as they count in a sum of squares: a goal at half weight must give way by half, and what a square
    weighs a hundredth still gives way to nothing, so firmness grows by orders of magnitude."""
    grown: Array = np.expm1(_ORDERS * weight) / np.expm1(_ORDERS)
    return grown


def ramp(inside: NDArray[np.bool_], time: Array, ease: float) -> Array:
    """(T,) 1 inside, falling to 0 within `ease` seconds outside, without a corner at either end."""
    if not inside.any():
        return np.zeros(len(time))
    marked = time[inside]
    at = np.clip(np.searchsorted(marked, time), 1, len(marked)) - 1
    after = np.minimum(at + 1, len(marked) - 1)
    distance = np.minimum(np.abs(time - marked[at]), np.abs(time - marked[after]))
    share = np.clip(1.0 - distance / ease, 0.0, 1.0)
    smooth: Array = share * share * (3.0 - 2.0 * share)
    return smooth
