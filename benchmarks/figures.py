# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of one method on one set, under the keys of keys.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .keys import MEASURES
from .measures import bootstrap, confidence

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass
class Figures:
    """What is said of one method on one set."""

    values: dict[str, float | int | None] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    samples: dict[str, tuple[Array, Ints]] = field(default_factory=dict)
    """per hand (or pair, or frame): the values behind a mean and what the bootstrap draws; for ties"""
    reliability: confidence.Reliability | None = None

    def mean(self, key: str, values: Array, unit: Ints) -> None:
        """A mean with its bootstrap interval."""
        _check(key)
        finite = np.isfinite(values)
        self.values[key] = float(values[finite].mean()) if finite.any() else None
        if finite.any():
            low, high = bootstrap.interval(values, unit)
            if np.isfinite(low):
                self.intervals[key] = (low, high)
            self.samples[key] = (values, unit)

    def set(self, key: str, value: float | None) -> None:
        """A single number; NaN and None mean not measurable."""
        _check(key)
        self.values[key] = None if value is None or not np.isfinite(value) else float(value)

    def forget(self, key: str) -> None:
        """The method cannot be judged by this."""
        self.values[key] = None
        self.intervals.pop(key, None)
        self.samples.pop(key, None)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON with every key there is; None where nothing can be measured."""
        result: dict[str, Any] = {**dict.fromkeys(MEASURES), **self.values}
        result["intervals"] = {key: [low, high] for key, (low, high) in self.intervals.items()}
        if self.reliability is not None and self.reliability.count.sum():
            result["reliability"] = [
                {"said": float(said), "was": float(was), "n": int(count)}
                for said, was, count in zip(
                    self.reliability.said, self.reliability.was, self.reliability.count, strict=True
                )
                if count
            ]
        return result


def _check(key: str) -> None:
    if key not in MEASURES:
        raise KeyError(f"{key} has no meaning in keys.py")
