# SPDX-License-Identifier: GPL-3.0-or-later
"""Things of known size that lie under or beside a hand in a photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Reference:
    """A rectangle of known size."""

    title: str
    description: str
    width: float
    """metres, the longer side"""
    height: float
    """metres, the shorter side"""
    under_hand: bool
    """the hand lies on it, else beside it"""


REFERENCES: Final[dict[str, Reference]] = {
    "a4": Reference("A4 Sheet", "The flat hand lies on a white sheet of 297 x 210 mm", 0.297, 0.210, True),
    "letter": Reference("Letter Sheet", "The flat hand lies on a white sheet of 11 x 8.5 inches", 0.2794, 0.2159, True),
    "card": Reference("Bank Card", "A bank card of 85.6 x 54 mm lies beside the flat hand", 0.0856, 0.05398, False),
}
"""By the name the command line and the worker use."""
