# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sources are test only: split.toml read in one place, decided before anything is generated."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import numpy as np

SPLIT_FILE: Final = Path(__file__).with_name("split.toml")

Kind = Literal["recording", "quest", "webxr", "family", "skin", "background", "shape"]

_HASH_RANGE: Final = 2**32
_SEED_RANGE: Final = 2**31


@dataclass(frozen=True)
class Split:
    """What split.toml says."""

    names: dict[str, frozenset[str]]
    """kind -> the names that are test only"""
    shares: dict[str, float]
    """kind -> the share of keys that is test only"""


@lru_cache(maxsize=1)
def load() -> Split:
    """The committed split."""
    data = tomllib.loads(SPLIT_FILE.read_text(encoding="utf-8"))
    return Split(
        names={kind: frozenset(names) for kind, names in data["test"].items()},
        shares={kind: float(share) for kind, share in data["test_share"].items()},
    )


def is_test(kind: Kind, key: str | int) -> bool:
    """Whether a source may only be used for testing.

    `key` is the name of a recording (without .npz), of a pose (Quest's aliases after `|` are
    ignored) or of a contact family; or the seed or name of a skin, background or shape.
    """
    split = load()
    if kind in split.names:
        return str(key).split("|")[0].strip() in split.names[kind]
    if kind in split.shares:
        digest = hashlib.blake2b(f"{kind}:{key}".encode(), digest_size=4).digest()
        return int.from_bytes(digest, "little") < split.shares[kind] * _HASH_RANGE
    known = ", ".join(sorted({*split.names, *split.shares}))
    raise KeyError(f"There is no split of {kind!r}; split.toml knows {known}.")


def draw_seed(kind: Kind, random: np.random.Generator, *, test: bool) -> int:
    """A random seed of a kind that is split by share, from the wanted side of the split."""
    if kind not in load().shares:
        raise KeyError(f"{kind!r} is split by name, so it has no seeds; choose one of {sorted(load().shares)}.")
    while True:
        seed = int(random.integers(_SEED_RANGE))
        if is_test(kind, seed) == test:
            return seed
