# SPDX-License-Identifier: GPL-3.0-or-later
"""What was seen of a clip so far, as plain arrays: appended picture by picture, kept in chunks on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from . import maps
from .observation import Observation
from .pair_crop import PairReading
from .pair_join import rows

Arrays = dict[str, NDArray[Any]]

_OBSERVED: Final = tuple(f.name for f in fields(Observation))
_SHAPES: Final[dict[str, tuple[int, ...]]] = {
    "points2d": (21, 2),
    "sigma2d": (21,),
    "points3d": (21, 3),
    "sigma3d": (21,),
    "visibility": (21,),
    "crop": (5,),
}


@dataclass
class Records:
    """A growing list of pictures and the hands seen in them: 0.6 kB a hand and picture, 2 kB a pair, 4 kB of maps."""

    frame: list[int] = field(default_factory=list)
    time: list[float] = field(default_factory=list)
    seen: list[list[tuple[int, Observation]]] = field(default_factory=list)
    """track and observation of the hands in each picture"""
    read: list[PairReading | None] = field(default_factory=list)
    """what was read of both hands of each picture at once"""

    def __len__(self) -> int:
        return len(self.frame)

    def append(
        self,
        frame: int,
        time: float,
        seen: Sequence[tuple[int, Observation]],
        read: PairReading | None = None,
        late: Sequence[tuple[int, int, Observation]] = (),
    ) -> None:
        """Add a picture, its (track, observation) pairs and what was read of both hands at once.

        `late`: (pictures ago, track, observation) of what is known only now of pictures before; those that lie before
        these records are left out.
        """
        self.frame.append(frame)
        self.time.append(time)
        self.seen.append(list(seen))
        self.read.append(read)
        for ago, track, observation in late:
            if ago < len(self.seen):
                self.seen[-1 - ago].append((track, observation))

    def arrays(self) -> Arrays:
        """Arrays that can be concatenated key by key with those of the pictures that follow."""
        arrays: Arrays = {
            "frame": np.array(self.frame, np.int64),
            "time": np.array(self.time, np.float64),
            "count": np.array([len(hands) for hands in self.seen], np.int64),
            "track": np.array([track for hands in self.seen for track, _ in hands], np.int64),
            "pair": np.array([one is not None for one in self.read], bool),
            **rows([one for one in self.read if one is not None]),
            **maps.rows([None if one is None else one.maps for one in self.read]),
        }
        observations = [observation for hands in self.seen for _, observation in hands]
        for name in _OBSERVED:
            values = [getattr(one, name) for one in observations]
            arrays[name] = np.array(values, np.float32).reshape(len(values), *_SHAPES.get(name, ()))
        return arrays


def joined(parts: Sequence[Mapping[str, NDArray[Any]]]) -> Arrays:
    """Several records' arrays as one."""
    every = list(parts) or [Records().arrays()]
    return {key: np.concatenate([part[key] for part in every]) for key in every[0]}
