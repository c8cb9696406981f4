# SPDX-License-Identifier: GPL-3.0-or-later
"""Both hands from one hand's crop: where the other wrist is, and which parts touch.

Near hands lie in each other's crops. The network reads the taps that the trunk makes of a crop
anyway; like DetNet it knows a crop's own hand as a right one, so that left ones must be shown to
the trunk mirrored. What the two crops of a picture say is joined into one statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..camera import Camera
from ..hand.names import CONTACT_PARTS
from ..runtime import Network, Runtime
from .crops import HAND_INPUT, Array, points_in_picture, turned
from .detnet import TAPS
from .fusion import ray_rotation

PAIR_MODEL: Final = "pair"
_OUTPUTS: Final = ("points", "error", "depth", "vector", "sigma", "state", "contact")
_OTHER: Final = 0
"""The network's first hand is a left one: beside the crop's own, always a right one."""
PRESENT: Final = 0.5
"""Presence of the other hand from which a crop has a say."""
_LEAST_SIGMA: Final = 0.02
"""palm lengths"""
_DISAGREEMENT: Final = 3.0
"""sigmas by which two crops may differ before their errors are taken to be larger"""


@dataclass(frozen=True)
class Partner:
    """What one crop says about the other hand."""

    presence: float
    """0..1: the other hand is in the crop"""
    points: Array
    """(21, 2) of the other hand, pixels of the picture"""
    error: Array
    """(21,) their expected errors, pixels"""
    vector: Array
    """(3,) other wrist minus own wrist, palm lengths, camera axes of the full picture"""
    sigma: Array
    """(3,) expected error of each component"""
    contact: Array
    """(6, 6) probability that a CONTACT_PART of the own hand (first axis) touches one of the other"""


@dataclass(frozen=True)
class SeenPair:
    """Both hands of one picture, as `PairTrack` keeps them."""

    vector: Array
    """(3,) left wrist minus right wrist, palm lengths, camera axes"""
    sigma: Array
    """(3,)"""
    contact: Array
    """(6, 6) left part first"""


class PairNet:
    """The heads, ready to read taps."""

    def __init__(self, network: Network) -> None:
        """`network`: the exported file, loaded."""
        self._network = network
        self.taps = tuple(name for name in TAPS if name in network.inputs)

    @classmethod
    def load(cls, runtime: Runtime) -> PairNet:
        """The network of models.toml; a missing or damaged file is refused in one sentence."""
        return cls(runtime.network(PAIR_MODEL, outputs=_OUTPUTS, threads=1))

    def read(self, taps: Mapping[str, NDArray[Any]], crop: Array, camera: Camera, *, mirrored: bool) -> Partner | None:
        """What one crop's taps (1, C, H, W) say; None if that is not numbers. `mirrored`: the trunk saw it so."""
        out = self._network({name: taps[name] for name in self.taps})
        values = {name: value[0].astype(np.float64) for name, value in out.items()}
        if not all(np.isfinite(value).all() for value in values.values()):
            return None
        points, vector = values["points"][_OTHER], values["vector"]
        if mirrored:
            points[:, 0] = HAND_INPUT - 1 - points[:, 0]
            vector[0] = -vector[0]
        turn = np.eye(3)
        turn[:2, :2] = turned(float(crop[4]))
        turn = ray_rotation(camera.rays(crop[:2])) @ turn
        # A diagonal of variances, turned: what is left of it on the diagonal again.
        sigma = np.sqrt(turn**2 @ values["sigma"] ** 2)
        return Partner(
            presence=float(values["state"][_OTHER]),
            points=points_in_picture(points / HAND_INPUT, crop),
            error=values["error"][_OTHER] * (float(crop[2]) / HAND_INPUT),
            vector=turn @ vector,
            sigma=np.maximum(sigma, _LEAST_SIGMA),
            # The network's first axis is its left hand, here the other one.
            contact=values["contact"].T.copy(),
        )


def joined(left: Partner | None, right: Partner | None) -> SeenPair | None:
    """What the crops of the left and of the right hand say together; None if neither sees the other hand."""
    told = [
        (sign, partner)
        for sign, partner in ((-1.0, left), (1.0, right))
        if partner is not None and partner.presence >= PRESENT
    ]
    if not told:
        return None
    vectors = np.array([sign * partner.vector for sign, partner in told])
    precision = np.array([partner.presence / partner.sigma**2 for _, partner in told])
    vector = (vectors * precision).sum(0) / precision.sum(0)
    # Both crops show the same picture: their errors are alike, so that the mean is no surer than the better one.
    sigma = np.array([partner.sigma for _, partner in told]).min(0)
    off = np.abs(vectors - vector).max(0) / sigma
    sigma = sigma * np.maximum(1.0, off / _DISAGREEMENT)
    parts = len(CONTACT_PARTS)
    weight = np.array([partner.presence for _, partner in told])
    contact = np.zeros((parts, parts))
    for (sign, partner), share in zip(told, weight / weight.sum(), strict=True):
        contact += share * (partner.contact if sign < 0 else partner.contact.T)
    return SeenPair(vector, sigma, contact)
