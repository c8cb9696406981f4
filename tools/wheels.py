# SPDX-License-Identifier: GPL-3.0-or-later
"""The wheels a package carries: which, from where, and that they are the recorded ones to the bit."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import pins
from .console import ROOT, VENV, BuildError, say
from .environments import ensure, pip, pip_failure

RECORD: Final = ROOT / "tools" / "wheels.sha256"
CACHE: Final = VENV / "wheels"


@dataclass(frozen=True)
class Wheel:
    """What a wheel's file name says."""

    file: str

    @property
    def _parts(self) -> list[str]:
        return self.file.removesuffix(".whl").split("-")

    @property
    def project(self) -> str:
        return pins.canonical(self._parts[0])

    @property
    def version(self) -> str:
        return self._parts[1]

    def runs_on(self, python: str, tags: Sequence[str]) -> bool:
        """Whether Python `3.13` on a platform with these wheel tags can load it."""
        pythons, abis, platforms = (part.split(".") for part in self._parts[-3:])
        major, minor = (int(part) for part in python.split("."))
        if "any" not in platforms and not set(platforms) & set(tags):
            return False
        if "none" in abis:
            return f"py{major}" in pythons or f"py{major}{minor}" in pythons
        if "abi3" in abis:
            return any(tag.startswith(f"cp{major}") and int(tag[3:]) <= minor for tag in pythons)
        return f"cp{major}{minor}" in abis


@dataclass(frozen=True)
class Target:
    """One zip: a platform, with or without the graphics card's runtime."""

    platform: str
    gpu: bool = False

    @property
    def name(self) -> str:
        return f"{self.platform}+gpu" if self.gpu else self.platform

    @property
    def tags(self) -> list[str]:
        return list(pins.load().package["platforms"][self.platform])

    def requirements(self) -> list[str]:
        """The engine group with what this target takes instead."""
        package = pins.load().package
        instead = dict(package["instead"].get(self.platform, {}))
        if self.gpu:
            possible = package["gpu"]["platforms"]
            if self.platform not in possible:
                raise BuildError(f"There is no GPU package for {self.platform}; choose one of {', '.join(possible)}.")
            instead |= package["gpu"]["instead"]
        return [instead.get(pins.project_of(item), item) for item in pins.load().group("engine")]


def pythons() -> list[str]:
    """The Python versions of the Blenders we support."""
    return list(pins.load().package["pythons"])


def recorded(target: Target) -> dict[str, str]:
    """File name to sha256 of a target's wheels."""
    if not RECORD.exists():
        return {}
    lines = (line.split() for line in RECORD.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return {file: digest for name, digest, file in lines if name == target.name}


def fetch(target: Target) -> list[Path]:
    """The recorded wheels of a target, in the cache, verified."""
    wanted = recorded(target)
    _refuse_stale(target, wanted)
    CACHE.mkdir(parents=True, exist_ok=True)
    missing = [file for file in wanted if not _is(CACHE / file, wanted[file])]
    if missing:
        say(f"Fetching {len(missing)} wheels for {target.name}.")
    for python in pythons():
        items = [Wheel(file) for file in missing if Wheel(file).runs_on(python, target.tags)]
        items = [item for item in items if not (CACHE / item.file).exists()]
        if items:
            _download(target, python, [f"{item.project}=={item.version}" for item in items], CACHE, ["--no-deps"])
    for file, digest in wanted.items():
        if not _is(CACHE / file, digest):
            (CACHE / file).unlink(missing_ok=True)
            raise BuildError(
                f"The wheel {file} is not the recorded one; run `build.py package` again, "
                "or `build.py package --record` after changing a pin."
            )
    return [CACHE / file for file in sorted(wanted)]


def record(targets: Sequence[Target]) -> None:
    """Resolve each target anew and write down what it needs."""
    kept = RECORD.read_text(encoding="utf-8").splitlines() if RECORD.exists() else []
    names = {target.name for target in targets}
    lines = [line for line in kept if line and not line.startswith("#") and line.split()[0] not in names]
    CACHE.mkdir(parents=True, exist_ok=True)
    for target in targets:
        say(f"Resolving the wheels of {target.name}.")
        found: dict[str, str] = {}
        for python in pythons():
            with tempfile.TemporaryDirectory(dir=VENV) as folder:
                limits = Path(folder) / "constraints.txt"
                limits.write_text("\n".join(_limits()), encoding="utf-8")
                _download(target, python, target.requirements(), Path(folder), ["--constraint", str(limits)])
                for path in sorted(Path(folder).glob("*.whl")):
                    if Wheel(path.name).project not in pins.load().package["never"]:
                        found[path.name] = _sha256(path)
                        shutil.move(path, CACHE / path.name)
        lines += [f"{target.name} {digest} {file}" for file, digest in found.items()]
    header = "# target, sha256 and file of every wheel in the packages; written by `build.py package --record`"
    RECORD.write_text("\n".join([header, *sorted(lines)]) + "\n", encoding="utf-8")


def _limits() -> list[str]:
    """Constraints that hold for every platform; what must never be bundled follows Blender, not us."""
    return [limit for limit in pins.load().constraints if pins.project_of(limit) not in pins.load().package["never"]]


def _refuse_stale(target: Target, wanted: dict[str, str]) -> None:
    versions = {(Wheel(file).project, Wheel(file).version) for file in wanted}
    for requirement in target.requirements():
        if (pins.project_of(requirement), requirement.partition("==")[2]) not in versions:
            raise BuildError(
                f"tools/wheels.sha256 does not know {requirement} for {target.name}; "
                "run `build.py package --record` and commit that file."
            )


def _download(target: Target, python: str, items: Sequence[str], folder: Path, options: Sequence[str]) -> None:
    ensure("engine")
    tags = [word for tag in target.tags for word in ("--platform", tag)]
    chosen = ["--only-binary=:all:", "--implementation", "cp", "--python-version", python, *tags]
    log = f"wheels-{target.name}-{python}.log"
    done = pip("engine", "download", *chosen, "--dest", folder, *options, *items, log=log)
    if done.returncode != 0:
        raise BuildError(pip_failure(f"The wheels for {target.name}, Python {python},", done))


def _is(path: Path, digest: str) -> bool:
    return path.exists() and _sha256(path) == digest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
