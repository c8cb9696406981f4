# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer's hand: a name, a palm length and a shape, kept in a small JSON file."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from .errors import BadInputError
from .settings import BETA_COUNT, Settings

SCHEMA: Final = "handmocap.performer/1"
ENDING: Final = ".performer.json"


@dataclass(frozen=True)
class Performer:
    """What is known of somebody's hands; both are taken to be alike."""

    name: str
    palm_mm: float
    """wrist joint to middle knuckle"""
    betas: tuple[float, ...]
    """ten shape components, standard deviations from the mean hand"""

    def __post_init__(self) -> None:
        """Refuse what cannot be a hand: the same limits as a capture's settings."""
        if not self.name.strip():
            raise BadInputError("A performer needs a name; give one.")
        if len(self.betas) != BETA_COUNT or not all(map(math.isfinite, (self.palm_mm, *self.betas))):
            raise BadInputError(f"{self.name} has no whole shape; measure the hand again.")
        Settings(palm_mm=self.palm_mm, betas=self.betas)


def save_performer(performer: Performer, path: Path) -> None:
    """Write a performer's file; a folder that cannot be written is one sentence."""
    text = json.dumps({"schema": SCHEMA, **asdict(performer)}, indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInputError(
            f"{performer.name} could not be saved at {path} ({error.strerror or error}); choose another folder."
        ) from error


def load_performer(path: Path) -> Performer:
    """Read a performer's file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise ValueError("another schema")
        return Performer(str(content["name"]), float(content["palm_mm"]), tuple(map(float, content["betas"])))
    except FileNotFoundError as error:
        raise BadInputError(f"There is no performer at {path}; choose another one.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInputError(f"{path.name} holds no performer's hand; measure it again and save it.") from error


def performer_file(folder: Path, name: str) -> Path:
    """Where the performer of this name is kept in a folder of performers."""
    stem = re.sub(r"[^\w.-]+", "_", name.strip()) or "performer"
    return folder / f"{stem}{ENDING}"


def performers_in(folder: Path) -> list[Performer]:
    """The performers of a folder by name; damaged files are left out."""
    found = []
    for path in sorted(folder.glob(f"*{ENDING}")):
        try:
            found.append(load_performer(path))
        except BadInputError:
            continue
    return found
