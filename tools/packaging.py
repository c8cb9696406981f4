# SPDX-License-Identifier: GPL-3.0-or-later
"""`build.py package`: the extension as zips, built from a copy and looked through before they are called good."""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from . import models, pins, wheels
from .console import LOGS, PACKAGE, ROOT, VENV, BuildError, call_logged, say, shown
from .environments import ensure
from .package_checks import problems
from .wheels import Target

DIST: Final = ROOT / "dist"
MANIFEST: Final = "blender_manifest.toml"
PLACE_FOR_WHEELS: Final = "# `build.py package` adds the platforms and their wheels in a copy of this file.\n"
EXAMPLE: Final = ROOT / "examples" / "two_hands.mp4"
"""the clip behind "Try the Example\""""
LEFT_OUT: Final = shutil.ignore_patterns("__pycache__", "*.pyc", "*.tmp", "*.partial", ".*")


def platforms() -> list[str]:
    """Blender's names of the platforms there are packages for."""
    return list(pins.load().package["platforms"])


def package(name: str | None = None, *, gpu: bool = False, record: bool = False) -> int:
    """Build, validate and check the zips of one platform or of all."""
    possible = list(pins.load().package["gpu"]["platforms"]) if gpu else platforms()
    targets = [Target(name, gpu) for name in ([name] if name else possible)]
    for target in targets:
        target.requirements()
    if record:
        wheels.record(targets)
    ensure("engine", "blender-5.0")
    models.ensure_models()
    for target in targets:
        path = build(target)
        say(f"{shown(path)}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


def build(target: Target, folder: Path = DIST) -> Path:
    """One zip, validated by Blender's own program and by our checks."""
    bundled = wheels.fetch(target)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=VENV, prefix="package-") as temporary:
        source = Path(temporary) / "handmocap"
        shutil.copytree(PACKAGE, source, ignore=LEFT_OUT)
        shutil.copy(ROOT / "LICENSE", source / "LICENSE")
        (source / EXAMPLE.parent.name).mkdir()
        shutil.copy(EXAMPLE, source / EXAMPLE.parent.name)
        (source / "wheels").mkdir()
        for wheel in bundled:
            (source / "wheels" / wheel.name).hardlink_to(wheel)
        manifest = source / MANIFEST
        manifest.write_text(
            manifest_with(manifest.read_text(encoding="utf-8"), target.platform, [wheel.name for wheel in bundled]),
            encoding="utf-8",
        )
        made = Path(temporary) / file_name(target, manifest)
        _blender_extension("build", "--source-dir", source, "--output-filepath", made)
        _blender_extension("validate", made)
        _check(made, target)
        return Path(shutil.move(made, folder / made.name))


def for_tests() -> Path:
    """The package of this machine's platform as the sources stand now; built only when they changed."""
    contents = hashlib.sha256()
    sources = [path for folder in (PACKAGE, ROOT / "tools") for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in [*sources, pins.PYPROJECT]:
        if "__pycache__" not in path.parts:
            contents.update(f"{path.relative_to(ROOT)} ".encode() + path.read_bytes())
    folder = VENV / "test-package"
    stamp = folder / "sources.sha256"
    target = Target(host_platform())
    path = folder / file_name(target, PACKAGE / MANIFEST)
    if not (path.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == contents.hexdigest()):
        stamp.unlink(missing_ok=True)
        build(target, folder)
        stamp.write_text(contents.hexdigest(), encoding="utf-8")
    return path


def host_platform() -> str:
    """Blender's name of the platform this runs on."""
    if sys.platform == "darwin":
        return "macos-arm64" if platform.machine() == "arm64" else "macos-x64"
    return "windows-x64" if sys.platform == "win32" else "linux-x64"


def manifest_with(text: str, platform: str, files: Sequence[str]) -> str:
    """The tracked manifest's text with the platform and its wheels."""
    if text.count(PLACE_FOR_WHEELS) != 1:
        raise BuildError(f"{MANIFEST} has lost the line that says where the wheels go; put it back: {PLACE_FOR_WHEELS}")
    lines = [f'platforms = ["{platform}"]', "wheels = [", *(f'    "./wheels/{file}",' for file in files), "]"]
    return text.replace(PLACE_FOR_WHEELS, "\n".join(lines) + "\n")


def file_name(target: Target, manifest: Path) -> str:
    """handmocap-0.1.0-linux_x64.zip, as Blender's own splitting names it; -gpu behind the platform."""
    read = tomllib.loads(manifest.read_text(encoding="utf-8"))
    gpu = "-gpu" if target.gpu else ""
    return f"{read['id']}-{read['version']}-{target.platform.replace('-', '_')}{gpu}.zip"


def read_zip(path: Path) -> tuple[dict[str, Any], list[str]]:
    """A package's manifest and the names of its files."""
    with zipfile.ZipFile(path) as archive:
        return tomllib.loads(archive.read(MANIFEST).decode()), archive.namelist()


def blender_scripts() -> Path:
    """The `scripts` folder inside the bpy module that packages are checked with."""
    ensure("blender-5.0")
    found = sorted((VENV / "blender-5.0").rglob("site-packages/bpy/*/scripts"))
    if not found:
        raise BuildError(
            "The bpy module has no scripts folder; delete .venv/blender-5.0 and run the same command again."
        )
    return found[0]


def known_tags() -> set[str]:
    """The tags Blender's extension list knows for add-ons."""
    text = (blender_scripts() / "modules" / "_bpy_internal" / "extensions" / "tags.py").read_text(encoding="utf-8")
    return set(re.findall(r'"([^"]+)"', text.partition("themes")[0]))


def _check(path: Path, target: Target) -> None:
    manifest, names = read_zip(path)
    needed = {wheels.Wheel(file).project for file in wheels.recorded(target)}
    found = problems(manifest, names, needed=needed, tags=target.tags, known_tags=known_tags())
    if found:
        raise BuildError(f"{path.name} must not be shipped: {'; '.join(found)}.")


def _blender_extension(*arguments: str | Path) -> None:
    (python,) = ensure("blender-5.0")
    program = blender_scripts() / "addons_core" / "bl_pkg" / "cli" / "blender_ext.py"
    done = call_logged([python, program, *arguments], LOGS / "package.log", seconds=600)
    if done.returncode != 0:
        raise BuildError(f"Blender's extension program refuses the package: {' '.join(done.text.split())[-400:]}")
