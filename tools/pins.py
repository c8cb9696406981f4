# SPDX-License-Identifier: GPL-3.0-or-later
"""What pyproject.toml pins: the only place with versions."""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from .console import ROOT, BuildError

PYPROJECT: Final = ROOT / "pyproject.toml"


def project_of(requirement: str) -> str:
    """`OpenCV-Python==4.1` -> `opencv-python`."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    return canonical(name.group() if name else requirement)


def canonical(name: str) -> str:
    """One spelling for each project: lower case, dashes."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Pins:
    """The tables of pyproject.toml that set-up reads."""

    groups: dict[str, list[Any]]
    environments: dict[str, list[str]]
    constraints: list[str]
    package: dict[str, Any]

    def group(self, name: str) -> list[str]:
        """The requirements of one group, those it includes among them."""
        if name not in self.groups:
            raise BuildError(f"pyproject.toml has no group {name!r}; it has {', '.join(self.groups)}.")
        found: list[str] = []
        for entry in self.groups[name]:
            found += [entry] if isinstance(entry, str) else self.group(entry["include-group"])
        return found

    def environment(self, name: str) -> list[str]:
        """Everything one environment is made from."""
        if name not in self.environments:
            raise BuildError(f"pyproject.toml has no environment {name!r}; it has {', '.join(self.environments)}.")
        return sorted({requirement for group in self.environments[name] for requirement in self.group(group)})

    def limits(self, name: str) -> list[str]:
        """What an environment's indirect dependencies are held to: the constraints, and all other groups' pins.

        A project that groups pin differently (numpy, bpy) is left to the groups of the environment.
        """
        pinned: dict[str, set[str]] = {}
        for requirement in (item for group in self.groups for item in self.group(group)):
            pinned.setdefault(project_of(requirement), set()).add(requirement)
        agreed = {project: min(items) for project, items in pinned.items() if len(items) == 1}
        limits = {**agreed, **{project_of(limit): limit for limit in self.constraints}}
        direct = {project_of(requirement) for requirement in self.environment(name)}
        return sorted(limit for project, limit in limits.items() if project not in direct)

    def version(self, group: str, project: str) -> str:
        """The pinned version of one project of a group."""
        for requirement in self.group(group):
            if project_of(requirement) == canonical(project):
                return requirement.partition("==")[2]
        raise BuildError(f"pyproject.toml pins no {project} in the group {group}.")

    def fingerprint(self, name: str, python: str, folder: Path) -> str:
        """Changes whenever the environment must be made anew; a moved one must be, too."""
        parts = [python, str(folder), *self.environment(name), "", *self.limits(name)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@cache
def load(path: Path = PYPROJECT) -> Pins:
    """Read the pins once."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    tool = data["tool"]["handmocap"]
    return Pins(
        groups=data["dependency-groups"],
        environments=tool["environments"],
        constraints=tool["constraints"]["packages"],
        package=tool["package"],
    )
