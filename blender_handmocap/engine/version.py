# SPDX-License-Identifier: GPL-3.0-or-later
"""The one version number of the program; the manifest and pyproject.toml are held to it by a test."""

from typing import Final

VERSION: Final = "0.1.0"
