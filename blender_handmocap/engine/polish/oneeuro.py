# SPDX-License-Identifier: GPL-3.0-or-later
"""One Euro filter: causal smoothing that is heavy on still hands and light on fast ones.

Casiez, Roussel and Vogel, CHI 2012. The cutoff rises with speed, so a still hand does not
tremble and a fast one does not lag.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .. import rotations

Array = NDArray[np.float64]


def _share(cutoff: Array, step: float) -> Array:
    """What a first-order low-pass of `cutoff` Hz takes of a new value after `step` seconds."""
    turn = 2.0 * np.pi * cutoff * step
    return np.asarray(turn / (turn + 1.0))


@dataclass
class OneEuro:
    """Values (...,) one at a time; the unit of `responsiveness` is Hz a unit of speed."""

    cutoff: float
    """Hz of a hand at rest"""
    responsiveness: float
    speed_cutoff: float = 1.0
    """Hz of the speed's own filter"""
    _time: float | None = field(default=None, init=False)
    _value: Array = field(default_factory=lambda: np.zeros(0), init=False)
    _speed: Array = field(default_factory=lambda: np.zeros(0), init=False)

    def reset(self) -> None:
        """Forget the past: the next value comes out as it is."""
        self._time = None

    def step(self, value: Array, time: float) -> Array:
        """The smoothed value at `time` seconds; times must rise."""
        x = np.asarray(value, dtype=np.float64)
        if self._time is None or not time > self._time:
            self._time, self._value, self._speed = time, x, np.zeros_like(x)
            return x
        step = time - self._time
        speed = (x - self._value) / step
        self._speed = self._speed + _share(np.array(self.speed_cutoff), step) * (speed - self._speed)
        length = np.linalg.norm(self._speed, axis=-1, keepdims=True)
        share = _share(self.cutoff + self.responsiveness * length, step)
        self._value = self._value + share * (x - self._value)
        self._time = time
        return self._value


@dataclass
class OneEuroRotation:
    """The same for unit quaternions (..., 4) w,x,y,z; speed in radians a second."""

    cutoff: float
    responsiveness: float
    speed_cutoff: float = 1.0
    _time: float | None = field(default=None, init=False)
    _value: Array = field(default_factory=lambda: np.zeros(0), init=False)
    _speed: Array = field(default_factory=lambda: np.zeros(0), init=False)

    def reset(self) -> None:
        """Forget the past: the next rotation comes out as it is."""
        self._time = None

    def step(self, rotation: Array, time: float) -> Array:
        """The smoothed rotation at `time` seconds, with the sign nearest to the one before."""
        q = rotations.normalized(rotation)
        if self._time is None or not time > self._time:
            self._time, self._value, self._speed = time, q, np.zeros((*q.shape[:-1], 3))
            return q
        step = time - self._time
        turn = rotations.vector_from_quaternion(rotations.multiply(rotations.conjugate(self._value), q))
        self._speed = self._speed + _share(np.array(self.speed_cutoff), step) * (turn / step - self._speed)
        speed = np.linalg.norm(self._speed, axis=-1, keepdims=True)
        share = _share(self.cutoff + self.responsiveness * speed, step)
        new = rotations.multiply(self._value, rotations.quaternion_from_vector(share * turn))
        self._value = rotations.normalized(new)
        self._time = time
        return self._value
