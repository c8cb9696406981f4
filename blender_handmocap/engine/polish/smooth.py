# SPDX-License-Identifier: GPL-3.0-or-later
"""Smoothing without lag that keeps what the hand does and drops what it only seems to do.

Pass one measures: the motion is split into a slow part and two bands above it (about 2 to 5 Hz,
and faster), and the energy of each band around each moment is compared with its noise, which is
what the quietest moments of the clip itself hold. Pass two puts the parts together again, each
band by a gain: nothing of it where it is noise, all of it where the hand moves. The
kernels are symmetric in time, so nothing is delayed; a beat of the hand at 8 Hz keeps its
amplitude because it stands far above the noise.

Rotations are averaged as unit quaternions of continuous sign and split by multiplication, which
does not depend on any choice of axes.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import rotations

Array = NDArray[np.float64]

_KERNELS: Final = (0.05, 0.15)
"""seconds: standard deviation of the kernels that end the fast and the middle band"""
_ENERGY_KERNEL: Final = 0.12
"""seconds: how far around a moment its energy is measured"""
_QUIET: Final = 10.0
"""percentile of a band's energy over the clip that is taken for its noise: a waving hand has few quiet moments"""
_MARGIN: Final = 4.0
"""energy must exceed the noise by this factor before any of a band passes"""
_STEEPNESS: Final = 2.0
"""Beyond the margin a band passes sooner than by Wiener's own gain: half a wave is worse than its noise."""
_LEAST_TRUST: Final = 0.02
_REACH: Final = 3.0
"""standard deviations after which a kernel ends"""


def smoothed_values(
    value: Array, time: Array, trust: Array, kept: Array, *, most_noise: ArrayLike, strength: float
) -> Array:
    """Values (T, n) of one stretch, each column by itself.

    time (T,) seconds, rising; trust (T,) 0..1; kept (T,) 0..1, 1 where the value must stay exactly;
    `most_noise` in the unit of the values, standard deviation, one for all columns or one each.
    """
    if len(value) < 3 or strength <= 0.0:
        return value.copy()
    slow, bands = value, []
    for width in _KERNELS:
        low = fitted(slow, time, trust, width)
        bands.append(slow - low)
        slow = low
    out = slow
    for band, limit in zip(reversed(bands), reversed(_limits(most_noise)), strict=True):
        out = out + band * _gain(band**2, time, trust, kept, limit * strength, strength)
    return out


def smoothed_rotations(
    rotation: Array, time: Array, trust: Array, kept: Array, *, most_noise: float, strength: float
) -> Array:
    """Unit quaternions (T, J, 4) of one stretch; see `smoothed_values`; `most_noise` in radians."""
    q = rotations.continuous(rotation)
    if len(q) < 3 or strength <= 0.0:
        return q
    slow, bands = q, []
    for width in _KERNELS:
        low = rotations.normalized(fitted(slow.reshape(len(q), -1), time, trust, width).reshape(q.shape))
        bands.append(rotations.vector_from_quaternion(rotations.multiply(rotations.conjugate(low), slow)))
        slow = low
    out = slow
    for band, limit in zip(reversed(bands), reversed(_limits(most_noise)), strict=True):
        gain = _gain((band**2).sum(-1), time, trust, kept, limit * strength, strength)
        out = rotations.multiply(out, rotations.quaternion_from_vector(band * gain[..., None]))
    return rotations.continuous(rotations.normalized(out))


def fitted(value: Array, time: Array, trust: Array, width: float) -> Array:
    """Values (T, n) of the parabola that fits each moment's surroundings best, by trust, in a Gaussian window.

    Unlike an average a parabola does not cut corners: slow motion keeps its turning points and the
    ends of a stretch keep their slope. True time stamps, so rates may vary.
    """
    weight = np.maximum(trust, _LEAST_TRUST)
    moments = np.zeros((len(value), 5))
    sums = np.zeros((len(value), 3, value.shape[1]))
    moments[:, 0] = weight
    sums[:, 0] = weight[:, None] * value

    def add(to: slice, source: slice, apart: Array, kernel: Array) -> None:
        share = kernel * weight[source]
        for power in range(5):
            moments[to, power] += share * apart**power
        for power in range(3):
            sums[to, power] += (share * apart**power)[:, None] * value[source]

    for shift in range(1, len(value)):
        apart = (time[shift:] - time[:-shift]) / width
        kernel = np.where(apart <= _REACH, np.exp(-0.5 * apart * apart), 0.0)
        if not kernel.any():
            break
        add(slice(None, -shift), slice(shift, None), apart, kernel)
        add(slice(shift, None), slice(None, -shift), -apart, kernel)
    system = moments[:, np.arange(3)[:, None] + np.arange(3)]
    # Where too few frames are near for a parabola, its bends are held at zero.
    system[:, [1, 2], [1, 2]] += 1e-3 * moments[:, :1]
    found: Array = np.linalg.solve(system, sums)[:, 0]
    return found


def averaged(value: Array, time: Array, trust: Array, width: float) -> Array:
    """Gaussian average (T, n) in time by trust."""
    weight = np.maximum(trust, _LEAST_TRUST)
    total = weight[:, None] * value
    mass = weight.copy()
    for shift in range(1, len(value)):
        apart = (time[shift:] - time[:-shift]) / width
        kernel = np.where(apart <= _REACH, np.exp(-0.5 * apart * apart), 0.0)
        if not kernel.any():
            break
        total[shift:] += (kernel * weight[:-shift])[:, None] * value[:-shift]
        total[:-shift] += (kernel * weight[shift:])[:, None] * value[shift:]
        mass[shift:] += kernel * weight[:-shift]
        mass[:-shift] += kernel * weight[shift:]
    return total / mass[:, None]


def _limits(most_noise: ArrayLike) -> tuple[Array, ...]:
    """Most noise of each band: white noise spreads over them about evenly, a little less into the middle one."""
    return 0.8 * np.asarray(most_noise), 0.6 * np.asarray(most_noise)


def _gain(energy: Array, time: Array, trust: Array, kept: Array, limit: Array, strength: float) -> Array:
    """Wiener gain (T, n) of a band with momentary energy (T, n)."""
    around = averaged(energy, time, trust, _ENERGY_KERNEL)
    noise = np.minimum(np.percentile(around, _QUIET, axis=0) * strength**2, limit**2)
    # A frame seen badly carries more noise than the quiet ones it is compared with.
    noise = noise[None] / np.clip(trust, 0.25, 1.0)[:, None]
    share = np.minimum(_MARGIN * noise / np.maximum(around, 1e-30), 1.0)
    gain = 1.0 - share**_STEEPNESS
    return gain + kept[:, None] * (1.0 - gain)
