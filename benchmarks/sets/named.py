# SPDX-License-Identifier: GPL-3.0-or-later
"""Test sets by name, and by path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from blender_handmocap.engine.errors import BadInputError

from ..hands import TestSet
from . import frozen, index_set, labelled, plain, take_truth

_ROOT: Final = Path(__file__).resolve().parents[2]
EXAMPLE: Final = _ROOT / "examples" / "two_hands.mp4"


@dataclass(frozen=True)
class Named:
    """A set that can be asked for by name."""

    load: Callable[[Path | None], TestSet]
    """given the folder of real footage, or None"""
    available: Callable[[Path | None], bool]
    """given the same, whether it can be loaded here"""
    about: str


def _from_data(data: Path | None, *parts: str) -> Path:
    if data is None:
        raise BadInputError(
            "This set lies in the folder of real footage; name it with --data DIR or the variable HANDMOCAP_DATA."
        )
    path = data.joinpath(*parts)
    if not path.exists():
        raise BadInputError(f"There is no {path}; name the folder of real footage with --data DIR.")
    return path


def _with(*parts: str) -> Callable[[Path | None], bool]:
    """Whether the folder of real footage is there and holds a file."""
    return lambda data: data is not None and data.joinpath(*parts).exists()


def _two_views(data: Path | None) -> TestSet:
    return index_set.load(_from_data(data, "two_views", "index.json"))


def _close_up(data: Path | None) -> TestSet:
    movie = _from_data(data, "close_up", "human_hand_video.mp4")
    return plain.load(movie, name="close_up", note="One right hand, no truth: counts, bones and time only.")


def _no_hands(data: Path | None) -> TestSet:
    movie = _from_data(data, "no_hands", "car-detection.mp4")
    return plain.load(movie, name="no_hands", complete=True, note="Cars: every reported hand is a false one.")


def _signs(data: Path | None) -> TestSet:
    words = ("again", "brother", "school", "student", "thanks")
    movies = [_from_data(data, "signs", f"{word}.mkv") for word in words]
    return plain.load(*movies, name="signs", note="Two signing hands, no truth: counts, bones and time only.")


def _signs_touching(data: Path | None) -> TestSet:
    return labelled.load(_from_data(data, "signs"))


def _example(_data: Path | None) -> TestSet:
    return take_truth.load(EXAMPLE)


NAMED: Final[dict[str, Named]] = {
    "two_views": Named(
        _two_views, _with("two_views", "index.json"), "one right hand in two calibrated views, pseudo truth in 3D"
    ),
    "close_up": Named(_close_up, _with("close_up", "human_hand_video.mp4"), "one hand close up, no truth"),
    "no_hands": Named(_no_hands, _with("no_hands", "car-detection.mp4"), "nothing to find"),
    "signs": Named(_signs, _with("signs", "again.mkv"), "words of American Sign Language, no truth"),
    "signs_touching": Named(_signs_touching, _with("signs", "again.mkv"), "real touching hands, labelled by eye"),
    "example": Named(_example, lambda _data: EXAMPLE.exists(), "the example clip with its exact truth"),
}


def _frozen(name: str) -> Callable[[Path | None], TestSet]:
    return lambda _data: frozen.load(name)


def _is_recorded(name: str) -> Callable[[Path | None], bool]:
    return lambda _data: name in frozen.sums()


NAMED.update({name: Named(_frozen(name), _is_recorded(name), about) for name, about in frozen.ABOUT.items()})
NAMED["by_skin"] = Named(
    lambda _data: frozen.by_skin(),
    lambda _data: set(frozen.sums()) == set(frozen.ABOUT),
    "rendered clips by skin tone, and gloves",
)


def load(name: str, data: Path | None) -> TestSet:
    """A set by name, or by the path of an index.json, of a movie with its truth beside it, or of a plain movie."""
    if name in NAMED:
        return NAMED[name].load(data)
    path = Path(name)
    if not path.exists():
        raise BadInputError(f"There is no set {name!r} and no such file; the sets are {', '.join(NAMED)}.")
    if path.is_dir() and (path / "index.json").exists():
        path = path / "index.json"
    if path.suffix == ".json":
        return index_set.load(path)
    if take_truth.truth_beside(path).exists():
        return take_truth.load(path)
    return plain.load(path)
