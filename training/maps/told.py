# SPDX-License-Identifier: GPL-3.0-or-later
"""What the maps are told of the hands of a crop before: what the network of both hands says of it.

It is asked as the engine asks it: with what a tracker might know (`training.pair.followed`), and once more from its own
answer. So training meets the errors that are met in use.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.pair_crop import (
    CALIBRATION_KEY,
    PAIR_CROP_MODEL,
    PAIR_TRUNK_MODEL,
    PRESENT,
    Calibration,
)
from blender_handmocap.engine.see.pair_given import SeenPair, given
from training.detnet.trunk import TAPS
from training.pair.followed import Following, followed
from training.pair.learn import Data

_BATCH: Final = 30
_CROP: Final = 224.0


class Teller:
    """The network that ships, asked about rows of shards."""

    def __init__(self) -> None:
        runtime = Runtime.choose("cpu", 1)
        self._trunk = runtime.network(PAIR_TRUNK_MODEL, outputs=list(TAPS))
        self._heads = runtime.network(PAIR_CROP_MODEL)
        self.calibration = Calibration.from_text(self._heads.metadata[CALIBRATION_KEY])

    def points(self, folder: Path, seed: int) -> NDArray[np.float32]:
        """(N, 2, 21, 2) points of both hands as shares of the crop, in a take's definition; NaN: said to be absent."""
        data = Data([folder])
        random = np.random.default_rng([seed, 1])
        parts = []
        for start in range(0, len(data), _BATCH):
            rows = np.arange(start, min(start + _BATCH, len(data)))
            truth = data.targets(rows)
            taps = self._trunk(data.images(rows))
            # Sides of cells are those of the hands, so no hand may be taken for the other one.
            seen, _ = followed(truth, self.calibration.definition, random, Following(exchanged=0.0))
            out = self._ask(taps, seen)
            out = self._ask(taps, self._again(out, seen.focal))
            points, _, _ = self.calibration.in_take(out["points"], out["location"], out["error_3d"])
            share = (points + 0.5) / _CROP
            parts.append(np.where(out["state"][:, :2, None, None] >= PRESENT, share, np.nan).astype(np.float32))
        return np.concatenate(parts)

    def _ask(self, taps: dict[str, NDArray[Any]], seen: SeenPair) -> dict[str, NDArray[np.float64]]:
        asked = given(seen)
        out = self._heads({**taps, "seen": asked.seen, "points_seen": asked.points, "pair": asked.pair})
        return {name: np.asarray(value, np.float64) for name, value in out.items()}

    def _again(self, out: dict[str, NDArray[np.float64]], focal: NDArray[np.float64]) -> SeenPair:
        constants = self.calibration
        points, form, _ = constants.in_take(out["points"], out["location"], out["error_3d"])
        # Bones are told as in training, in palm lengths: `in_take` takes the mean palm bone for one.
        bone = np.linalg.norm((constants.definition @ out["location"])[:, :, [5, 9, 13, 17]], axis=-1).mean(-1)
        return SeenPair(
            points=(points + 0.5) / _CROP,
            error=out["error_2d"] * constants.error / _CROP,
            form=form * bone[..., None, None],
            form_error=out["error_3d"] * constants.form_error,
            known=np.ones((len(points), 2), bool),
            focal=focal,
        )
