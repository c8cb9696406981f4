# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes to other programs' files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..errors import BadInputError
from ..hand.model import HandModel
from ..hand.names import SIDES, Side
from ..take import Take
from .bvh import write_bvh
from .parameters import write_json, write_npz
from .table import write_csv

FORMATS: Final = ("bvh", "npz", "json", "csv")


def export_take(
    take: Take, path: Path, *, format: str, models: dict[Side, HandModel], sides: Sequence[Side] = SIDES
) -> None:
    """Write `take` as one of FORMATS; a failing disk is told in one sentence."""
    try:
        if format == "bvh":
            write_bvh(take, path, models=models, sides=sides)
        elif format == "npz":
            write_npz(take, path, models=models)
        elif format == "json":
            write_json(take, path, models=models)
        elif format == "csv":
            write_csv(take, path)
        else:
            raise BadInputError(f"HandMocap cannot write {format!r} files; choose one of {', '.join(FORMATS)}.")
    except OSError as error:
        reason = error.strerror or error
        raise BadInputError(f"{path} could not be written ({reason}); choose another folder.") from error
