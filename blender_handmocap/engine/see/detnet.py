# SPDX-License-Identifier: GPL-3.0-or-later
"""DetNet: our own heads on the trunk of MediaPipe's hand network, trained on drawn hands.

The trunk runs once; its taps feed MediaPipe's heads and ours. DetNet knows right hands only, so a
left one must be shown to the trunk mirrored. Its points follow the hand model's own definition,
and each comes with the error to expect of it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelFileError
from ..hand.names import KEYPOINT_COUNT
from ..runtime import Network, Runtime
from .crops import HAND_INPUT, Array, points_in_picture, turned

log = logging.getLogger("handmocap.see")

DETNET_MODEL: Final = "detnet"
TAPS: Final = ("features_28", "features_14", "features_7")
"""Outputs of the hand network that DetNet may read."""
FUSION_KEY: Final = "fusion"
"""Where the file keeps how its points and MediaPipe's go together: constants that belong to the weights."""

_TABLES: Final = {"definition": (KEYPOINT_COUNT, KEYPOINT_COUNT), "confidence": (5,)}
_OUTPUTS: Final = ("points", "location", "error_2d", "error_3d", "visibility", "hand")


@dataclass(frozen=True)
class LearnedHand:
    """What DetNet says about one crop."""

    points: Array
    """(21, 2) pixels of the picture"""
    form: Array
    """(21, 3) relative to the middle knuckle, wrist to middle knuckle = 1; axes of the picture, z along the crop's
    ray, away from the camera"""
    error_2d: Array
    """(21,) expected distance to the truth, pixels of the picture"""
    error_3d: Array
    """(21,) the same, wrist to middle knuckle = 1"""
    visible: Array
    """(21,) 0..1: the point can be seen, else it is guessed"""
    present: float
    """0..1: the crop shows a hand"""
    of_side: float
    """0..1: that hand is of the side the crop was shown as"""
    mirrored: bool
    """shown as a left hand"""

    @property
    def right(self) -> float:
        """0..1: it is a right hand"""
        return 1.0 - self.of_side if self.mirrored else self.of_side


@dataclass(frozen=True)
class Blend:
    """How MediaPipe's points and DetNet's go together; fitted on drawn hands, kept with the weights."""

    definition: Array
    """(21, 21), rows of sum 1: where MediaPipe sees each point, from the model's own points"""
    picture: float
    """DetNet's share in x and y"""
    depth: float
    """DetNet's share in z"""
    patience: float
    """of DetNet's expected error: where MediaPipe's point is that far away, half of its share is left"""
    sigma_2d: float
    """error of the blended points in the picture over DetNet's expected one"""
    sigma_3d: float
    """the same in space"""
    confidence: Array
    """(5,) logits: constant, slopes of MediaPipe's confidence and of DetNet's presence and side (logits), and of the
    log of its mean expected error in shares of the hand's box"""

    @classmethod
    def plain(cls) -> Blend:
        """Equal parts in the picture, depth mostly DetNet's, nothing calibrated: before anything was fitted."""
        return cls(
            definition=np.eye(KEYPOINT_COUNT),
            picture=0.5,
            depth=0.75,
            patience=np.inf,
            sigma_2d=1.0,
            sigma_3d=1.0,
            confidence=np.array([0.0, 1.0, 0.0, 0.0, 0.0]),
        )

    @classmethod
    def from_text(cls, text: str) -> Blend:
        """Read what `to_text` wrote; anything else is refused."""
        try:
            told = json.loads(text)
            numbers = {f.name: float(told[f.name]) for f in fields(cls) if f.name not in _TABLES}
            tables = {name: np.array(told[name], np.float64) for name in _TABLES}
        except (ValueError, KeyError, TypeError) as error:
            raise ModelFileError(
                f"The network {DETNET_MODEL} has no readable constants ({error}); install HandMocap again."
            ) from error
        finite = np.isfinite([*numbers.values(), *(table.sum() for table in tables.values())]).all()
        if not finite or any(tables[name].shape != shape for name, shape in _TABLES.items()):
            raise ModelFileError(f"The network {DETNET_MODEL} belongs to another version; install HandMocap again.")
        return cls(definition=tables["definition"], confidence=tables["confidence"], **numbers)

    def to_text(self) -> str:
        """JSON."""
        return json.dumps({f.name: np.round(getattr(self, f.name), 6).tolist() for f in fields(self)})


class DetNet:
    """The heads, ready to read taps."""

    def __init__(self, network: Network) -> None:
        """`network`: the exported file, loaded."""
        self._network = network
        text = network.metadata.get(FUSION_KEY)
        self.blend = Blend.plain() if text is None else Blend.from_text(text)
        self.taps = tuple(name for name in TAPS if name in network.inputs)

    @classmethod
    def load(cls, runtime: Runtime, *, threads: int | None = None) -> DetNet:
        """The network of models.toml; a missing or damaged file is refused in one sentence."""
        return cls(runtime.network(DETNET_MODEL, outputs=_OUTPUTS, threads=threads))

    def read(self, taps: Mapping[str, NDArray[Any]], crop: Array, *, mirrored: bool) -> LearnedHand | None:
        """What one crop's taps (1, C, H, W) say; None if that is not numbers. `mirrored`: the trunk saw it so."""
        out = self._network({name: taps[name] for name in self.taps})
        values = {name: value[0].astype(np.float64) for name, value in out.items()}
        if not all(np.isfinite(value).all() for value in values.values()):
            return None
        points, form = values["points"], values["location"]
        if mirrored:
            points[:, 0] = HAND_INPUT - 1 - points[:, 0]
            form[:, 0] = -form[:, 0]
        form[:, :2] = form[:, :2] @ turned(crop[4]).T
        return LearnedHand(
            points=points_in_picture(points / HAND_INPUT, crop),
            form=form,
            error_2d=values["error_2d"] * (crop[2] / HAND_INPUT),
            error_3d=values["error_3d"],
            visible=values["visibility"],
            present=float(values["hand"][0]),
            of_side=float(values["hand"][1]),
            mirrored=mirrored,
        )


def load_or_explain(runtime: Runtime, *, threads: int | None = None) -> tuple[DetNet | None, str]:
    """DetNet, or None and the one sentence that says why MediaPipe sees alone."""
    try:
        return DetNet.load(runtime, threads=threads), ""
    except ModelFileError as error:
        note = f"MediaPipe's eyes see alone, less well: {error}"
        log.info("%s", note)
        return None, note
