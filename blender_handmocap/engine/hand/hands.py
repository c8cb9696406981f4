# SPDX-License-Identifier: GPL-3.0-or-later
"""The hand a performer is solved with: the free hand, or the user's own MANO files.

Both hands share one shape, so both are solved as right hands: what differs between the sides is
a reflection. A pair of MANO files is therefore held to be mirror images of each other, which the
published ones are; one file alone serves both sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from ..errors import BadInputError
from .free import Hinges, free_hand, free_hinges
from .mano import hinges_from_joints, load_mano
from .model import HandModel
from .names import SIDES, Side

MANO_NAMES: Final[dict[Side, str]] = {"left": "MANO_LEFT", "right": "MANO_RIGHT"}
_SUFFIXES: Final = (".pkl", ".npz")
_MOST_DIFFERENCE: Final = 0.005
"""metres by which the rest joints of a left and a right file may differ, mirrored"""


@dataclass(frozen=True)
class Hands:
    """Both sides of one hand model."""

    left: HandModel
    right: HandModel
    hinges: Hinges
    """of the right hand"""

    def model(self, side: Side) -> HandModel:
        """The hand of one side."""
        return self.left if side == "left" else self.right

    @property
    def models(self) -> dict[Side, HandModel]:
        """Both, by side."""
        return {side: self.model(side) for side in SIDES}

    @property
    def id(self) -> str:
        """`name+sha256` of the file, as a take's `meta["hand_model"]` says; two files have two sums."""
        sums = dict.fromkeys((self.right.sha256, self.left.sha256))
        return "+".join([self.right.id, *sums])


@lru_cache(maxsize=1)
def free_hands() -> Hands:
    """The hand that ships."""
    return Hands(free_hand("left"), free_hand("right"), free_hinges("right"))


def mano_hands(right: str | Path = "", left: str | Path = "") -> Hands:
    """The user's own MANO files; one of them is enough."""
    files = {side: Path(path) for side, path in (("right", right), ("left", left)) if str(path)}
    for path in files.values():
        if not path.is_file():
            raise BadInputError(f"There is no MANO file at {path}; choose MANO_RIGHT.pkl or MANO_LEFT.pkl again.")
    keys = {side: (str(path), path.stat().st_mtime_ns) for side, path in files.items()}
    return _mano_hands(keys.get("right"), keys.get("left"))


@lru_cache(maxsize=2)
def _mano_hands(right: tuple[str, int] | None, left: tuple[str, int] | None) -> Hands:
    """Cached by path and time of the files: reading one takes a second."""
    models: dict[Side, HandModel] = {}
    if right is not None:
        models["right"] = load_mano(right[0], "right")
    if left is not None:
        models["left"] = load_mano(left[0], "left")
    first = models.get("right") or models["left"].mirrored()
    second = models.get("left") or first.mirrored()
    apart = np.linalg.norm(first.rest().joints - second.mirrored().rest().joints, axis=1).max()
    if apart > _MOST_DIFFERENCE:
        raise BadInputError(
            f"The two MANO files are not mirror images of each other (joints differ by {1e3 * apart:.0f} mm); "
            "choose a left and a right file that belong together."
        )
    return Hands(second, first, hinges_from_joints(first))


def files_in(folder: str | Path) -> dict[Side, str]:
    """The MANO files in a folder by side, as downloaded; "" where there is none of that side."""
    place = Path(folder)
    found: dict[Side, str] = {}
    for side, name in MANO_NAMES.items():
        paths = [place / f"{name}{suffix}" for suffix in _SUFFIXES]
        found[side] = next((str(path) for path in paths if path.is_file()), "")
    if not any(found.values()):
        raise BadInputError(f"{place} holds neither MANO_RIGHT nor MANO_LEFT (.pkl or .npz); choose another folder.")
    return found


def chosen_hands(mano_right: str, mano_left: str) -> Hands:
    """The hand of a capture's settings: MANO where a file is named, else the free hand."""
    return mano_hands(mano_right, mano_left) if mano_right or mano_left else free_hands()
