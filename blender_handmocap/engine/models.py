# SPDX-License-Identifier: GPL-3.0-or-later
"""The model files that ship with the extension: finding them, and making sure they are what models.toml says."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from .errors import ModelFileError

MODELS_FOLDER: Final = Path(__file__).resolve().parent.parent / "models"
CARDS_FILE: Final = "models.toml"

_READ_AGAIN: Final = "install HandMocap again (from a source tree: `python build.py models`)"


@dataclass(frozen=True)
class ModelCard:
    """One entry of models.toml."""

    name: str
    file: str
    sha256: str
    bytes: int
    licence: str
    source: str
    made_by: str


def model_cards(folder: Path = MODELS_FOLDER) -> dict[str, ModelCard]:
    """Every model the extension knows, by name."""
    path = folder / CARDS_FILE
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))["model"]
        cards = [ModelCard(**{key: entry[key] for key in ModelCard.__dataclass_fields__}) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(
            f"The list of models {path.name} is missing or damaged ({error}); {_READ_AGAIN}."
        ) from error
    return {card.name: card for card in cards}


def model_file(name: str, folder: Path = MODELS_FOLDER) -> Path:
    """The checked file of one model; a missing or altered file is refused in one sentence."""
    cards = model_cards(folder)
    if name not in cards:
        raise ModelFileError(f"There is no model '{name}'; known are {', '.join(sorted(cards))}.")
    card = cards[name]
    path = folder / card.file
    try:
        status = path.stat()
        found = _sha256(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise ModelFileError(
            f"The model file {card.file} is missing or cannot be read ({error.strerror or error}); {_READ_AGAIN}."
        ) from error
    if found != card.sha256:
        raise ModelFileError(f"The model file {card.file} is damaged or not the one expected; {_READ_AGAIN}.")
    return path


@lru_cache(maxsize=32)
def _sha256(path: Path, _size: int, _changed: int) -> str:
    """Size and time of change are part of the key, so that a replaced file is read again."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class ModelCheck:
    """Whether one model can be used."""

    name: str
    problem: str = ""
    """one sentence; empty when the file is there and right"""


def check_models(folder: Path = MODELS_FOLDER) -> list[ModelCheck]:
    """Check every model of the list; a broken list is reported as one failed check."""
    try:
        names = sorted(model_cards(folder))
    except ModelFileError as error:
        return [ModelCheck(CARDS_FILE, str(error))]
    checks = []
    for name in names:
        try:
            model_file(name, folder)
            checks.append(ModelCheck(name))
        except ModelFileError as error:
            checks.append(ModelCheck(name, str(error)))
    return checks
