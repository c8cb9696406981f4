# SPDX-License-Identifier: GPL-3.0-or-later
"""Polish: a solved take made smooth and whole, again and again from the same raw result."""

from .settings import PolishSettings
from .take import polish

__all__ = ["PolishSettings", "polish"]
